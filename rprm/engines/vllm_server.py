"""What does the client know of one replica, and what has it given it to do?"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from rprm.engines.client_metrics import ReplicaMeter
from rprm.engines.concurrency import ReplicaLimit, first_limit
from rprm.engines.dispatching import Ticket
from rprm.engines.endpoints import Replica
from rprm.engines.http_faults import Cause, Fault
from rprm.engines.liveness import Breaker, Circuit, Liveness
from rprm.engines.routing import Candidate
from rprm.engines.vllm_check import Served


@dataclass(kw_only=True, eq=False)
class Turn:
    """A request that waits for a replica, or has it."""

    sequences: int
    start: asyncio.Future[Server]
    ticket: Ticket[Turn] | None = None
    """Once it is sent."""
    generation: int = 0
    """Of the breaker when it was sent."""
    sent_s: float = 0.0
    task: asyncio.Task[Any] | None = None
    taken_away: Fault | None = None
    """Why the task was cancelled, where it was not whoever asked who did it."""


@dataclass(kw_only=True, eq=False)
class Server:
    replica: Replica
    limit: ReplicaLimit
    meter: ReplicaMeter
    liveness: Liveness = field(default_factory=Liveness)
    breaker: Breaker = field(default_factory=Breaker)
    served: Served | None = None
    """None until it passed its check."""
    problem: str = ""
    """Why it is not used."""
    fix: str = ""
    """What a person must change before it can be used; empty where time may do."""
    gone: bool = False
    """The endpoint source no longer names it."""
    running: dict[Turn, None] = field(default_factory=dict)
    """Sent, oldest first."""
    in_flight: int = 0
    """Sequences."""
    finished: int = 0
    """Sequences, since the client began."""
    open_at_s: float = 0.0
    """It asked for a pause until then."""

    @property
    def name(self) -> str:
        return self.replica.name

    @property
    def usable(self) -> bool:
        """May it get new work?"""
        closed = self.breaker.circuit is Circuit.CLOSED
        return self.served is not None and closed and not (self.gone or self.replica.draining)

    @property
    def candidate(self) -> Candidate:
        capacity = float(self.limit.max_num_seqs)
        return Candidate(name=self.name, capacity=capacity, usable=self.usable)

    def has_room(self, now_s: float) -> bool:
        return self.in_flight < self.limit.slots and now_s >= self.open_at_s

    def begin(self, turn: Turn, now_s: float) -> None:
        self.breaker = self.breaker.sent(now_s)
        turn.generation = self.breaker.generation
        turn.sent_s = now_s
        self.running[turn] = None
        self.in_flight += turn.sequences
        turn.start.set_result(self)

    def end(self, turn: Turn) -> None:
        del self.running[turn]
        self.in_flight -= turn.sequences
        self.breaker = self.breaker.abandoned(turn.generation)

    def take_away(self, why: str, *, sequences: int | None = None) -> None:
        """Cancel the youngest requests, as many as hold so many sequences; None: all."""
        left = self.in_flight if sequences is None else sequences
        for turn in reversed(list(self.running)):
            if left <= 0:
                return
            if turn.task is not None and turn.taken_away is None:
                turn.taken_away = Fault(cause=Cause.TIMEOUT, detail=f"{self.name}: {why}")
                turn.task.cancel()
                left -= turn.sequences


def new_server(replica: Replica) -> Server:
    return Server(
        replica=replica,
        limit=first_limit(replica.max_num_seqs),
        meter=ReplicaMeter(replica.name, replica.model or ""),
    )
