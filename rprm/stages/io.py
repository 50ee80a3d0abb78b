"""What does a stage see of the world?  The one contract between the method and a job system.

A stage is a class named in a campaign (`run: rprm.stages.seed:Seed`):

    class Seed:
        kind = "map"            # or "single", "gang"
        version = "1"           # raise it when the same params would give another result
        preload = ("torch",)    # modules worth importing once before workers are forked
        pace = ("max_in_flight",)    # optional: params that change how fast, never what
        served_roles = ("teacher",)  # optional: models it can ask for through `io.served`
        class Params(pydantic.BaseModel): ...          # extra="forbid"
        def __init__(self, params: Params) -> None: ...
        def digests(self) -> Mapping[str, str]: ...    # optional: name -> digest of outside data
        def num_rows(self) -> int: ...                 # map stages without an input: how many rows
        def run(self, io, rows): ...                   # map: yields tables of results, in row order
        def run(self, io): ...                         # single and gang

Importing a stage module must stay cheap (no torch): plans are made by people who wait.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa


class ArtifactView(Protocol):
    """A finished upstream artifact, read-only."""

    @property
    def address(self) -> str:
        """Its name in the store, such as "sft-3f9a…"."""
        ...

    @property
    def url(self) -> str: ...

    @property
    def stage(self) -> str: ...

    @property
    def coordinates(self) -> Mapping[str, Any]:
        """Where it stands in the campaign's sweeps, such as {"rows": 2000, "seed": 1}."""
        ...

    @property
    def params(self) -> Mapping[str, Any]: ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the stage noted about itself with `io.note`."""
        ...

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All data rows, in row order."""
        ...

    def errors(self) -> pa.Table:
        """Rows that could not be judged: row_id, cause, detail (all strings)."""
        ...

    def path(self, name: str) -> Path:
        """A local, read-only copy of what was published as `name` (a file or a folder)."""
        ...


class CheckpointView(Protocol):
    """A committed training checkpoint of this artifact."""

    @property
    def step(self) -> int: ...

    @property
    def uri(self) -> str: ...

    @property
    def facts(self) -> Mapping[str, Any]: ...

    def restore(self, folder: Path) -> None:
        """Copy every file into `folder`, verifying sizes and sha256."""
        ...


class ServedModel(Protocol):
    """A model that runs behind servers, for this stage to ask."""

    @property
    def url(self) -> str:
        """Where the servers are; see `rprm.engines.endpoints`."""
        ...

    @property
    def model(self) -> str:
        """A folder or Hub id with the model's tokenizer."""
        ...

    @property
    def key_env(self) -> str | None:
        """Name of the environment variable that holds the servers' key."""
        ...


class StageIO(Protocol):
    @property
    def stage(self) -> str: ...

    @property
    def coordinates(self) -> Mapping[str, Any]: ...

    @property
    def cpus(self) -> int:
        """Threads this process may use."""
        ...

    @property
    def gpus(self) -> int: ...

    @property
    def rank(self) -> int:
        """This process's rank in a gang; 0 elsewhere.  Only rank 0 may write."""
        ...

    @property
    def world_size(self) -> int: ...

    @property
    def scratch(self) -> Path:
        """An empty local folder of this attempt, removed afterwards."""
        ...

    @property
    def draining(self) -> bool:
        """True once the worker was asked to leave: reach a safe point and raise Drained."""
        ...

    def artifact(self, name: str) -> ArtifactView:
        """The upstream artifact given to input `name`."""
        ...

    def artifacts(self, name: str) -> Sequence[ArtifactView]:
        """All upstream artifacts of a gathered input `name`; [] when the input is not given."""
        ...

    def served(self, role: str) -> ServedModel | None:
        """The servers of the model that the stage calls `role`; None: it runs in this process.

        Which model it is, and so what goes into rows, stands in the input or param `role`."""
        ...

    def write(self, table: pa.Table) -> None:
        """single/gang: the data rows of this artifact (at most one call)."""
        ...

    def publish(self, path: Path, name: str, *, track: bool = False) -> None:
        """Put a file or folder into the artifact; `track` also attaches it to the tracked run."""
        ...

    def note(self, **facts: Any) -> None:
        """JSON facts that travel with the artifact: counts of every rule, digests, the best step.

        In map stages numeric facts are summed over shards and other facts must agree."""
        ...

    def error(self, row_id: str, cause: str, detail: str) -> None:
        """map: this row cannot be judged; it counts as done and is excluded from results."""
        ...

    def progress(self, done: int, total: int, unit: str) -> None:
        """For the live table; cheap, call it often."""
        ...

    def log(
        self,
        metrics: Mapping[str, float],
        *,
        step: int = 0,
        checkpoint: str | None = None,
        dataset: Mapping[str, str] | None = None,
    ) -> None:
        """Track metrics.  `checkpoint` is a uri from `commit_checkpoint` or of a published model
        (the judged model); `dataset` is {"name": …, "digest": …}."""
        ...

    def commit_checkpoint(
        self,
        *,
        step: int,
        weights: Path,
        resume: Path,
        metrics: Mapping[str, float],
        facts: Mapping[str, Any],
    ) -> str:
        """Commit a checkpoint and return its uri; it exists once its manifest does.

        Both are folders: `weights` is kept and tracked as a model, `resume` is the optimizer
        state, of which only the newest two are kept."""
        ...

    def checkpoints(self) -> Sequence[CheckpointView]:
        """Committed checkpoints that can be resumed, oldest first; broken ones are left out."""
        ...

    def champion(self, model: str) -> Mapping[str, Any] | None:
        """The newest promotion decision that made a champion of registry model `model`."""
        ...

    def promote(self, model: str, decision: Mapping[str, Any]) -> None:
        """Append a decision to the registry's ledger; it is then applied to the model registry.

        Keys: promoted (bool), reason, checkpoint (uri), metrics, rule, candidate, champion."""
        ...
