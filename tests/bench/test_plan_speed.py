"""How fast are 100,000 shards planned?  The promise: under a second, whatever their state."""

from __future__ import annotations

import time
from typing import Any

import pytest

from jobs.plan.decide import StageState, decide
from jobs.plan.retry import Cause
from jobs.plan.shards import plan_shards

pytestmark = pytest.mark.bench

NUM_SHARDS = 100_000
HALF = frozenset(range(0, NUM_SHARDS, 2))

STATES: dict[str, dict[str, Any]] = {
    "fresh": {},
    "half done": {"done": HALF},
    "half done, rest running": {"done": HALF, "running": frozenset(range(1, NUM_SHARDS, 2))},
    "every shard failed": {
        "failures": {shard: {Cause.FAILED: 1, Cause.LOST: 1} for shard in range(NUM_SHARDS)}
    },
    "all done": {"done": frozenset(range(NUM_SHARDS))},
}


@pytest.mark.parametrize("name", STATES)
def test_100_000_shards_are_decided_within_a_second(name: str) -> None:
    state = StageState(name="seed", num_shards=NUM_SHARDS, **STATES[name])
    start_s = time.perf_counter()
    decide([state], draining=False)
    assert time.perf_counter() - start_s < 1.0


def test_100_000_shards_are_cut_within_a_second() -> None:
    start_s = time.perf_counter()
    plan = plan_shards(50_000_000, shards=NUM_SHARDS)
    assert sum(len(plan.rows_of(shard)) for shard in range(plan.num_shards)) == 50_000_000
    assert time.perf_counter() - start_s < 1.0
