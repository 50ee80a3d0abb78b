"""Are curves over K, thresholds and data what a loop over their points would give?"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rprm.benchmarks import k_curve as by_k
from rprm.benchmarks.curves import (
    Resampling,
    curve,
    data_curve,
    k_curve,
    matches_at_k,
    threshold_curve,
)
from rprm.benchmarks.k_curve import Beliefs
from rprm.benchmarks.processbench import Outcome, evaluate
from rprm.benchmarks.statistics import bootstrap, combined, paired_bootstrap
from rprm.benchmarks.thresholds import gather
from rprm.errors import BadInput
from rprm.schema import Solution

QUICK = Resampling(num_resamples=200)


def solution(index: int, label: int, *, steps: int = 3) -> Solution:
    return Solution(
        id=f"s{index}",
        problem_id=f"p{index // 2}",
        subset="gsm8k" if index % 2 else "math",
        generator="g",
        problem="q",
        steps=("step",) * steps,
        label=label,
    )


def judged(number: int, *, critiques: int, seed: int = 0, gaps: float = 0.0) -> Beliefs:
    """A judge that sees through the noise the better the more critiques it writes."""
    random = np.random.default_rng(seed)
    solutions = tuple(solution(index, (index // 2) % 4 - 1) for index in range(number))
    rows: list[Any] = []
    starts: list[int] = []
    steps: list[int] = []
    for one in solutions:
        starts.append(len(rows))
        for step in range(3 if one.label < 0 else one.label + 1):
            truth = 0.35 if step == one.label else 0.65
            beliefs_K = np.clip(truth + random.normal(0, 0.35, critiques), 0, 1)
            beliefs_K[random.random(critiques) < gaps] = np.nan
            rows.append(beliefs_K)
            steps.append(step)
    return Beliefs(
        solutions=solutions,
        beliefs_SK=np.array(rows),
        starts_N=np.array(starts),
        step_S=np.array(steps),
    )


def outcome(index: int, match: float, *, erroneous: bool) -> Outcome:
    return Outcome(
        solution_id=f"s{index}",
        problem_id=f"p{index}",
        subset="math",
        erroneous=erroneous,
        match=match,
    )


def run(rate: float, seed: int) -> list[Outcome]:
    random = np.random.default_rng(seed)
    return [
        outcome(index, float(random.random() < rate), erroneous=index % 2 == 0)
        for index in range(120)
    ]


def test_the_curve_has_every_k_with_the_interval_of_the_bootstrap() -> None:
    data = judged(160, critiques=6)
    found = k_curve(data, by=QUICK)
    expected = by_k.expected_outcomes(data)
    assert [point.at for point in found] == [1, 2, 3, 4, 5, 6]
    for point in found:
        assert point.value == bootstrap(expected[int(point.at)], num_resamples=200)
    assert found[-1].value.estimate > found[0].value.estimate + 5


def test_the_gain_over_one_critique_is_the_paired_bootstrap() -> None:
    data = judged(160, critiques=4)
    found = k_curve(data, by=QUICK)
    expected = by_k.expected_outcomes(data)
    assert found[0].gain is None
    for point in found[1:]:
        k = int(point.at)
        assert point.gain == paired_bootstrap(expected[k], expected[1], num_resamples=200)
    last = found[-1].gain
    assert last is not None
    assert last.difference.low > 0


def test_the_threshold_curve_is_a_loop_over_thresholds() -> None:
    data = judged(80, critiques=4, gaps=0.2)
    grid = [0.2, 0.35, 0.5, 0.65]
    found = threshold_curve(matches_at_k(data, num_critiques=3), grid, reference=0.5, by=QUICK)
    for point in found:
        loop = by_k.outcomes(data, num_critiques=3, threshold=point.at)
        assert point.value.estimate == pytest.approx(evaluate(loop).f1)
        assert point.value == bootstrap(loop, num_resamples=200)
        assert (point.gain is None) == (point.at == 0.5)


@given(seed=st.integers(0, 99), threshold=st.floats(0, 1), k=st.integers(1, 3))
@settings(max_examples=30)
def test_scores_of_critiques_match_where_their_predictions_do(
    seed: int, threshold: float, k: int
) -> None:
    data = judged(12, critiques=3, seed=seed, gaps=0.3)
    expected = [one.match for one in by_k.outcomes(data, num_critiques=k, threshold=threshold)]
    assert matches_at_k(data, num_critiques=k).at(threshold).tolist() == [bool(x) for x in expected]


def test_a_threshold_that_the_scores_do_not_reach_is_refused() -> None:
    solutions = [solution(0, -1), solution(1, 1), solution(2, 2), solution(3, -1)]
    scores = {
        "s0": [0.9, 0.9, 0.9],
        "s1": [0.9, 0.3],
        "s2": [0.9, 0.4],  # judged until the first score below 0.5
        "s3": [0.8, 0.9, 0.9],
    }
    matches = gather(solutions, scores)
    assert len(threshold_curve(matches, [0.5, 0.6], by=QUICK)) == 2
    with pytest.raises(BadInput, match=r"1 solution\(s\) end before threshold 0.35"):
        threshold_curve(matches, [0.35, 0.5], by=QUICK)


def test_points_of_one_curve_are_of_the_same_solutions() -> None:
    ours = run(0.5, 0)
    with pytest.raises(BadInput, match="same solutions"):
        curve({1: ours, 2: ours[:-1]})
    with pytest.raises(BadInput, match="no point at 3"):
        curve({1: ours, 2: ours}, reference=3)


def test_a_data_curve_covers_seeds_and_problems() -> None:
    runs = {1000.0: [run(0.5, 1), run(0.55, 2)], 250.0: [run(0.3, 3)]}
    found = data_curve(runs, by=QUICK)
    assert [point.at for point in found] == [250, 1000]
    assert found[0].value == bootstrap(runs[250][0], num_resamples=200)
    assert found[1].value == combined(runs[1000], num_resamples=200)
    with pytest.raises(BadInput, match="no run at 10 examples"):
        data_curve({10: []})


def test_a_subset_without_errors_has_no_point_to_draw() -> None:
    right = [replace(one, erroneous=False) for one in run(0.5, 0)]
    [point] = curve({1: right}, by=QUICK)
    assert math.isnan(point.value.estimate)
    [accuracy] = curve({1: right}, metric="acc_correct", by=QUICK)
    assert not math.isnan(accuracy.value.estimate)
