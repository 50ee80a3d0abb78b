"""What does a checkpoint hold, and how does training go on from the newest committed one?

weights/   what a model folder holds: safetensors, configuration, tokenizer; tracked as a model
resume/    optimizer, scheduler, random states, trainer state; the running means of the log;
           the candidates so far and a copy of the best one's weights, because only the newest
           checkpoints can be restored and the best one may be older

A checkpoint made because the worker was asked to leave is not a candidate for the best one:
otherwise an interrupted training could choose another result than an undisturbed one.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import structlog

from rprm.errors import BadInput
from rprm.stages.io import CheckpointView, StageIO

log = structlog.get_logger()

WEIGHTS = "weights"
RESUME = "resume"
BEST = "best"
CANDIDATES = "candidates.json"
LOSS = "eval/loss"


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A committed checkpoint that may become the result."""

    step: int
    uri: str
    metrics: Mapping[str, float]
    """Its evaluation; without validation examples there is no loss in it."""


def best_of(candidates: Sequence[Candidate]) -> Candidate:
    """The lowest validation loss, the earlier one of a tie; the last without validation."""
    measured = [c for c in candidates if LOSS in c.metrics]
    if not measured:
        return max(candidates, key=lambda c: c.step)
    return min(measured, key=lambda c: (c.metrics[LOSS], c.step))


@dataclass(frozen=True, kw_only=True, slots=True)
class Restored:
    """A committed checkpoint on local disk."""

    weights: Path
    resume: Path
    merged: Path
    """Both side by side, as transformers' Trainer resumes from."""
    step: int
    total_steps: int
    candidates: tuple[Candidate, ...]


def restore_newest(io: StageIO) -> Restored | None:
    """Fetch the newest committed checkpoint; None when training starts from the beginning."""
    committed = io.checkpoints()
    if not committed:
        return None
    newest = committed[-1]
    folder = io.scratch / f"restored-{io.rank}"
    newest.restore(folder)
    if newest.facts["world_size"] != io.world_size:
        raise BadInput(
            f"The checkpoint of step {newest.step} was made by {newest.facts['world_size']} "
            f"processes and cannot be resumed by {io.world_size}.",
            fix="give the stage the resources it had, or change a param to train anew.",
        )
    for part in (WEIGHTS, RESUME):
        link_tree(folder / part, folder / "merged")
    return Restored(
        weights=folder / WEIGHTS,
        resume=folder / RESUME,
        merged=folder / "merged",
        step=newest.step,
        total_steps=newest.facts["total_steps"],
        candidates=_candidates(folder / RESUME / CANDIDATES, newest),
    )


def _candidates(earlier: Path, newest: CheckpointView) -> tuple[Candidate, ...]:
    candidates = tuple(Candidate(**entry) for entry in json.loads(earlier.read_text()))
    evaluation = newest.facts["evaluation"]
    if evaluation is None:
        return candidates
    return (*candidates, Candidate(step=newest.step, uri=newest.uri, metrics=evaluation))


def link_tree(source: Path, target: Path) -> None:
    """Copy a folder without copying its bytes: the files are never written to again."""
    shutil.copytree(source, target, copy_function=os.link, dirs_exist_ok=True)


class Committer:
    """Commits checkpoints and keeps the best one's weights.  Used by rank 0 only."""

    def __init__(self, io: StageIO, restored: Restored | None) -> None:
        self.io = io
        self.best_weights = io.scratch / BEST
        self.candidates: list[Candidate] = []
        if restored and restored.candidates:
            self.candidates = list(restored.candidates)
            newest_is_best = self.best.step == restored.step
            link_tree(
                restored.weights if newest_is_best else restored.resume / BEST, self.best_weights
            )

    @property
    def best(self) -> Candidate:
        return best_of(self.candidates)

    def commit(
        self,
        folder: Path,
        *,
        step: int,
        evaluation: Mapping[str, float] | None,
        facts: Mapping[str, Any],
    ) -> None:
        """Commit what was written below `folder`; without an evaluation it is no candidate."""
        earlier = tuple(self.candidates)
        this = None if evaluation is None else Candidate(step=step, uri="", metrics=evaluation)
        is_best = this is not None and best_of([*earlier, this]) is this
        resume = folder / RESUME
        (resume / CANDIDATES).write_text(json.dumps([asdict(candidate) for candidate in earlier]))
        if earlier and not is_best:
            link_tree(self.best_weights, resume / BEST)
        uri = self.io.commit_checkpoint(
            step=step,
            weights=folder / WEIGHTS,
            resume=resume,
            metrics=evaluation or {},
            facts={**facts, "evaluation": evaluation},
        )
        log.info("checkpoint_committed", step=step)
        if this is not None:
            self.candidates.append(replace(this, uri=uri))
        if is_best:
            shutil.rmtree(self.best_weights, ignore_errors=True)
            link_tree(folder / WEIGHTS, self.best_weights)
        shutil.rmtree(folder)
