"""Is an artifact complete, and what does its seal say?  Pure: records and sizes in, seal out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jobs.spec.errors import StoreError
from jobs.store import layout
from jobs.store.merging import merge_facts
from jobs.store.records import CommitRecord, Damaged, Seal, ShardRecord

SHOWN = 5
"""Problems quoted in one message; the rest is counted."""


def seal_of(
    address: str,
    *,
    spec: Mapping[str, Any],
    records: Sequence[CommitRecord],
    num_shards: int,
    sizes: Mapping[str, int],
) -> Seal:
    """`sizes` is what a listing found: key -> bytes.  Raises StoreError if anything is missing."""
    _demand_all_shards(address, records, num_shards)
    problems = [problem for record in records for problem in _problems(address, record, sizes)]
    if problems:
        raise _damaged(address, problems)
    files = {file.name: file for record in records for file in record.files}
    return Seal(
        address=address,
        node=spec.get("node", ""),
        stage=spec.get("stage", ""),
        run=spec.get("run", ""),
        version=spec.get("version", ""),
        params=spec.get("params", {}),
        inputs=spec.get("inputs", {}),
        coordinates=spec.get("coordinates", {}),
        num_rows=sum(record.rows for record in records),
        num_errors=sum(record.errors for record in records),
        facts=merge_facts(record.facts for record in records),
        shards=tuple(_shard(record) for record in records),
        files=tuple(files[name] for name in sorted(files)),
    )


def _demand_all_shards(address: str, records: Sequence[CommitRecord], num_shards: int) -> None:
    found = [record.index for record in records]
    if found == list(range(num_shards)):
        return
    missing = sorted(set(range(num_shards)) - set(found))[:SHOWN]
    surplus = [index for index in found if index >= num_shards][:SHOWN]
    raise StoreError(
        f"{address} cannot be sealed: {len(found)} of {num_shards} shards are committed"
        f" (missing {missing}, surplus {surplus}).",
        fix="run the campaign again; it goes on where it stopped",
    )


def _problems(
    address: str, record: CommitRecord, sizes: Mapping[str, int]
) -> Iterator[tuple[int, str]]:
    for key, wanted in _promised(address, record):
        if (found := sizes.get(key)) != wanted:
            has = "is missing" if found is None else f"has {found} bytes"
            yield record.index, f"{key} {has}, its record says {wanted}"


def _promised(address: str, record: CommitRecord) -> Iterator[tuple[str, int]]:
    if record.bytes:
        yield layout.data_key(address, record.index, record.attempt), record.bytes
    if record.errors_bytes:
        yield layout.errors_key(address, record.index, record.attempt), record.errors_bytes
    for file in record.files:
        yield layout.file_key(address, file.name), file.size


def _damaged(address: str, problems: Sequence[tuple[int, str]]) -> Damaged:
    told = "; ".join(text for _, text in problems[:SHOWN])
    more = f" and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    done = layout.done_key(address, problems[0][0])
    return Damaged(
        f"{address} is damaged: {told}{more}.",
        fix=f"delete the .done records of these shards (such as {done}); they run again",
        shards=tuple(sorted({shard for shard, _ in problems})),
    )


def _shard(record: CommitRecord) -> ShardRecord:
    return ShardRecord(
        index=record.index,
        attempt=record.attempt,
        rows=record.rows,
        bytes=record.bytes,
        sha256=record.sha256,
        errors=record.errors,
        errors_bytes=record.errors_bytes,
        errors_sha256=record.errors_sha256,
    )
