"""How do Arrow tables become files and come back?  The same table always gives the same bytes."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.store.records import Damaged

ERRORS = pa.schema([("row_id", pa.string()), ("cause", pa.string()), ("detail", pa.string())])
"""Rows that could not be judged."""

ROWS_PER_GROUP = 16_384
"""Fixed, so that how a stage chunked its table leaves no trace in the file."""


def to_parquet(table: pa.Table) -> bytes:
    """Schema metadata is dropped: libraries leave versions and index ranges in it."""
    sink = pa.BufferOutputStream()
    pq.write_table(
        table.replace_schema_metadata(None).combine_chunks(),
        sink,
        row_group_size=ROWS_PER_GROUP,
        compression="zstd",
        version="2.6",
    )
    return sink.getvalue().to_pybytes()


def from_parquet(data: bytes, columns: Sequence[str] | None, *, where: str) -> pa.Table:
    """A shard that wrote no rows may have no columns either; it yields what it has."""
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        present = None
        if columns is not None:
            present = [name for name in columns if name in file.schema_arrow.names]
        return file.read(columns=present)
    except (pa.ArrowException, OSError) as error:
        raise Damaged(
            f"{where} is not a Parquet file ({error}).",
            fix="delete its .done record; the shard runs again",
        ) from error


def concatenate(tables: Sequence[pa.Table], columns: Sequence[str] | None) -> pa.Table:
    """All rows in shard order; shards without columns add nothing."""
    with_columns = [table for table in tables if table.num_columns]
    if not with_columns:
        return pa.table({name: pa.nulls(0) for name in columns or ()})
    try:
        joined = pa.concat_tables(with_columns, promote_options="default")
    except pa.ArrowException as error:
        raise Damaged(
            f"The shards do not have the same columns ({error}).",
            fix="let the stage give every table one schema, and raise its `version`",
        ) from error
    return joined.select(list(columns)) if columns is not None else joined
