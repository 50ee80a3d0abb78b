"""How does one attempt of a shard come to count?  Data first, then a record only one can create.

A killed attempt leaves data without a record: nobody reads it and `gc` sweeps it.  Of two live
attempts the first to create the record wins; the other one finds the winner's record and leaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from jobs.store import layout
from jobs.store.artifacts import Artifact
from jobs.store.base import NotFound
from jobs.store.hashing import sha256_of
from jobs.store.records import CommitRecord, FileRecord
from jobs.store.tables import to_parquet


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """Everything an attempt has to show."""

    table: pa.Table | None = None
    errors: pa.Table | None = None
    """Columns row_id, cause, detail."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    """Files and folders to publish, by name."""


def commit_shard(
    artifact: Artifact,
    shard: int,
    attempt: str,
    table: pa.Table | None,
    errors_table: pa.Table | None = None,
    facts: Mapping[str, Any] | None = None,
) -> CommitRecord:
    output = Output(table=table, errors=errors_table, facts=facts or {})
    return commit_output(artifact, shard, attempt, output)


def commit_output(artifact: Artifact, shard: int, attempt: str, output: Output) -> CommitRecord:
    """Returns the record that counts: ours, or that of the attempt that was first.

    `attempt` must be a name nobody used before for this shard."""
    if (winner := committed(artifact, shard)) is not None:
        return winner
    record = _write(artifact, shard, attempt, output)
    key = layout.done_key(artifact.address, shard)
    # Its data is safe on disk by now; a record that a power cut undoes only costs the shard again.
    if artifact.store.create(key, record.to_json(), durable=False):
        return record
    winner = artifact.records([shard])[0]
    if winner.attempt != attempt:  # equal when a retried request had succeeded unheard
        _withdraw(artifact, record)
    return winner


def committed(artifact: Artifact, shard: int) -> CommitRecord | None:
    try:
        return artifact.records([shard])[0]
    except NotFound:
        return None


def _write(artifact: Artifact, shard: int, attempt: str, output: Output) -> CommitRecord:
    data = b"" if output.table is None else to_parquet(output.table)
    num_errors = 0 if output.errors is None else output.errors.num_rows
    errors = to_parquet(output.errors) if output.errors is not None and num_errors else b""
    if data:
        artifact.store.put(layout.data_key(artifact.address, shard, attempt), data)
    if errors:
        artifact.store.put(layout.errors_key(artifact.address, shard, attempt), errors)
    files: list[FileRecord] = []
    for name, path in sorted(output.files.items()):
        files.extend(artifact.publish(path, name))
    return CommitRecord(
        index=shard,
        attempt=attempt,
        rows=0 if output.table is None else output.table.num_rows,
        bytes=len(data),
        sha256=sha256_of(data) if data else "",
        errors=num_errors,
        errors_bytes=len(errors),
        errors_sha256=sha256_of(errors) if errors else "",
        facts=output.facts,
        files=tuple(files),
    )


def _withdraw(artifact: Artifact, record: CommitRecord) -> None:
    artifact.store.delete(
        [
            layout.data_key(artifact.address, record.index, record.attempt),
            layout.errors_key(artifact.address, record.index, record.attempt),
        ]
    )
