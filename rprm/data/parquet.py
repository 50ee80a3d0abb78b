"""How is a Parquet file read, wherever it is?  In batches, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rprm.errors import BadInput

BATCH_ROWS = 256
"""Rows in memory at once: of judged steps some 10 MB with ten long critiques each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ParquetData:
    """A Parquet file, or what was read of one."""

    name: str
    """As messages call it."""
    open: Callable[[], Path | pa.BufferReader]

    def file(self) -> pq.ParquetFile:
        with self._explained():
            return pq.ParquetFile(self.open())

    def table(self) -> pa.Table:
        with self._explained():
            return self.file().read()

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        with self._explained(), self.file() as file:
            yield from file.iter_batches(BATCH_ROWS, columns=list(columns), use_threads=False)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError) as error:
            raise BadInput(
                f"{self.name} cannot be read as Parquet: {error}", fix="write the file again"
            ) from error
