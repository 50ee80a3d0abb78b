"""Do the intervals cover what they promise, and agree with closed forms and with scipy?"""

from __future__ import annotations

import math
import random
from statistics import NormalDist, stdev

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from rprm.benchmarks.processbench import Outcome, evaluate
from rprm.benchmarks.statistics import (
    average,
    averaged,
    bootstrap,
    combined,
    over_seeds,
    paired_bootstrap,
    resample,
)
from rprm.benchmarks.student_t import cdf, quantile
from rprm.errors import BadInput


def one(id: int, match: float, *, erroneous: bool = True, problem: int | None = None) -> Outcome:
    return Outcome(
        solution_id=str(id),
        problem_id=str(id if problem is None else problem),
        subset="math",
        erroneous=erroneous,
        match=match,
    )


def judged(rates: tuple[float, float], *, number: int, seed: int) -> list[Outcome]:
    random_ = random.Random(seed)
    return [
        one(i, float(random_.random() < rates[i % 2]), erroneous=i % 2 == 0) for i in range(number)
    ]


def test_the_spread_of_an_accuracy_is_the_closed_form() -> None:
    outcomes = [one(i, float(i < 140)) for i in range(200)]
    values = resample([outcomes], metric="acc_error", num_resamples=4000, seed=0)[0]
    assert values.mean() == pytest.approx(70, abs=0.3)
    assert values.std() == pytest.approx(100 * math.sqrt(0.7 * 0.3 / 200), rel=0.05)


def test_the_interval_is_that_of_scipy() -> None:
    outcomes = judged((0.6, 0.6), number=150, seed=1)
    matches = np.array([x.match for x in outcomes if x.erroneous])
    theirs = scipy.stats.bootstrap(
        (100 * matches,), np.mean, n_resamples=8000, method="percentile", rng=0
    ).confidence_interval
    ours = bootstrap(outcomes, metric="acc_error", num_resamples=8000)
    # Resampling all problems lets the number of erroneous ones vary: a little wider.
    assert ours.low == pytest.approx(theirs.low, abs=1.5)
    assert ours.high == pytest.approx(theirs.high, abs=1.5)
    assert ours.estimate == pytest.approx(100 * matches.mean())


def test_the_f1_interval_agrees_with_a_plain_loop() -> None:
    outcomes = judged((0.5, 0.8), number=120, seed=2)
    random_ = random.Random(0)
    loop = [evaluate(random_.choices(outcomes, k=120)).f1 for _ in range(2000)]
    ours = bootstrap(outcomes, num_resamples=4000)
    assert ours.low == pytest.approx(np.quantile(loop, 0.025), abs=1.2)
    assert ours.high == pytest.approx(np.quantile(loop, 0.975), abs=1.2)
    assert ours.estimate == evaluate(outcomes).f1


def test_solutions_of_one_problem_are_not_new_evidence() -> None:
    alone = [one(i, float(i % 2)) for i in range(40)]
    repeated = [one(100 * i + r, float(i % 2), problem=i) for i in range(40) for r in range(5)]
    narrow, wide = bootstrap(alone, metric="acc_error"), bootstrap(repeated, metric="acc_error")
    assert (wide.low, wide.high) == pytest.approx((narrow.low, narrow.high))


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    hits = 0
    for seed in range(200):
        interval = bootstrap(judged((0.7, 0.8), number=200, seed=seed), num_resamples=300)
        hits += interval.low <= 2 * 70 * 80 / 150 <= interval.high
    assert 0.90 <= hits / 200 <= 0.99


def test_the_same_seed_gives_the_same_interval_whatever_the_order() -> None:
    outcomes = judged((0.5, 0.5), number=60, seed=3)
    assert bootstrap(outcomes, seed=5) == bootstrap(outcomes[::-1], seed=5)
    assert bootstrap(outcomes, seed=5) != bootstrap(outcomes, seed=6)


