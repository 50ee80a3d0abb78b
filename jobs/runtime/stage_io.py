"""How does a running stage read its inputs and leave its results?

The job system's side of the method's StageIO contract, for one process of one attempt.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from jobs.backends.base import Served, ShardTask
from jobs.plan.fingerprint import fleet_digest_name
from jobs.runtime.views import SealedView
from jobs.spec.errors import ConfigError
from jobs.store import checkpoints, layout
from jobs.store.artifacts import Artifact
from jobs.store.objects import ObjectStore
from jobs.tracking import outbox, records, registry

PROGRESS_EVERY_S = 1.0
"""The live table is redrawn about as often; more would only cost writes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where this attempt works on this machine."""

    scratch: Path
    cache: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Committed:
    """A committed checkpoint of this stage."""

    artifact: Artifact
    checkpoint: checkpoints.Checkpoint

    @property
    def step(self) -> int:
        return self.checkpoint.step

    @property
    def uri(self) -> str:
        return self.checkpoint.uri

    @property
    def facts(self) -> Mapping[str, Any]:
        return self.checkpoint.facts

    def restore(self, folder: Path) -> None:
        """Into `folder`/weights and `folder`/resume, verified."""
        checkpoints.restore(self.artifact, self.step, folder)


class AttemptIO:
    """What `run(io, …)` gets.  Only rank 0 of a gang leaves anything behind."""

    def __init__(
        self,
        *,
        task: ShardTask,
        store: ObjectStore,
        spec: Mapping[str, Any],
        place: Place,
        asked_to_leave: Callable[[], bool],
    ) -> None:
        self._task = task
        self._store = store
        self._spec = spec
        self._place = place
        self._asked_to_leave = asked_to_leave
        self._artifact = Artifact(store, task.address)
        self._writes = task.rank == 0
        self._next_progress_s = 0.0
        self.facts: dict[str, Any] = {}
        self.errors: list[dict[str, str]] = []
        self.data: pa.Table | None = None
        self.files: dict[str, Path] = {}
        """Copied into the artifact with the commit; they must stay in place until then."""

    @property
    def stage(self) -> str:
        return self._task.node

    @property
    def coordinates(self) -> Mapping[str, Any]:
        return self._task.coordinates

    @property
    def cpus(self) -> int:
        return self._task.cpus

    @property
    def gpus(self) -> int:
        return len(self._task.gpus)

    @property
    def rank(self) -> int:
        return self._task.rank

    @property
    def world_size(self) -> int:
        return self._task.world_size

    @property
    def scratch(self) -> Path:
        return self._place.scratch

    @property
    def draining(self) -> bool:
        return self._asked_to_leave()

    def artifact(self, name: str) -> SealedView:
        views = self.artifacts(name)
        if len(views) != 1:
            given = ", ".join(sorted(self._spec["inputs"])) or "none"
            raise ConfigError(
                f"stage {self.stage!r} reads input {name!r}, which names {len(views)} artifacts "
                f"(inputs given: {given}).",
                fix=f"give one stage as inputs.{name}.",
            )
        return views[0]

    def artifacts(self, name: str) -> Sequence[SealedView]:
        return [
            SealedView(
                self._store,
                ref["address"],
                coordinates=ref.get("coordinates", {}),
                cache=self._place.cache,
            )
            for ref in self._spec["inputs"].get(name, ())
        ]

    def served(self, role: str) -> Served | None:
        served = self._task.served.get(role)
        if served is None and fleet_digest_name(role) in self._spec["digests"]:
            raise ConfigError(
                f"stage {self.stage!r} calls a fleet for its {role!r}, and this worker was not "
                "told where it is.",
                fix="run its campaign: whoever starts the fleet tells its workers.",
            )
        return served

    def write(self, table: pa.Table) -> None:
        self.data = table

    def publish(self, path: Path, name: str, *, track: bool = False) -> None:
        if not self._writes:
            return
        self.files[name] = path
        if track:
            self._track(records.File(name=name))

    def note(self, **facts: Any) -> None:
        self.facts |= facts

    def error(self, row_id: str, cause: str, detail: str) -> None:
        self.errors.append({"row_id": row_id, "cause": cause, "detail": detail})

    def progress(self, done: int, total: int, unit: str) -> None:
        now_s = time.monotonic()
        if not self._writes or now_s < self._next_progress_s:
            return
        self._next_progress_s = now_s + PROGRESS_EVERY_S
        body = {"done": done, "total": total, "unit": unit, "attempt": self._task.attempt}
        key = layout.progress_key(self._task.address, self._task.shard)
        self._store.put(key, json.dumps(body).encode(), durable=False)

    def log(
        self,
        metrics: Mapping[str, float],
        *,
        step: int = 0,
        checkpoint: str | None = None,
        dataset: Mapping[str, str] | None = None,
    ) -> None:
        self._track(
            records.Metrics(
                values={name: float(value) for name, value in metrics.items()},
                step=step,
                checkpoint=checkpoint,
                dataset=dataset,
                shard=self._task.shard if self._spec["kind"] == "map" else None,
            )
        )

    def commit_checkpoint(
        self,
        *,
        step: int,
        weights: Path,
        resume: Path,
        metrics: Mapping[str, float],
        facts: Mapping[str, Any],
    ) -> str:
        uri = checkpoints.commit_checkpoint(self._artifact, step, weights, resume, metrics, facts)
        self._track_checkpoint(uri, step, metrics, facts)
        return uri

    def checkpoints(self) -> Sequence[Committed]:
        """Also tracks what is committed: a kill may have come between commit and record."""
        for found in checkpoints.committed_checkpoints(self._artifact):
            self._track_checkpoint(found.uri, found.step, found.metrics, found.facts)
        return [
            Committed(artifact=self._artifact, checkpoint=found)
            for found in checkpoints.list_checkpoints(self._artifact)
        ]

    def champion(self, model: str) -> Mapping[str, Any] | None:
        return registry.champion(self._store, model)

    def promote(self, model: str, decision: Mapping[str, Any]) -> None:
        """A retried attempt finds its own decision in the ledger and adds none."""
        if not self._writes:
            return
        signed = {**decision, "by": self._task.address}
        known = [
            entry.sequence
            for entry in registry.history(self._store, model)
            if entry.decision.get("by") == self._task.address
        ]
        sequence = known[0] if known else registry.append(self._store, model, signed)
        self._track(records.Promotion(model=model, sequence=sequence, decision=signed))

    def _track_checkpoint(
        self, uri: str, step: int, metrics: Mapping[str, float], facts: Mapping[str, Any]
    ) -> None:
        self._track(
            records.Checkpoint(uri=uri, step=step, metrics=dict(metrics), facts=dict(facts))
        )

    def _track(self, record: records.Record) -> None:
        if self._writes:
            outbox.append(self._store, self._task.address, record)
