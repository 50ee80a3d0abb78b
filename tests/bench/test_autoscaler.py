"""How much time and how many replica-seconds does the autoscaler cost beside what is possible?

Peers     an oracle that knows the future (fleet_oracle.py says what it may), a fixed fleet of the
          largest size, KEDA with the HPA on its best metric, and one step up or down a minute
Setting   simulated fleets (fleet_simulation.py) of at most 8 replicas, a cold start of 120 s +-10%
Measure   makespan: from the first row to the last commit; replica-seconds: from each start to
          each end; turnaround: mean over stages.  All as ratios to the oracle's, which has the
          best turnaround of any fleet and the cost of its cheapest schedule, not both at once
Expect    at most 1.1 times the oracle's makespan and 1.15 times its replica-seconds
Beside    `brief`, `small` and `narrow` are told and not judged: the oracle leaves stages lying
          until the last one where that saves starts, the more so the smaller they are, and of
          a narrow one it pays any price for its speed
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache

import pytest

from jobs.plan.fleet import Spec
from tests.bench.fleet_oracle import oracle
from tests.bench.fleet_policies import Fixed, Keda, Ours, Stepper
from tests.bench.fleet_server import MAX_NUM_SEQS
from tests.bench.fleet_simulation import Outcome, simulate
from tests.bench.fleet_traces import TRACES, Trace, brief, narrow, small
from tests.bench.rows import Row

pytestmark = pytest.mark.bench

SPEC = Spec(max_replicas=8, max_num_seqs=MAX_NUM_SEQS)
POLICIES = (Ours, Fixed, Keda, Stepper)
MAX_MAKESPAN = 1.1
MAX_REPLICA_S = 1.15
NO_SLOWER_THAN_KEDA = 1.01
"""On a constant load KEDA keeps every replica and so ends at the first possible second."""

Make = Callable[[random.Random], Trace]


@cache
def outcomes(make: Make, seed: int = 0) -> dict[str, Outcome]:
    trace = make(random.Random(seed))
    found = {"oracle": oracle(trace, SPEC, seed=seed)}
    return found | {kind.name: simulate(trace, kind(SPEC), SPEC, seed=seed) for kind in POLICIES}


def table(make: Make) -> list[str]:
    found = outcomes(make)
    best = found["oracle"]
    lines = []
    for name, one in found.items():
        lines.append(
            f"{make.__name__:<9} {name:<8} {one.makespan_s:8.0f} s {one.replica_s:9.0f} s"
            f" {one.makespan_s / best.makespan_s:9.3f} {one.replica_s / best.replica_s:9.3f}"
            f" {one.turnaround_s / best.turnaround_s:10.2f} {one.starts:6}"
        )
    return lines


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    head = (
        f"{'trace':<9} {'policy':<8} {'makespan':>10} {'replica-s':>11}"
        f" {'x oracle':>9} {'x oracle':>9} {'turnaround':>10} {'starts':>6}"
    )
    lines = [line for make in (*TRACES, brief, small, narrow) for line in table(make)]
    with capsys.disabled():
        print("\n" + "\n".join([head, *lines]))


@pytest.mark.parametrize("make", TRACES, ids=lambda make: str(make.__name__))
def test_close_to_the_oracle_and_cheaper_than_the_others(make: Make, row: Row) -> None:
    found = outcomes(make)
    ours, best, keda = found["ours"], found["oracle"], found["keda"]
    makespan, cost = ours.makespan_s / best.makespan_s, ours.replica_s / best.replica_s
    row(
        f"(f) makespan and replica-seconds, trace {make.__name__} (simulated)",
        f"{makespan:.3f} x, {cost:.3f} x the oracle's",
        f"<= {MAX_MAKESPAN} x, <= {MAX_REPLICA_S} x",
        makespan <= MAX_MAKESPAN and cost <= MAX_REPLICA_S,
        f"KEDA {keda.makespan_s / best.makespan_s:.3f} x, {keda.replica_s / best.replica_s:.3f} x",
    )
    assert ours.makespan_s <= MAX_MAKESPAN * best.makespan_s
    assert ours.replica_s <= MAX_REPLICA_S * best.replica_s
    assert ours.replica_s == min(one.replica_s for name, one in found.items() if name != "oracle")
    assert ours.makespan_s <= NO_SLOWER_THAN_KEDA * keda.makespan_s
    assert ours.aborted == 0


def test_sooner_and_cheaper_than_keda_where_work_comes_in_stages() -> None:
    campaign = next(make for make in TRACES if make.__name__ == "campaign")
    ours, keda = outcomes(campaign)["ours"], outcomes(campaign)["keda"]
    assert ours.makespan_s < keda.makespan_s
    assert ours.replica_s < keda.replica_s
