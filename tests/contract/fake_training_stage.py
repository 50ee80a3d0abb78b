"""What does training talk to in tests?  A test double of StageIO on a temporary folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class FakeCheckpoint:
    """A committed checkpoint below the test's temporary folder."""

    folder: Path

    @property
    def step(self) -> int:
        return int(self.folder.name)

    @property
    def uri(self) -> str:
        return f"fake://checkpoints/{self.folder.name}"

    @property
    def facts(self) -> Mapping[str, Any]:
        facts: dict[str, Any] = json.loads((self.folder / "facts.json").read_text())
        return facts

    def restore(self, folder: Path) -> None:
        for part in ("weights", "resume"):
            shutil.copytree(self.folder / part, folder / part)


class KilledError(Exception):
    """Stands for a kill -9 in the middle of an attempt."""


@dataclass(kw_only=True)
class FakeTrainingStage:
    """StageIO as far as training uses it.  Not a job system: for tests only."""

    store: Path
    scratch: Path
    cpus: int = 1
    gpus: int = 0
    rank: int = 0
    world_size: int = 1
    drain_at: int | None = None
    """Asks to leave once this step is done."""
    kill_after: int | None = None
    """Dies at the end of the step with this number."""
    done: int = 0
    progressed: list[tuple[int, int, str]] = field(default_factory=list)
    logged: dict[int, dict[str, float]] = field(default_factory=dict)
    committed: list[tuple[int, Mapping[str, float], Mapping[str, Any]]] = field(
        default_factory=list
    )

    @property
    def draining(self) -> bool:
        return self.drain_at is not None and self.done + 1 >= self.drain_at

    def progress(self, done: int, total: int, unit: str) -> None:
        self.done = done
        self.progressed.append((done, total, unit))
        if self.kill_after is not None and done >= self.kill_after:
            raise KilledError

    def log(self, metrics: Mapping[str, float], *, step: int = 0, **links: Any) -> None:
        self.logged.setdefault(step, {}).update(metrics)

    def commit_checkpoint(
        self,
        *,
        step: int,
        weights: Path,
        resume: Path,
        metrics: Mapping[str, float],
        facts: Mapping[str, Any],
    ) -> str:
        assert self.rank == 0, "only rank 0 may write"
        folder = self.store / f"{step:010}"
        shutil.copytree(weights, folder / "weights")
        shutil.copytree(resume, folder / "resume")
        (folder / "facts.json").write_text(json.dumps(facts))
        self.committed.append((step, metrics, facts))
        for old in sorted(self.store.iterdir())[:-2]:
            shutil.rmtree(old / "resume", ignore_errors=True)
        return FakeCheckpoint(folder=folder).uri

    def checkpoints(self) -> Sequence[FakeCheckpoint]:
        folders = sorted(self.store.iterdir()) if self.store.exists() else []
        return [FakeCheckpoint(folder=f) for f in folders if (f / "resume").exists()]
