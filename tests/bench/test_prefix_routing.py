"""Does our routing keep prefixes as warm as a cache-aware router, and cost no time?

Run with:  pytest tests/bench/test_prefix_routing.py -m bench -s

Three replicas in simulated time, with a simulated prefix cache; the same requests for everyone.
"""

from __future__ import annotations

import pytest

from tests.bench.routing_simulation import POLICIES, Outcome, Shape, simulate
from tests.bench.rows import Row

SLACK = 1.005
"""Two schedules that differ in a handful of steps are the same."""
SEEDS = (1,)
FLEETS = {"one at half speed": (1.0, 1.0, 0.5), "all alike": (1.0, 1.0, 1.0)}
SHAPES = {"critiques": Shape(), "verdicts only": Shape(critique=4, solutions=150)}


def measured(policy: str, fleet: str, shape: str) -> Outcome:
    found = [
        simulate(policy, speeds=FLEETS[fleet], shape=SHAPES[shape], seed=seed) for seed in SEEDS
    ]
    return Outcome(
        hit_rate=sum(one.hit_rate for one in found) / len(found),
        seconds=sum(one.seconds for one in found) / len(found),
    )


@pytest.mark.bench
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("fleet", FLEETS)
def test_prefixes_stay_warm_at_no_cost_in_time(fleet: str, shape: str, row: Row) -> None:
    found = {policy: measured(policy, fleet, shape) for policy in POLICIES}
    print(f"\nreplicas: {fleet}; {shape}")
    for policy, one in found.items():
        ratio = one.seconds / found["round robin"].seconds
        print(f"{policy:13} hit rate {one.hit_rate:.3f}, {ratio:.2f} x round robin's time")
    ours, aware, turns = (found[name] for name in ("ours", "cache aware", "round robin"))
    warm = ours.hit_rate * SLACK >= aware.hit_rate
    quick = ours.seconds <= SLACK * min(turns.seconds, aware.seconds)
    row(
        f"(e) prefix-cache hit rate and time, 3 replicas, {fleet}, {shape} (simulated)",
        f"{ours.hit_rate:.3f}, {ours.seconds / turns.seconds:.2f} x round robin's time",
        "the best of both peers",
        warm and quick,
        f"cache-aware {aware.hit_rate:.3f}, {aware.seconds / turns.seconds:.2f} x;"
        f" round robin {turns.hit_rate:.3f}",
    )
    assert warm
    assert quick
