"""Does every row land in exactly one shard?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.plan.shards import ShardPlan, plan_shards


@pytest.mark.parametrize(
    ("num_rows", "shards", "rows_per_shard", "expected"),
    [
        (10, 3, None, 3),
        (10, None, 4, 3),
        (10, None, 5, 2),
        (10, None, None, 1),
        (2, 8, None, 2),  # never more shards than rows
        (0, 8, None, 1),  # one empty shard, so that there is something to commit
        (0, None, 5, 1),
    ],
)
def test_how_many_shards(
    num_rows: int, shards: int | None, rows_per_shard: int | None, expected: int
) -> None:
    plan = plan_shards(num_rows, shards=shards, rows_per_shard=rows_per_shard)
    assert plan == ShardPlan(num_rows, expected)


@given(st.integers(0, 2000), st.integers(1, 300))
def test_every_row_is_in_exactly_one_shard(num_rows: int, shards: int) -> None:
    plan = plan_shards(num_rows, shards=shards)
    rows = [row for shard in range(plan.num_shards) for row in plan.rows_of(shard)]
    assert rows == list(range(num_rows))
    sizes = [len(plan.rows_of(shard)) for shard in range(plan.num_shards)]
    assert max(sizes) - min(sizes) <= 1


@given(st.integers(0, 10**12), st.integers(1, 10**6))
def test_no_shard_is_larger_than_asked(num_rows: int, rows_per_shard: int) -> None:
    plan = plan_shards(num_rows, rows_per_shard=rows_per_shard)
    assert len(plan.rows_of(0)) <= rows_per_shard
    assert plan.rows_of(plan.num_shards - 1).stop == num_rows


def test_a_shard_outside_of_the_plan_is_refused() -> None:
    plan = plan_shards(10, shards=2)
    for shard in (-1, 2):
        with pytest.raises(IndexError):
            plan.rows_of(shard)


def test_contradictions_are_refused() -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        plan_shards(10, shards=2, rows_per_shard=5)
    with pytest.raises(ValueError, match="-1 rows"):
        plan_shards(-1)
