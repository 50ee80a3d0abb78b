"""Who keeps one fleet?  Looks at its replicas, asks the planner how many it needs, and acts.

What is decided is decided by pure functions: how many (`plan.scale`), which ones (`plan.draining`),
whether one hangs (`plan.pulse`).  Clients learn of the replicas from a document that is replaced
as a whole whenever one is ready, drains or is gone.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jobs.backends.replicas import ReplicaHost, ReplicaStatus, ReplicaWork
from jobs.fleet.probing import Seen
from jobs.fleet.told import ToldFleet, replaced
from jobs.fleet.tracked import Tracked
from jobs.fleet.vllm_command import Serving, command, environment
from jobs.plan import draining
from jobs.plan.fleet import Memory, Observed, Phase, Spec, dump_memory, load_memory
from jobs.plan.needs import Need
from jobs.plan.pulse import Health, Pulse, Rules, has_settled, health
from jobs.plan.scale import scale
from jobs.spec.errors import ConfigError

Tell = Callable[..., None]
"""tell(event, fleet=…, reason=…, …): an entry of the campaign's event log."""

FAILED_STARTS = 3
"""In a row: then the fleet is given up, and what calls it fails with the server's last lines."""
FIRST_PAUSE_S = 2.0
"""After a failed start; doubled with every further one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """What a keeper keeps, and with what."""

    name: str
    """Such as "judge" or "judge[rows=500]"."""
    fleet: str
    """As it is declared: "judge"."""
    role: str
    model: str
    """As it may be shown."""
    serving: Serving
    python: str
    spec: Spec
    rules: Rules
    folder: Path
    """Of this fleet alone: endpoints and memory."""

    @property
    def endpoints(self) -> Path:
        return self.folder / "endpoints.json"

    @property
    def memory(self) -> Path:
        return self.folder / "memory.json"


class Keeper:
    def __init__(
        self,
        kept: Kept,
        *,
        host: ReplicaHost,
        seen: Callable[[str], Seen | None],
        tell: Tell,
        like: Keeper | None = None,
    ) -> None:
        """`seen` says what a replica answered last.  `like` keeps another model of the same fleet:
        until this one was measured it is taken to be as fast."""
        self.kept = kept
        self.problem = ""
        """Why it was given up."""
        self._host, self._seen, self._tell = host, seen, tell
        self._replicas: dict[str, Tracked] = {}
        self._memory = _remembered(kept.memory) or (like.measured if like else Memory())
        self._wanted, self._reason, self._no_room = 0, "not looked at yet", False
        self._need = Need()
        self._starts = self._failed = self._lost = 0
        self._failed_in_a_row, self._start_after = 0, 0.0
        self._published: bytes = b""
        self._publish()  # of an earlier run nothing is left

    @property
    def measured(self) -> Memory:
        """What outlives replicas: how fast they are and how long they take to start."""
        return _measured(self._memory)

    @property
    def urls(self) -> Mapping[str, str]:
        return {one.name: one.url for one in self._replicas.values()}

    @property
    def num_ready(self) -> int:
        return sum(one.phase is Phase.READY for one in self._replicas.values())

    @property
    def state(self) -> str:
        """Why nobody can call it yet; for the stages that wait."""
        started = len(self._replicas)
        if self._no_room and not started:
            return f"fleet {self.kept.name}: no room for a replica now"
        return f"fleet {self.kept.name}: {started} starting, none ready"

    def look(
        self,
        statuses: Mapping[str, ReplicaStatus],
        need: Need,
        now: float,
    ) -> None:
        """See what became of the replicas, decide and act."""
        self._need = need
        for one in list(self._replicas.values()):
            one.notice(self._seen(one.name))
            self._judge(one, statuses.get(one.name), now)
        self._scale(need, now)
        self._publish()

    def told(self) -> ToldFleet:
        spec, rates = self.kept.spec, self._memory.rates
        return ToldFleet(
            name=self.kept.name,
            role=self.kept.role,
            model=self.kept.model,
            wanted=self._wanted,
            reason=self._reason + (" (no room for more now)" if self._no_room else ""),
            min_replicas=spec.min_replicas,
            max_replicas=spec.max_replicas,
            replicas=tuple(one.as_told() for one in self._replicas.values()),
            problem=self.problem,
            rows_left=sum(demand.rows_left for demand in self._need.demands or ()),
            tokens_per_s=rates.tokens_per_s,
            tokens_per_row=rates.tokens_per_row,
            cold_start_s=rates.cold_start_s,
            starts=self._starts,
            failed_starts=self._failed,
            lost=self._lost,
        )

    def forget(self) -> None:
        """The replicas are ended by their host: clients shall find none."""
        self._replicas.clear()
        self._publish()

    def _judge(self, one: Tracked, status: ReplicaStatus | None, now: float) -> None:
        """Is it still one of ours?"""
        if status is None or status.ended:
            code = None if status is None else status.exit_code
            lines = () if status is None else status.last_lines
            self._lose(one, f"ended by itself with exit code {code}", lines, now)
            return
        word, why = health(one.pulse, now, self.kept.rules)
        if word in {Health.LATE, Health.HUNG}:
            self._host.stop(one.name, hard=True)
            self._lose(one, why, status.last_lines, now)
        elif word is Health.READY:
            if not one.told_ready:
                one.told_ready = True
                self._say("replica_ready", replica=one.name, start_s=round(one.start_s or 0.0, 1))
            if has_settled(one.pulse, now, self.kept.rules):
                self._failed_in_a_row = 0

    def _lose(self, one: Tracked, why: str, lines: tuple[str, ...], now: float) -> None:
        del self._replicas[one.name]
        was_ready = one.pulse.ready_at is not None
        self._lost += was_ready
        self._failed += not was_ready
        event = "replica_lost" if was_ready else "replica_did_not_start"
        self._say(event, replica=one.name, reason=why, last_lines=list(lines))
        if has_settled(one.pulse, now, self.kept.rules):
            return  # it did its work for long: another one will
        self._failed_in_a_row += 1
        self._start_after = now + FIRST_PAUSE_S * 2 ** (self._failed_in_a_row - 1)
        if self._failed_in_a_row >= FAILED_STARTS and not self.num_ready:
            self._give_up(f"{self._failed_in_a_row} replicas in a row: {why}", lines)

    def _give_up(self, why: str, lines: tuple[str, ...]) -> None:
        said = "".join(f"\n  | {line}" for line in lines[-8:])
        self.problem = f"fleet {self.kept.name} cannot start: {why}{said}"
        self._say("fleet_failed", reason=self.problem)

    def _scale(self, need: Need, now: float) -> None:
        observed = Observed(
            replicas=tuple(one.as_planned() for one in self._replicas.values()),
            demands=need.demands,
            due_in_s=need.due_in_s,
            memory=self._memory,
        )
        spec = self.kept.spec
        is_over = need.demands == () and need.due_in_s is None
        if is_over:  # even the least of it would wait in vain
            spec = replace(spec, min_replicas=0)
        found = scale(observed, spec, now)
        if found.replicas != self._wanted:
            self._say("fleet_scaled", replicas=found.replicas, reason=found.reason)
        self._wanted, self._reason = found.replicas, found.reason
        self._remember(found.memory)
        for change in draining.changes(observed, found.replicas, spec, now, reason=found.reason):
            self._act(change, now)

    def _act(self, change: draining.Change, now: float) -> None:
        match change:
            case draining.Start(count=count):
                self._start(count, now)
            case draining.Drain(name=name):
                self._replicas[name].draining_since = now
                self._say("replica_draining", replica=name, reason=change.reason)
            case draining.Recall(name=name):
                self._replicas[name].draining_since = None
                self._say("replica_recalled", replica=name, reason=change.reason)
            case draining.Remove(name=name):
                self._host.stop(name)
                del self._replicas[name]
                self._say("replica_removed", replica=name, reason=change.reason)

    def _start(self, count: int, now: float) -> None:
        self._no_room = False
        if self.problem or now < self._start_after:
            return
        for _ in range(count):
            work = self._work()
            try:
                started = self._host.start(work, squeeze=self._need.together and not self._replicas)
            except ConfigError as error:
                self._give_up(str(error), ())
                return
            if not started:
                self._no_room = True
                return
            self._starts += 1
            url = self._host.observe()[work.name].url
            self._replicas[work.name] = Tracked(
                name=work.name, url=url, pulse=Pulse(started_at=now)
            )
            self._say("replica_started", replica=work.name, reason=self._reason)

    def _work(self) -> ReplicaWork:
        serving = self.kept.serving
        return ReplicaWork(
            name=f"{self.kept.folder.name}-{uuid.uuid4().hex[:6]}",
            fleet=self.kept.name,
            command=command(self.kept.python, serving),
            env=environment(serving),
            cpus=serving.cpus,
            gpus=serving.gpus,
        )

    def _publish(self) -> None:
        rows = [
            {
                "name": one.name,
                "url": one.url,
                "state": "draining" if one.phase is Phase.DRAINING else "ready",
                "max_num_seqs": self.kept.spec.max_num_seqs,
            }
            for one in self._replicas.values()
            if one.pulse.ready_at is not None
        ]
        body = json.dumps({"model": self.kept.serving.name, "replicas": rows}).encode()
        if body != self._published and replaced(self.kept.endpoints, body):
            self._published = body

    def _remember(self, memory: Memory) -> None:
        """Kept for the next controller: what was measured costs time to measure again."""
        before, self._memory = self._memory, memory
        told = (before.rates.cold_start_s, before.rates.tokens_per_row)
        if told != (memory.rates.cold_start_s, memory.rates.tokens_per_row):
            replaced(self.kept.memory, dump_memory(memory))

    def _say(self, event: str, **fields: Any) -> None:
        self._tell(event, fleet=self.kept.name, **fields)


def _remembered(path: Path) -> Memory | None:
    """None where nothing was measured by an earlier controller."""
    try:
        return _measured(load_memory(path.read_bytes()))
    except OSError:
        return None


def _measured(memory: Memory) -> Memory:
    """The measurements alone: replicas and pauses of others are history."""
    return Memory(
        rates=replace(memory.rates, counted={}, committed={}, timed=(), tokens=0.0, rows=0.0)
    )
