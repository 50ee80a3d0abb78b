"""Which training checkpoints can be trusted?  Those with a manifest that their files match."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from jobs.store import layout
from jobs.store.artifacts import Artifact
from jobs.store.base import Entry, NotFound
from jobs.store.hashing import describe_file, files_below
from jobs.store.records import Damaged, FileRecord, complete, dump, parse

_log = logging.getLogger(__name__)

WEIGHTS = "weights"
RESUME = "resume"

KEPT_RESUME_STATES = 2
"""The newest, and one before it in case the newest turns out damaged.  Weights are all kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A committed checkpoint, as its manifest describes it."""

    step: int
    uri: str
    metrics: Mapping[str, float]
    facts: Mapping[str, Any]
    files: tuple[FileRecord, ...]
    """Names begin with "weights/" or "resume/"."""
    resumable: bool = True
    """False once its resume state was removed to save space."""


def commit_checkpoint(
    artifact: Artifact,
    step: int,
    weights: Path,
    resume: Path,
    metrics: Mapping[str, float],
    facts: Mapping[str, Any],
) -> str:
    """Copy both folders in, then the manifest; returns the checkpoint's uri.

    A step that is already committed and whole is left as it is."""
    uri = checkpoint_uri(artifact, step)
    done = layout.checkpoint_done_key(artifact.address, step)
    if artifact.store.exists(done):
        if _is_whole(artifact, step):
            return uri
        artifact.store.delete([done])
    files = [*_upload(artifact, step, weights, WEIGHTS), *_upload(artifact, step, resume, RESUME)]
    manifest = {
        "step": step,
        "metrics": dict(metrics),
        "facts": dict(facts),
        "files": [asdict(file) for file in files],
    }
    artifact.store.create(done, dump(manifest))
    _drop_old_resume_states(artifact)
    return uri


def checkpoint_uri(artifact: Artifact, step: int) -> str:
    return f"{artifact.store.url}/{layout.checkpoint_prefix(artifact.address, step)}"


def list_checkpoints(artifact: Artifact) -> list[Checkpoint]:
    """Those that training can resume from, oldest first.

    The newest is verified byte by byte, and dropped in favour of the one before if damaged; the
    others by size, and `restore` verifies what it copies."""
    resumable = [found for found in committed_checkpoints(artifact) if found.resumable]
    while resumable and not _is_whole(artifact, resumable[-1].step):
        resumable.pop()
    return resumable


def committed_checkpoints(artifact: Artifact) -> list[Checkpoint]:
    """Every committed checkpoint whose weights have the promised sizes, oldest first."""
    entries = artifact.store.list(layout.checkpoints_prefix(artifact.address))
    sizes = {entry.key: entry.size for entry in entries}
    return list(_intact(artifact, _committed_steps(entries), sizes))


def restore(artifact: Artifact, step: int, folder: Path) -> Checkpoint:
    """Copy what the checkpoint still has into `folder`/weights and `folder`/resume, verified."""
    checkpoint = _read(artifact, step)
    prefix = layout.checkpoint_prefix(artifact.address, step)
    kept = {entry.key for entry in artifact.store.list(prefix)}
    with_resume = all(f"{prefix}/{file.name}" in kept for file in checkpoint.files)
    for file in checkpoint.files:
        if with_resume or file.name.startswith(f"{WEIGHTS}/"):
            _restore_file(artifact, f"{prefix}/{file.name}", file, folder / file.name)
    return checkpoint


def _restore_file(artifact: Artifact, key: str, file: FileRecord, target: Path) -> None:
    try:
        artifact.store.download(key, target)
    except NotFound as error:
        raise _damaged(artifact, key, "is missing") from error
    if describe_file(target, file.name) != file:
        target.unlink()
        raise _damaged(artifact, key, "has changed")


def _upload(artifact: Artifact, step: int, folder: Path, part: str) -> Iterator[FileRecord]:
    prefix = layout.checkpoint_prefix(artifact.address, step)
    for path, name in files_below(folder, part):
        artifact.store.upload(path, f"{prefix}/{name}")
        yield describe_file(path, name)


def _committed_steps(entries: Sequence[Entry]) -> list[int]:
    names = [entry.key.rpartition("/")[2] for entry in entries]
    found = [name.removesuffix(".done") for name in names if name.endswith(".done")]
    return sorted(int(name) for name in found if name.isdecimal())


def _intact(
    artifact: Artifact, steps: Sequence[int], sizes: Mapping[str, int]
) -> Iterator[Checkpoint]:
    for step in steps:
        try:
            checkpoint = _read(artifact, step)
        except Damaged as error:
            _log.warning("checkpoint_skipped", extra={"step": step, "why": str(error)})
            continue
        prefix = layout.checkpoint_prefix(artifact.address, step)
        lacking = sorted(
            file.name
            for file in checkpoint.files
            if sizes.get(f"{prefix}/{file.name}") != file.size
        )
        if any(name.startswith(f"{WEIGHTS}/") for name in lacking):
            _log.warning("checkpoint_skipped", extra={"step": step, "why": f"torn: {lacking}"})
            continue
        yield replace(checkpoint, resumable=not lacking)


def _read(artifact: Artifact, step: int) -> Checkpoint:
    key = layout.checkpoint_done_key(artifact.address, step)
    where = f"{artifact.store.url}/{key}"
    raw = parse(artifact.store.get(key), where=where)
    with complete(where):
        return Checkpoint(
            step=raw["step"],
            uri=checkpoint_uri(artifact, step),
            metrics=raw["metrics"],
            facts=raw["facts"],
            files=tuple(FileRecord(**file) for file in raw["files"]),
        )


def _is_whole(artifact: Artifact, step: int) -> bool:
    """Every byte, resume state included.  Costs one read of the checkpoint."""
    prefix = layout.checkpoint_prefix(artifact.address, step)
    try:
        for file in _read(artifact, step).files:
            if artifact.store.sha256(f"{prefix}/{file.name}") != file.sha256:
                raise _damaged(artifact, f"{prefix}/{file.name}", "has changed")
    except (Damaged, NotFound) as error:
        _log.warning("checkpoint_skipped", extra={"step": step, "why": str(error)})
        return False
    return True


def _drop_old_resume_states(artifact: Artifact) -> None:
    entries = artifact.store.list(layout.checkpoints_prefix(artifact.address))
    old = _committed_steps(entries)[:-KEPT_RESUME_STATES]
    folders = tuple(f"{layout.checkpoint_prefix(artifact.address, step)}/{RESUME}/" for step in old)
    artifact.store.delete(entry.key for entry in entries if entry.key.startswith(folders))


def _damaged(artifact: Artifact, key: str, what: str) -> Damaged:
    return Damaged(
        f"{artifact.store.url}/{key} {what} since its checkpoint was committed.",
        fix="delete the checkpoint's .done record; training resumes from the one before",
    )
