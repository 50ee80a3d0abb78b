"""What does the world look like now?  The store and the backend, as plain values for decide().

What is sealed stays sealed, so it is looked at once; a stage at work costs one listing a tick,
however many of its shards are done; one that waits costs nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from jobs.backends.base import ArrayStatus
from jobs.plan.decide import StageState
from jobs.plan.retry import Cause
from jobs.plan.shards import ShardPlan, plan_shards
from jobs.runtime.resolving import Resolved
from jobs.spec.errors import StoreError
from jobs.store import layout
from jobs.store.artifacts import Artifact, ArtifactState
from jobs.store.objects import ObjectStore
from jobs.store.records import Seal


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """What a running shard says of itself."""

    done: int
    total: int
    unit: str


class Tally:
    """Rows of the committed shards of one stage; each commit record is read once."""

    def __init__(self, artifact: Artifact) -> None:
        self._artifact = artifact
        self._counts: dict[int, tuple[int, int]] = {}
        """Shard to its rows, good or not, and its error rows."""
        self.num_rows = 0
        self.num_errors = 0

    def update(self, done: AbstractSet[int]) -> None:
        if self._counts.keys() == done:
            return
        for shard in self._counts.keys() - done:  # forgotten, to run again
            del self._counts[shard]
        for record in self._artifact.records(sorted(done - self._counts.keys())):
            self._counts[record.index] = (record.rows + record.errors, record.errors)
        self.num_rows = sum(rows for rows, _ in self._counts.values())
        self.num_errors = sum(errors for _, errors in self._counts.values())


class Observer:
    """Reads the store for one campaign; remembers only what can never change."""

    def __init__(self, store: ObjectStore, stages: Sequence[Resolved]) -> None:
        self._store = store
        self._stages = {stage.node.name: stage for stage in stages}
        self._seals: dict[str, Seal] = {}
        self._seen: set[str] = set()
        self._tallies: dict[str, Tally] = {}
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

    def error_rows(self, node: str) -> int:
        """Rows of committed shards that could not be worked on, as of the last look."""
        tally = self._tallies.get(self._stages[node].address)
        return tally.num_errors if tally else 0

    def progress(self, address: str, shard: int, attempt: str) -> Progress | None:
        """What this attempt at `shard` last said; None if nothing."""
        try:
            body = json.loads(self._store.get(layout.progress_key(address, shard)))
        except (StoreError, json.JSONDecodeError):  # only a picture for people
            return None
        if body["attempt"] != attempt:
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
        ready = all(need in self._seals for need in node.needs)  # upstream ones came before
        if self._is_sealed(node.name, ready=ready) or not ready:
            sealed = node.name in self._seals
            return StageState(
                name=node.name, address=stage.address, needs=node.needs, sealed=sealed
            )
        plan = self.shard_plan(node.name)
        artifact = Artifact(self._store, stage.address)
        seen = artifact.observe()
        tally = self._tallies.setdefault(stage.address, Tally(artifact))
        tally.update(seen.done)
        is_whole = plan is not None and len(seen.done) == plan.num_shards
        return StageState(
            name=node.name,
            address=stage.address,
            needs=node.needs,
            num_shards=plan.num_shards if plan else None,
            num_rows=tally.num_rows if is_whole or not node.error_budget else None,
            done=seen.done,
            failures=failures_of(seen, work),
            # a share needs the total, and a row read may give many: it is known at the end
            error_rows=tally.num_errors if is_whole or not node.error_budget else 0,
            error_budget=node.error_budget,
            running=work.held if work else frozenset(),
            policy=node.retries,
        )

    def _is_sealed(self, node: str, *, ready: bool) -> bool:
        """What waits for its inputs is looked at once: nobody but us can seal it meanwhile."""
        if ready or node not in self._seen:
            self._seen.add(node)
            return self.seal(node) is not None
        return node in self._seals


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
