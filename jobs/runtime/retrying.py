"""What must be forgotten so that failed work is tried again?"""

from __future__ import annotations

from collections.abc import Sequence

from jobs.runtime.resolving import Resolved
from jobs.runtime.session import Session
from jobs.store import layout
from jobs.store.artifacts import Artifact


def request_cancel(session: Session) -> None:
    """Whoever runs this campaign sees the request at its next tick."""
    session.store.put(layout.cancel_key(session.name), b"")


def retry_failures(session: Session, stages: Sequence[Resolved]) -> int:
    """Forget the failed attempts of these stages; returns how many there were."""
    keys = []
    for stage in stages:
        for entry in session.store.list(layout.shards_prefix(stage.address)):
            inside = layout.split_artifact_key(entry.key)
            shard = layout.parse_shard_key(inside[1]) if inside else None
            if shard is not None and shard.kind == "failed":
                keys.append(entry.key)
    session.store.delete(keys)
    return len(keys)


def retry_errors(session: Session, stages: Sequence[Resolved]) -> list[str]:
    """Open the artifacts that hold error rows and forget the shards with them.

    Everything downstream read the old rows, so its artifacts are opened as well.  Returns a line
    for each artifact that will be made again.
    """
    told: list[str] = []
    stale: set[str] = set()
    for stage in session.stages:
        seal = session.observer.seal(stage.node.name)
        if stale & set(stage.node.needs):
            stale.add(stage.node.name)
            if seal is not None:
                Artifact(session.store, stage.address).forget([s.index for s in seal.shards])
                told.append(f"{stage.node.name}: made again, since it read what changes")
            continue
        shards = [s.index for s in seal.shards if s.errors] if seal and stage in stages else []
        if shards:
            Artifact(session.store, stage.address).forget(shards)
            stale.add(stage.node.name)
            told.append(f"{stage.node.name}: {len(shards)} shards with error rows")
    return told
