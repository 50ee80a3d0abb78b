"""What does a fleet do hour by hour under a policy?  A discrete-event simulation in seconds.

Rows        arrive with stages, in shards; workers take shards and keep a window of rows open
Replicas    start cold, take as many sequences as they have slots, share their speed among them
            (it saturates: half full gives five sixths), drain, go
Clients     give a row to the ready replica with the least in flight, up to 1.1 times its slots
            as the client of a fleet does, and keep the rest
Policies    see metrics that are seconds old and commits of whole shards, never the future;
            all of them drain in the same two phases, so that only their numbers are compared
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from jobs.plan.draining import Change, Drain, Recall, Remove, Start, changes
from jobs.plan.fleet import Demand, Load, Observed, Phase, Spec
from tests.bench.fleet_server import CLIENT_SLOTS, SEQS_PER_ROW, Server
from tests.bench.fleet_traces import Trace

COLD_START_S = 120.0
COLD_START_SPREAD = 0.1
ROWS_PER_SHARD = 64
WINDOW = 32
"""Rows that a worker keeps open."""

LAST_S = 48 * 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What a controller sees: `observed` is as old as metrics are, the rest it knows itself."""

    now: float
    observed: Observed
    queued: int
    """Sequences that clients keep because no replica has room for them."""


class Policy(Protocol):
    name: str
    tick_s: float
    delay_s: float
    """How old metrics and commits are when it sees them."""

    def wanted(self, seen: Seen, world: World) -> int:
        """Only the oracle may look at the world."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    policy: str
    makespan_s: float
    """Until the last row of the last stage was committed."""
    replica_s: float
    """From each start to each end, cold starts and idling after the last row among them."""
    turnaround_s: float
    """Mean over stages, from when they could begin to their end."""
    starts: int
    rows: int
    tokens: float
    aborted: int
    """Rows that a removed replica had to give back."""
    ended: dict[str, float]
    began: dict[str, float]


@dataclass(slots=True)
class _Shard:
    stage: int
    unopened: deque[float]
    rows: int
    open: int = 0


@dataclass(slots=True)
class _Running:
    """A stage that has begun."""

    began: float
    rows: int
    done: int = 0
    in_hand: int = 0
    workers: int = 0


@dataclass(slots=True)
class _Tally:
    replica_s: float = 0.0
    starts: int = 0
    rows: int = 0
    tokens: float = 0.0
    aborted: int = 0
    last: float = 0.0


@dataclass(frozen=True, slots=True)
class _Snapshot:
    at: float
    loads: dict[str, Load]
    demands: tuple[Demand, ...]
    queued: int
    due_in_s: float | None


class World:
    """Everything that is true, whether or not a policy sees it."""

    def __init__(self, trace: Trace, policy: Policy, spec: Spec, *, seed: int = 0) -> None:
        self.trace, self.policy, self.spec = trace, policy, spec
        self.rng = random.Random(seed)
        self.now = 0.0
        self.events: list[tuple[float, int, str, int, int]] = []
        self.num_events = 0
        self.servers: dict[int, Server] = {}
        self.queue: deque[tuple[int, float]] = deque()
        """Open rows that no replica has."""
        self.shards: list[_Shard] = []
        self.unclaimed: deque[int] = deque()
        self.workers = 0
        self.running: dict[int, _Running] = {}
        self.began: dict[str, float] = {}
        self.ended: dict[str, float] = {}
        self.snapshots: deque[_Snapshot] = deque()
        self.tally = _Tally()
        for index, stage in enumerate(trace.stages):
            if stage.after is None:
                self._at(stage.at, "arrive", index)
        self._at(0.0, "tick", 0)

    @property
    def is_over(self) -> bool:
        return len(self.ended) == len(self.trace.stages)

    def run(self) -> Outcome:
        handlers = {"arrive": self._arrive, "tick": self._tick, "ready": self._ready}
        while self.events and not (self.is_over and not self.servers):
            self.now, _, kind, first, second = heapq.heappop(self.events)
            if self.now > LAST_S:
                raise AssertionError(f"{self.policy.name} does not finish {self.trace.name}")
            if kind == "end":
                self._end(first, second)
            else:
                handlers[kind](first)
        tally = self.tally
        turnarounds = [self.ended[name] - self.began[name] for name in self.ended]
        return Outcome(
            policy=self.policy.name,
            makespan_s=tally.last,
            replica_s=tally.replica_s,
            turnaround_s=sum(turnarounds) / len(turnarounds),
            starts=tally.starts,
            rows=tally.rows,
            tokens=tally.tokens,
            aborted=tally.aborted,
            ended=self.ended,
            began=self.began,
        )

    # Work

    def _at(self, when: float, kind: str, first: int, second: int = 0) -> None:
        self.num_events += 1
        heapq.heappush(self.events, (when, self.num_events, kind, first, second))

    def _arrive(self, index: int) -> None:
        stage = self.trace.stages[index]
        self.began[stage.name] = self.now
        self.running[index] = _Running(began=self.now, rows=len(stage.rows))
        for first in range(0, len(stage.rows), ROWS_PER_SHARD):
            rows = stage.rows[first : first + ROWS_PER_SHARD]
            self.unclaimed.append(len(self.shards))
            self.shards.append(_Shard(stage=index, unopened=deque(rows), rows=len(rows)))
        self._claim()

    def _claim(self) -> None:
        while self.unclaimed and self.workers < self.trace.workers:
            number = self.unclaimed.popleft()
            shard = self.shards[number]
            stage = self.running[shard.stage]
            self.workers += 1
            stage.workers += 1
            stage.in_hand += shard.rows
            while shard.unopened and shard.open < WINDOW:
                shard.open += 1
                self.queue.append((number, shard.unopened.popleft()))
        self._dispatch()

    def _dispatch(self) -> None:
        while self.queue:
            ready = [one for one in self.servers.values() if one.phase is Phase.READY]
            server = min(ready, key=lambda one: one.in_flight, default=None)
            if server is None or server.in_flight >= CLIENT_SLOTS:
                return
            server.advance(self.now)
            while self.queue and server.in_flight < CLIENT_SLOTS:
                server.give(*self.queue.popleft())
                if len(ready) > 1:
                    break
            self._schedule(server)

    def _schedule(self, server: Server) -> None:
        server.version += 1
        if server.running:
            self._at(server.next_end(), "end", server.ordinal, server.version)

    def _end(self, ordinal: int, version: int) -> None:
        server = self.servers.get(ordinal)
        if server is None or server.version != version:
            return
        server.advance(self.now)
        finished = list(server.take_finished())
        for shard, tokens in finished:
            self._finish(shard, tokens)
        server.advance(self.now)
        while self.queue and server.phase is Phase.READY and server.in_flight < CLIENT_SLOTS:
            server.give(*self.queue.popleft())
        self._schedule(server)
        if server.phase is not Phase.READY:
            self._dispatch()  # what came after these rows goes elsewhere

    def _finish(self, number: int, tokens: float) -> None:
        self.tally.rows += 1
        self.tally.tokens += tokens
        shard = self.shards[number]
        shard.open -= 1
        if shard.unopened:
            shard.open += 1
            self.queue.append((number, shard.unopened.popleft()))
        elif not shard.open:
            self._commit(shard)

    def _commit(self, shard: _Shard) -> None:
        stage = self.running[shard.stage]
        stage.done += shard.rows
        stage.in_hand -= shard.rows
        stage.workers -= 1
        self.workers -= 1
        if stage.done == stage.rows:
            name = self.trace.stages[shard.stage].name
            self.ended[name] = self.tally.last = self.now
            del self.running[shard.stage]
            for index, later in enumerate(self.trace.stages):
                if later.after == name:
                    self._at(self.now + later.at, "arrive", index)
        self._claim()

    # Replicas

    def _ready(self, ordinal: int) -> None:
        server = self.servers.get(ordinal)
        if server is None or server.start_s is not None:
            return
        server.start_s = self.now - server.started_at
        if server.phase is Phase.STARTING:
            server.phase, server.since, server.clock_at = Phase.READY, self.now, self.now
            self._dispatch()

    def _tick(self, _: int) -> None:
        self._look()
        seen = self._seen()
        wanted = self.policy.wanted(seen, self)
        for change in changes(seen.observed, wanted, self.spec, self.now):
            self._act(change)
        self._at(self.now + self.policy.tick_s, "tick", 0)

    def _look(self) -> None:
        loads = {}
        for server in self.servers.values():
            server.advance(self.now)
            if server.start_s is not None:
                loads[server.name] = Load(
                    at=self.now,
                    running=len(server.running) * SEQS_PER_ROW,
                    waiting=len(server.waiting) * SEQS_PER_ROW,
                    tokens=server.tokens,
                )
        demands = tuple(
            Demand(
                stage=self.trace.stages[index].name,
                rows_left=stage.rows - stage.done,
                rows_done=stage.done,
                rows_in_hand=stage.in_hand,
                workers=stage.workers,
            )
            for index, stage in self.running.items()
        )
        is_last = len(self.began) == len(self.trace.stages)
        self.snapshots.append(
            _Snapshot(
                at=self.now,
                loads=loads,
                demands=demands,
                queued=len(self.queue) * SEQS_PER_ROW,
                due_in_s=None if is_last else math.inf,
            )
        )

    def _seen(self) -> Seen:
        """The newest snapshot that is old enough; before there is one, an empty fleet."""
        while len(self.snapshots) > 1 and self.snapshots[1].at <= self.now - self.policy.delay_s:
            self.snapshots.popleft()
        old = self.snapshots[0]
        replicas = tuple(one.view(old.loads.get(one.name)) for one in self.servers.values())
        observed = Observed(replicas=replicas, demands=old.demands, due_in_s=old.due_in_s)
        return Seen(now=self.now, observed=observed, queued=old.queued)

    def _act(self, change: Change) -> None:
        if isinstance(change, Start):
            for _ in range(change.count):
                self._start()
            return
        server = self.servers[int(change.name.removeprefix("judge-"))]
        match change:
            case Drain():
                server.phase, server.since = Phase.DRAINING, self.now
            case Recall():
                server.phase = Phase.STARTING if server.start_s is None else Phase.READY
                server.since = self.now
                self._dispatch()
            case Remove():
                self._remove(server)

    def _start(self) -> None:
        server = Server(self.tally.starts, self.now)
        self.tally.starts += 1
        self.servers[server.ordinal] = server
        spread = self.rng.uniform(1 - COLD_START_SPREAD, 1 + COLD_START_SPREAD)
        self._at(self.now + COLD_START_S * spread, "ready", server.ordinal)

    def _remove(self, server: Server) -> None:
        """Rows it still has go back to the clients and start again elsewhere."""
        self.tally.replica_s += self.now - server.started_at
        self.tally.aborted += server.in_flight
        self.queue.extendleft((shard, tokens) for _, shard, tokens in server.running)
        self.queue.extendleft(server.waiting)
        del self.servers[server.ordinal]
        self._dispatch()


def simulate(trace: Trace, policy: Policy, spec: Spec, *, seed: int = 0) -> Outcome:
    return World(trace, policy, spec, seed=seed).run()
