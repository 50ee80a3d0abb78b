"""Who drives a campaign to its end?  A loop: observe, decide, act, wait.

It keeps no state of its own.  Killed between any two lines and started again it goes on, since
all it knows is in the store, and every act is harmless to repeat.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jobs.backends.base import ArrayStatus, ArrayWork, Backend, FailedAttempt
from jobs.plan import actions as decisions
from jobs.plan.actions import Action
from jobs.plan.decide import decide
from jobs.plan.retry import Retry, RetryPolicy, after
from jobs.plan.shards import ShardPlan
from jobs.runtime.campaign_fleets import FleetKeeping, NoFleets, Picture
from jobs.runtime.events import EventLog
from jobs.runtime.observing import Observer
from jobs.runtime.patience import TRIES, Patience
from jobs.runtime.resolving import Resolved
from jobs.runtime.snapshots import Outcome, Snapshot
from jobs.runtime.spec import spec_of
from jobs.spec.errors import StoreError
from jobs.store import layout
from jobs.store.artifacts import Artifact
from jobs.store.objects import ObjectStore
from jobs.store.records import Damaged

__all__ = ["Controller", "Outcome", "Site", "Snapshot"]

TICK_S = 0.2
"""Shortest pause between two looks at the store, unless something ended."""

REST = 4.0
"""Pauses are this much longer than the look before them: a store with very many shards takes long
to list, and the CPUs are the workers'."""

