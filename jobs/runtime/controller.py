"""Who drives a campaign to its end?  A loop: observe, decide, act, wait.

It keeps no state of its own.  Killed between any two lines and started again it goes on, since
all it knows is in the store, and every act is harmless to repeat.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jobs.backends.base import ArrayStatus, ArrayWork, Backend, FailedAttempt
from jobs.plan import actions as decisions
from jobs.plan.actions import Action
from jobs.plan.decide import StageState, decide
from jobs.plan.retry import Retry, RetryPolicy, after
from jobs.plan.shards import ShardPlan
from jobs.runtime.events import EventLog
from jobs.runtime.observing import Observer
from jobs.runtime.resolving import Resolved
from jobs.runtime.spec import spec_of
from jobs.spec.errors import StoreError
from jobs.store import layout
from jobs.store.artifacts import Artifact
from jobs.store.objects import ObjectStore

TICK_S = 0.2
"""Longest wait between two looks; the end of an attempt wakes the loop at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """One tick, for whoever shows it."""

    states: Sequence[StageState]
    actions: Sequence[Action]
    work: Mapping[str, ArrayStatus]
    outcomes: Mapping[str, str]
    """Final word per finished stage: sealed, reused, failed or skipped."""
    plans: Mapping[str, ShardPlan]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How the campaign ended."""

    stages: Mapping[str, str]
    drained: bool
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Why a stage failed or was skipped."""

    @property
    def succeeded(self) -> bool:
        return not self.drained and all(
            word in {"sealed", "reused"} for word in self.stages.values()
        )


class Controller:
    """One campaign on one backend."""

    def __init__(
        self,
        *,
        campaign: str,
        stages: Sequence[Resolved],
        store: ObjectStore,
        store_options: Mapping[str, str],
        backend: Backend,
        events: EventLog,
    ) -> None:
        self._campaign = campaign
        self._stages = {stage.node.name: stage for stage in stages}
        self._store = store
        self._store_options = store_options
        self._backend = backend
        self._events = events
        self.observer = Observer(store, stages)
        self._told: set[tuple[str, str]] = set()
        """(stage, attempt or action) already in the event log: it only keeps the log short."""
        self._words: dict[str, str] = {}
        self._reasons: dict[str, str] = {}
        self.draining = False

    def run(self, watch: Callable[[Snapshot], None] = lambda snapshot: None) -> Outcome:
        """Tick until nothing is left to do, or until drained."""
        while True:
            snapshot = self.tick()
            watch(snapshot)
            if self._finished(snapshot):
                return Outcome(
                    stages=dict(self._words), drained=self.draining, reasons=dict(self._reasons)
                )
            self._backend.wait(TICK_S)

    def drain(self, *, hard: bool = False) -> None:
        """Start nothing more and let running attempts reach a safe point; `hard` ends them."""
        self.draining = True
        self._backend.drain(hard=hard)

    def tick(self) -> Snapshot:
        if not self.draining and self._store.exists(layout.cancel_key(self._campaign)):
            self._events.add("cancel_requested")
            self.drain()
        work = self._backend.observe()
        self._record_failures(work)
        states = self.observer.observe(work)
        actions = decide(states, draining=self.draining)
        for action in actions:
            self._act(action)
        return Snapshot(
            states=states,
            actions=actions,
            work=work,
            outcomes=dict(self._words),
            plans=self.observer.plans,
        )

    def _finished(self, snapshot: Snapshot) -> bool:
        if any(status.running for status in snapshot.work.values()):
            return False
        return self.draining or len(self._words) == len(self._stages)

    def _act(self, action: Action) -> None:
        stage = self._stages[action.stage]
        match action:
            case decisions.Reuse():
                self._word(action, self._words.get(action.stage, "reused"))
            case decisions.Prepare():
                Artifact(self._store, stage.address).prepare(self._spec(stage))
            case decisions.Submit():
                Artifact(self._store, stage.address).prepare(self._spec(stage))
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

    def _spec(self, stage: Resolved) -> dict[str, Any]:
        return spec_of(stage, self._plan(stage))

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
            for end in status.failed:
                if (address, end.attempt) not in self._told:
                    self._told.add((address, end.attempt))
                    self._record_failure(address, end)

    def _record_failure(self, address: str, end: FailedAttempt) -> None:
        detail = json.dumps({"exit_code": end.exit_code, "message": end.message})
        try:
            Artifact(self._store, address).fail(end.shard, end.cause.value, end.attempt, detail)
        except StoreError as error:  # a full disk must not hide why it filled up
            self._events.add("failure_not_recorded", stage=address, reason=str(error))
        name = next(n for n, stage in self._stages.items() if stage.address == address)
        self._events.add(
            "attempt_failed",
            stage=name,
            shard=end.shard,
            attempt=end.attempt,
            cause=end.cause.value,
            reason=end.message,
        )


def _delays_s(action: decisions.Submit, policy: RetryPolicy) -> dict[int, float]:
    """Pauses of the shards that failed before."""
    verdicts = {shard: after(seen, policy) for shard, seen in action.failures.items()}
    return {s: verdict.delay_s for s, verdict in verdicts.items() if isinstance(verdict, Retry)}


def now_ms() -> int:
    return time.time_ns() // 1_000_000
