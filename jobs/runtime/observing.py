"""What does the world look like now?  The store and the backend, as plain values for decide().

What is sealed stays sealed, so it is looked at once; a stage at work costs one listing a tick,
however many of its shards are done.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jobs.backends.base import ArrayStatus
from jobs.plan.decide import StageState
from jobs.plan.retry import Cause
from jobs.plan.shards import ShardPlan, plan_shards
from jobs.runtime.resolving import Resolved
from jobs.store import layout
from jobs.store.artifacts import Artifact, ArtifactState
from jobs.store.objects import NotFound, ObjectStore
from jobs.store.records import CommitRecord, Seal


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """What a running shard says of itself."""

    done: int
    total: int
    unit: str


class Observer:
    """Reads the store for one campaign; remembers only what can never change."""

    def __init__(self, store: ObjectStore, stages: Sequence[Resolved]) -> None:
        self._store = store
        self._stages = {stage.node.name: stage for stage in stages}
        self._seals: dict[str, Seal] = {}
        self._records: dict[str, dict[int, CommitRecord]] = {}
        self.plans: dict[str, ShardPlan] = {}
        """Of stages whose inputs are sealed."""

    def seal(self, node: str) -> Seal | None:
        """The seal of this node's artifact, if there is one."""
        if node not in self._seals:
            found = Artifact(self._store, self._stages[node].address).read_seal()
            if found is not None:
                self._seals[node] = found
        return self._seals.get(node)

    def shard_plan(self, node: str) -> ShardPlan | None:
        """None until the rows to shard over are known."""
        if node not in self.plans:
            num_rows = self._num_rows(self._stages[node])
            if num_rows is None:
                return None
            declared = self._stages[node].node
            self.plans[node] = plan_shards(
                num_rows, shards=declared.shards, rows_per_shard=declared.rows_per_shard
            )
        return self.plans[node]

    def observe(self, work: Mapping[str, ArrayStatus]) -> list[StageState]:
        """The state of every stage, upstream first."""
        return [self._state(stage, work.get(stage.address)) for stage in self._stages.values()]

    def progress(self, address: str, shard: int) -> Progress | None:
        """What the attempt at `shard` last said; None if nothing."""
        try:
            body = json.loads(self._store.get(layout.progress_key(address, shard)))
        except (NotFound, json.JSONDecodeError):
            return None
        return Progress(done=body["done"], total=body["total"], unit=body["unit"])

    def _num_rows(self, stage: Resolved) -> int | None:
        if stage.entry.kind != "map":
            return 1
        if stage.over is None:
            return int(stage.entry.make(stage.params).num_rows())
        upstream = self.seal(stage.node.inputs[stage.over][0])
        return upstream.num_rows if upstream else None

    def _state(self, stage: Resolved, work: ArrayStatus | None) -> StageState:
        node = stage.node
        sealed = self.seal(node.name) is not None
        if sealed or not all(self.seal(need) is not None for need in node.needs):
            return StageState(
                name=node.name, address=stage.address, needs=node.needs, sealed=sealed
            )
        plan = self.shard_plan(node.name)
        seen = Artifact(self._store, stage.address).observe()
        records = self._new_records(stage.address, seen)
        return StageState(
            name=node.name,
            address=stage.address,
            needs=node.needs,
            num_shards=plan.num_shards if plan else None,
            num_rows=_num_result_rows(records)
            if plan and len(seen.done) == plan.num_shards
            else None,
            done=seen.done,
            failures=failures_of(seen, work),
            error_rows=sum(record.errors for record in records.values()),
            error_budget=node.error_budget,
            running=work.held if work else frozenset(),
            policy=node.retries,
        )

    def _new_records(self, address: str, seen: ArtifactState) -> Mapping[int, CommitRecord]:
        """Each shard's record is read once: the sums are needed before the stage is sealed."""
        known = self._records.setdefault(address, {})
        new = sorted(seen.done - known.keys())
        for shard, record in zip(new, Artifact(self._store, address).records(new), strict=True):
            known[shard] = record
        return known


def _is_whole(plan: ShardPlan | None, seen: ArtifactState) -> bool:
    return plan is not None and len(seen.done) == plan.num_shards


def _num_result_rows(records: Mapping[int, CommitRecord]) -> int:
    """A row read may give many rows, so the total is known only once all shards are committed."""
    return sum(record.rows + record.errors for record in records.values())


def failures_of(seen: ArtifactState, work: ArrayStatus | None) -> Mapping[int, Mapping[Cause, int]]:
    """How often each shard failed for which cause.

    Worker and controller may both have noted an attempt; the controller knows better, since only
    it can tell a timeout from another request to leave.
    """
    attempts: dict[tuple[int, str], Cause] = {}
    for shard, found in seen.failures.items():
        for failure in found:
            known = (shard, failure.attempt) in attempts
            if not known or failure.code == Cause.TIMED_OUT:
                attempts[shard, failure.attempt] = Cause(failure.code)
    for end in work.failed if work else ():
        attempts[end.shard, end.attempt] = end.cause
    counts: dict[int, Counter[Cause]] = {}
    for (shard, _), cause in attempts.items():
        counts.setdefault(shard, Counter())[cause] += 1
    return counts