LOOKING = "the store"
"""The one thing besides stages whose troubles are counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """Where work runs, and how workers there reach the store."""

    backend: Backend
    fleets: FleetKeeping = field(default_factory=NoFleets)
    store_options: Mapping[str, str] = field(default_factory=dict)


class Controller:
    """One campaign at one site."""

    def __init__(
        self,
        *,
        campaign: str,
        stages: Sequence[Resolved],
        store: ObjectStore,
        site: Site,
        events: EventLog,
    ) -> None:
        self._campaign = campaign
        self._stages = {stage.node.name: stage for stage in stages}
        self._names = {stage.address: stage.node.name for stage in reversed(stages)}
        self._store = store
        self._store_options = site.store_options
        self._backend, self._fleets = site.backend, site.fleets
        self._events = events
        self.observer = Observer(store, stages)
        self._patience = Patience()
        self._damages: Counter[str] = Counter()
        self._prepared: set[str] = set()
        self._num_told: Counter[str] = Counter()
        """Failed attempts per address that are in the event log; it only keeps the log short."""
        self._words: dict[str, str] = {}
        self._reasons: dict[str, str] = {}
        self._last = Snapshot()
        self._problem = ""
        self.draining = False

    def run(self, watch: Callable[[Snapshot], None] = lambda snapshot: None) -> Outcome:
        """Tick until nothing is left to do, until drained, or until the store is given up."""
        while True:
            began_s, num_finished = time.monotonic(), len(self._words)
            snapshot = self.tick()
            watch(snapshot)
            if self._finished(snapshot):
                return self._outcome()
            if len(self._words) == num_finished:  # else what waited for it can go on at once
                self._rest(snapshot, watch, time.monotonic() - began_s)

    def drain(self, *, hard: bool = False) -> None:
        """Start nothing more and let running attempts reach a safe point; `hard` ends them."""
        self.draining = True
        self._backend.drain(hard=hard)

    def tick(self) -> Snapshot:
        """One look at the world and what follows from it.  Troubles of the store do not raise."""
        work = self._backend.observe()
        self._last = replace(self._last, work=work)
        if not self._patience.rests(LOOKING, time.monotonic()):
            try:
                self._look(work)
            except StoreError as error:
                self._bear(LOOKING, error)
        return self._last

    def _look(self, work: Mapping[str, ArrayStatus]) -> None:
        if not self.draining and self._store.exists(layout.cancel_key(self._campaign)):
            self._events.add("cancel_requested")
            self.drain()
        self._record_failures(work)
        picture = Picture(
            states=self.observer.observe(work),
            work=work,
            plans=self.observer.plans,
            over=self._words.keys(),
            draining=self.draining,
        )
        states = self._fleets.look(picture)
        self._patience.went_well(LOOKING)
        actions = decide(states, draining=self.draining)
        for action in actions:
            self._try(action)
        self._last = Snapshot(
            states=states,
            actions=actions,
            work=work,
            outcomes=dict(self._words),
            plans=self.observer.plans,
            told=self._fleets.told,
        )

    def _rest(self, snapshot: Snapshot, watch: Callable[[Snapshot], None], spent_s: float) -> None:
        """Let the backend go on by itself until something needs a decision."""
        end_s = time.monotonic() + max(TICK_S, REST * spent_s)
        before, draining = _marks(snapshot.work), self.draining
        while (left_s := end_s - time.monotonic()) > 0:
            self._backend.wait(min(left_s, TICK_S))
            work = self._backend.observe()
            watch(replace(snapshot, work=work))
            if _marks(work) != before or self.draining != draining:
                return

    def _finished(self, snapshot: Snapshot) -> bool:
        if any(status.running for status in snapshot.work.values()):
            return False
        return self.draining or len(self._words) == len(self._stages)

    def _outcome(self) -> Outcome:
        return Outcome(
            stages=dict(self._words),
            drained=self.draining and not self._problem,
            reasons=dict(self._reasons),
            problem=self._problem,
        )

    def _try(self, action: Action) -> None:
        if self._patience.rests(action.stage, time.monotonic()):
            return
        try:
            self._act(action)
        except Damaged as error:
            self._redo(action.stage, error)
        except StoreError as error:
            self._bear(action.stage, error)
        else:
            self._patience.went_well(action.stage)

    def _bear(self, what: str, error: StoreError) -> None:
        """Try again later, a few times; then leave as after a Ctrl-C, but with the problem."""
        if self._problem:
            return
        self._events.add("store_trouble", stage=what, reason=str(error))
        if not self._patience.failed(what, time.monotonic()):
            self._problem = f"{what}: gave up after {TRIES} tries: {error}"
            self._events.add("giving_up", stage=what, reason=str(error))
            self.drain()

    def _redo(self, stage: str, error: Damaged) -> None:
        """Forget shards whose data is not what their records say; they are then missing."""
        self._damages[stage] += 1
        if not error.shards or self._damages[stage] > TRIES:
            self._bear(stage, error)
            return
        self._events.add("shard_damaged", stage=stage, shards=error.shards, reason=str(error))
        try:
            Artifact(self._store, self._stages[stage].address).forget(error.shards)
        except StoreError as trouble:
            self._bear(stage, trouble)

    def _act(self, action: Action) -> None:
        stage = self._stages[action.stage]
        match action:
            case decisions.Reuse():
                self._word(action, "reused")
            case decisions.Prepare():
                self._prepare(stage)
            case decisions.Submit():
                self._prepare(stage)
                self._backend.submit(self._work(stage, action))
                self._tell(action, "shards_submitted", shards=len(action.shards))
            case decisions.Seal():
                Artifact(self._store, stage.address).seal(self._plan(stage).num_shards)
                self._word(action, "sealed")
            case decisions.Fail():
                self._word(action, "failed")
            case decisions.Skip():
                self._word(action, "skipped")
            case decisions.Stop():
                self._backend.cancel(stage.address)
            case decisions.Wait():
                pass

    def _plan(self, stage: Resolved) -> ShardPlan:
        plan = self.observer.shard_plan(stage.node.name)
        assert plan is not None, "decided to work on a stage whose rows are not known"
        return plan

    def _prepare(self, stage: Resolved) -> None:
        if stage.address not in self._prepared:
            Artifact(self._store, stage.address).prepare(spec_of(stage, self._plan(stage)))
            self._prepared.add(stage.address)

    def _work(self, stage: Resolved, action: decisions.Submit) -> ArrayWork:
        node = stage.node
        return ArrayWork(
            name=stage.address,
            shards=action.shards,
            delays_s=_delays_s(action, node.retries),
            store_url=self._store.url,
            store_options=self._store_options,
            node=node.name,
            coordinates=node.coordinates,
            cpus=node.resources.cpus,
            gpus=node.resources.gpus,
            processes=node.resources.processes_per_node if stage.entry.kind == "gang" else 1,
            timeout_s=node.timeout_s,
            served=self._fleets.served(stage),
        )

    def _word(self, action: Action, word: str) -> None:
        if action.stage in self._words:
            return
        self._words[action.stage] = word
        if word in {"failed", "skipped"}:
            self._reasons[action.stage] = action.reason
        self._tell(action, f"stage_{word}", address=self._stages[action.stage].address)

    def _tell(self, action: Action, event: str, **fields: Any) -> None:
        self._events.add(event, stage=action.stage, reason=action.reason, **fields)

    def _record_failures(self, work: Mapping[str, ArrayStatus]) -> None:
        """Before anything is decided: a process ended by a signal left no record of its own."""
        for address, status in work.items():
            for end in status.failed[self._num_told[address] :]:
                self._num_told[address] += 1
                self._record_failure(address, end)

    def _record_failure(self, address: str, end: FailedAttempt) -> None:
        detail = json.dumps({"exit_code": end.exit_code, "message": end.message})
        try:
            Artifact(self._store, address).fail(end.shard, end.cause.value, end.attempt, detail)
        except StoreError as error:  # a full disk must not hide why it filled up
            self._events.add("failure_not_recorded", stage=self._names[address], reason=str(error))
        self._events.add(
            "attempt_failed",
            stage=self._names[address],
            shard=end.shard,
            attempt=end.attempt,
            cause=end.cause.value,
            reason=end.message,
        )


def _marks(work: Mapping[str, ArrayStatus]) -> list[tuple[bool, int]]:
    """Changes when a stage ran out of work or an attempt failed: the planner must hear of it."""
    return [(bool(status.held), len(status.failed)) for status in work.values()]


def _delays_s(action: decisions.Submit, policy: RetryPolicy) -> dict[int, float]:
    """Pauses of the shards that failed before."""
    verdicts = {shard: after(seen, policy) for shard, seen in action.failures.items()}
    return {s: verdict.delay_s for s, verdict in verdicts.items() if isinstance(verdict, Retry)}
