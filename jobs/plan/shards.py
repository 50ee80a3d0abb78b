"""Which rows are in which shard?  Arithmetic only, whatever the number of shards."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """Contiguous shards in row order whose sizes differ by one row at most."""

    num_rows: int
    num_shards: int

    def rows_of(self, shard: int) -> range:
        if not 0 <= shard < self.num_shards:
            raise IndexError(f"shard {shard} of {self.num_shards}")
        size, larger = divmod(self.num_rows, self.num_shards)
        start = shard * size + min(shard, larger)
        return range(start, start + size + (shard < larger))


def plan_shards(
    num_rows: int, *, shards: int | None = None, rows_per_shard: int | None = None
) -> ShardPlan:
    """Never more shards than rows, and one empty shard for no rows."""
    if num_rows < 0:
        raise ValueError(f"{num_rows} rows")
    if shards is not None and rows_per_shard is not None:
        raise ValueError("shards and rows_per_shard exclude each other")
    wanted = shards if shards is not None else 1
    if rows_per_shard is not None:
        wanted = -(-num_rows // max(rows_per_shard, 1))
    return ShardPlan(num_rows=num_rows, num_shards=max(1, min(wanted, num_rows)))
