"""What does a shard's commit cost on a local disk, beyond writing the same Parquet durably?

Peer  pyarrow.parquet.write_table + fsync of the file: what any safe writer must pay
Ours  commit_shard: encode, hash, stage, flush, rename, and a record that only one can create
Goal  less than 20 ms more per shard
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.store.artifacts import Artifact
from jobs.store.commit import commit_shard
from jobs.store.objects import open_store

SHARDS = 100
ROWS = 512
GOAL_S = 0.020


def table() -> pa.Table:
    texts = [
        f"step {row}: " + "the sum of the digits is checked again; " * 20 for row in range(ROWS)
    ]
    return pa.table({"case_id": [f"c{row}" for row in range(ROWS)], "text": texts})


def seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def write_plainly(rows: pa.Table, path: Path) -> None:
    with path.open("wb") as file:
        pq.write_table(rows, file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())


@pytest.mark.bench
def test_a_commit_costs_little_more_than_writing_the_file(tmp_path: Path) -> None:
    rows = table()
    artifact = Artifact(open_store(str(tmp_path / "store")), "bench-1")
    (tmp_path / "plain").mkdir()
    plain, ours = [], []
    for shard in range(SHARDS):  # in turns, so that both meet the same disk
        path = tmp_path / "plain" / f"{shard}.parquet"
        plain.append(seconds(lambda path=path: write_plainly(rows, path)))  # type: ignore[misc]
        ours.append(
            seconds(lambda shard=shard: commit_shard(artifact, shard, "a1", rows, None))  # type: ignore[misc]
        )
    extra = statistics.median(ours) - statistics.median(plain)
    ratio = statistics.median(ours) / statistics.median(plain)
    print(
        f"\n{SHARDS} commits of {ROWS} rows: {ratio:.2f} x pyarrow + fsync,"
        f" {extra * 1e3:.2f} ms more per shard (goal {GOAL_S * 1e3:.0f})"
    )
    assert extra < GOAL_S
