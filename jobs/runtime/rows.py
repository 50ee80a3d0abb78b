"""Which rows are a shard's, and how are they read without reading all the others?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from jobs.plan.shards import ShardPlan
from jobs.runtime.stage_io import AttemptIO


def rows_of_shard(spec: Mapping[str, Any], io: AttemptIO, shard: int) -> pa.Table:
    """The shard's slice of the input it is sharded over; a table of row numbers without one."""
    plan = ShardPlan(num_rows=spec["num_rows"], num_shards=spec["num_shards"])
    rows = plan.rows_of(shard)
    if spec["over"] is None:
        return pa.table({"row": pa.array(rows, type=pa.int64())})
    return io.artifact(spec["over"]).rows(rows.start, rows.stop)
