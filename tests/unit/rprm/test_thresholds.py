"""Does the curve over thresholds give what each threshold gives on its own?"""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm.benchmarks.processbench import evaluate, num_relevant, outcome
from rprm.benchmarks.thresholds import GRID, best_threshold, gather, outcomes, sweep
from rprm.errors import BadInput
from rprm.schema import Solution
from rprm.scoring import first_error


def solution(id: str, label: int, *, num_steps: int = 3, subset: str = "gsm8k") -> Solution:
    return Solution(
        id=id,
        problem_id=id,
        subset=subset,
        generator="g",
        problem="q",
        steps=tuple("s" * num_steps),
        label=label,
    )


SCORES = st.lists(
    st.one_of(st.none(), st.integers(0, 10).map(lambda one: one / 10)), min_size=4, max_size=4
)


@given(
    rows=st.lists(st.tuples(st.integers(-1, 3), SCORES), min_size=1, max_size=8),
    threshold=st.integers(-1, 11).map(lambda one: one / 10),
)
def test_one_pass_tells_every_threshold(
    rows: list[tuple[int, list[float | None]]], threshold: float
) -> None:
    solutions = [solution(str(n), label, num_steps=4) for n, (label, _) in enumerate(rows)]
    scores = {str(n): of for n, (_, of) in enumerate(rows)}
    expected = [
        outcome(one, first_error(scores[one.id][: num_relevant(one)], threshold=threshold))
        for one in solutions
    ]
    assert outcomes(gather(solutions, scores), threshold) == expected


def test_a_curve_has_the_scores_of_every_subset() -> None:
    solutions = [solution("a", 1), solution("b", -1), solution("c", 0, subset="math")]
    matches = gather(solutions, {"a": [0.9, 0.3], "b": [0.6, 0.7, 0.8], "c": [0.1]})
    low, middle, high = sweep(matches, [0.2, 0.5, 0.7])
    assert low.result.subsets["gsm8k"].f1 == 0
    assert middle.result.subsets["gsm8k"].f1 == 100
    assert high.result.subsets["gsm8k"].acc_correct == 0
    assert middle.result.subsets["gsm8k"] == evaluate(outcomes(matches, 0.5)).subsets["gsm8k"]


def test_scores_that_end_early_decide_only_higher_thresholds() -> None:
    matches = gather([solution("a", -1), solution("b", 2)], {"a": [0.9, 0.4], "b": []})
    assert [matches.num_undecided(at) for at in (0.3, 0.4, 0.41)] == [2, 2, 1]
    assert not matches.at(0.3).any()


def test_the_best_threshold_of_one_subset_serves_all() -> None:
    solutions = [solution("a", 1), solution("b", -1), solution("c", 0, subset="math")]
    scores = {"a": [0.9, 0.38], "b": [0.41, 0.7, 0.8], "c": [0.1]}
    assert best_threshold(gather(solutions, scores), "gsm8k") == 0.39  # the lowest of 0.39…0.41


def test_a_best_threshold_needs_both_kinds_and_whole_scores() -> None:
    correct = [solution("a", -1)]
    with pytest.raises(BadInput, match="one kind only"):
        best_threshold(gather(correct, {"a": [0.9, 0.9, 0.9]}), "gsm8k")
    with pytest.raises(BadInput, match="end before"):
        best_threshold(gather(correct, {"a": [0.9]}), "gsm8k")
    with pytest.raises(BadInput, match="use one of gsm8k"):
        best_threshold(gather(correct, {"a": [0.9] * 3}), "gsm")


def test_the_grid_has_two_digits() -> None:
    assert all(math.isclose(100 * one, round(100 * one)) for one in GRID)
    assert (GRID[0], GRID[-1]) == (0.01, 0.99)