def test_pairing_removes_what_is_hard_for_both() -> None:
    baseline = judged((0.5, 0.6), number=300, seed=4)
    better = [
        one(i, max(x.match, float(i % 12 < 2)), erroneous=x.erroneous)
        for i, x in enumerate(baseline)
    ]
    found = paired_bootstrap(better, baseline)
    assert found.difference.low > 0
    assert found.p_value < 0.01
    separate = bootstrap(better).high - bootstrap(better).low
    assert found.difference.high - found.difference.low < separate
    assert found.difference.estimate == average(better) - average(baseline)


def test_a_judge_is_not_better_than_itself() -> None:
    outcomes = judged((0.5, 0.6), number=50, seed=5)
    found = paired_bootstrap(outcomes, outcomes)
    assert found.p_value == 1
    assert (found.difference.low, found.difference.high) == (0, 0)


def test_judges_of_different_solutions_are_not_compared() -> None:
    with pytest.raises(BadInput, match="same solutions"):
        paired_bootstrap([one(1, 1.0)], [one(2, 1.0)])


def test_p_values_of_equal_judges_are_uniform() -> None:
    values = [
        paired_bootstrap(
            judged((0.6, 0.6), number=120, seed=2 * s),
            judged((0.6, 0.6), number=120, seed=2 * s + 1),
            num_resamples=200,
        ).p_value
        for s in range(150)
    ]
    assert np.mean(np.array(values) < 0.5) == pytest.approx(0.5, abs=0.13)
    assert np.mean(np.array(values) < 0.1) == pytest.approx(0.1, abs=0.08)


def test_a_subset_without_one_kind_has_no_f1_interval() -> None:
    interval = bootstrap([one(i, 1.0) for i in range(5)])
    assert math.isnan(interval.estimate)
    assert math.isnan(interval.low)


# --- seeds ----------------------------------------------------------------------------------


def test_three_seeds_give_the_t_interval() -> None:
    values = [70.0, 72.0, 74.0]
    low, high = scipy.stats.t.interval(0.95, 2, loc=72, scale=stdev(values) / math.sqrt(3))
    found = over_seeds(values)
    assert (found.estimate, found.low, found.high) == pytest.approx((72, low, high))


def test_one_seed_tells_nothing_of_its_spread() -> None:
    assert math.isnan(over_seeds([70.0]).low)


def test_seeds_that_agree_leave_the_interval_over_problems() -> None:
    run = judged((0.6, 0.7), number=300, seed=6)
    over_problems, both = bootstrap(run), combined([run, run, run])
    assert both.estimate == pytest.approx(over_problems.estimate)
    width = over_problems.high - over_problems.low
    assert both.high - both.low == pytest.approx(width, rel=0.08)
    assert combined([run]) == over_problems


def test_the_combined_interval_is_wider_than_either_part() -> None:
    runs = [judged((rate, rate), number=300, seed=7) for rate in (0.5, 0.6, 0.7)]
    both = combined(runs)
    seeds = over_seeds([average(run) for run in runs])
    problems = bootstrap(averaged(runs))
    assert both.estimate == pytest.approx(seeds.estimate)
    assert both.high - both.low > problems.high - problems.low
    normal = NormalDist().inv_cdf(0.975)
    spread = (seeds.high - seeds.low) / quantile(0.975, 2) * normal
    assert both.high - both.low > spread


def test_averaging_runs_keeps_one_outcome_per_solution() -> None:
    runs = [[one(0, 1.0), one(1, 0.0)], [one(0, 0.0), one(1, 0.0)]]
    assert averaged(runs) == [one(0, 0.5), one(1, 0.0)]


@given(probability=st.floats(0.001, 0.999), freedom=st.floats(1, 500))
def test_quantiles_of_t_are_those_of_scipy(probability: float, freedom: float) -> None:
    found = quantile(probability, freedom)
    assert found == pytest.approx(scipy.stats.t.ppf(probability, freedom), rel=1e-8, abs=1e-9)
    assert cdf(found, freedom) == pytest.approx(probability, abs=1e-9)


@pytest.mark.parametrize(("probability", "freedom"), [(0, 1), (1, 1), (0.5, 0)])
def test_quantiles_that_do_not_exist_are_refused(probability: float, freedom: float) -> None:
    with pytest.raises(ValueError, match="no quantile"):
        quantile(probability, freedom)
