"""Is the benchmark's number the official one?"""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rprm.benchmarks import k_curve
from rprm.benchmarks.processbench import (
    Outcome,
    Prediction,
    evaluate,
    f1,
    metrics,
    outcome,
    predict,
)
from rprm.errors import BadInput
from rprm.schema import Critique, Judgement, Solution, Unparsed, Verdict
from rprm.scoring import Aggregate, score


def solution(id: str, label: int, *, num_steps: int = 4, subset: str = "math") -> Solution:
    return Solution(
        id=id,
        problem_id=id,
        subset=subset,
        generator="g",
        problem="q",
        steps=tuple("s" * num_steps),
        label=label,
    )


def judgement(case_id: str, beliefs: list[float | None]) -> Judgement:
    critiques = tuple(
        Unparsed(text="", cause="no_marker", num_tokens=1)
        if value is None
        else Critique(
            text="",
            verdict=Verdict.YES if value > 0.5 else Verdict.NO,
            p_yes=value,
            num_tokens=1,
        )
        for value in beliefs
    )
    return Judgement(case_id=case_id, critiques_K=critiques, score=score(critiques))


def judged(id: str, scores: list[float | None]) -> dict[str, Judgement]:
    return {f"{id}:{s}": judgement(f"{id}:{s}", [value]) for s, value in enumerate(scores)}


@pytest.mark.parametrize(
    ("acc_error", "acc_correct", "expected", "digits"),
    [
        (72.0, 91.7, 80.7, 1),  # R-PRM-7B-DPO on GSM8K, as published
        (71.2, 83.5, 76.9, 1),  # and on MATH
        (60.2, 67.8, 63.8, 1),  # and on OlympiadBench
        (0.0, 0.0, 0.0, 9),  # the official script divides by zero here
        (0.0, 100.0, 0.0, 9),
    ],
)
def test_f1_is_the_harmonic_mean_of_two_accuracies(
    acc_error: float, acc_correct: float, expected: float, digits: int
) -> None:
    assert round(f1(acc_error, acc_correct), digits) == expected


def test_the_average_is_unweighted_over_subsets() -> None:
    """The published 70.4 is the plain mean of 80.7, 76.9, 63.8 and 60.1."""
    outcomes = [
        *(_outcome(f"a{i}", "big", i % 2 == 0, match=True) for i in range(100)),
        _outcome("b0", "small", True, match=True),
        _outcome("b1", "small", False, match=False),
    ]
    result = evaluate(outcomes)
    assert result.f1 == 50.0
    assert metrics(result) == {
        "processbench/average/f1": 50.0,
        "processbench/big/f1": 100.0,
        "processbench/big/acc_error": 100.0,
        "processbench/big/acc_correct": 100.0,
        "processbench/small/f1": 0.0,
        "processbench/small/acc_error": 100.0,
        "processbench/small/acc_correct": 0.0,
    }


def _outcome(id: str, subset: str, erroneous: bool, *, match: bool) -> Outcome:
    return Outcome(
        solution_id=id, problem_id=id, subset=subset, erroneous=erroneous, match=float(match)
    )


def test_what_is_not_defined_is_not_reported() -> None:
    result = evaluate([_outcome("a", "math", True, match=True)])
    assert math.isnan(result.subsets["math"].acc_correct)
    assert metrics(result, prefix="chains") == {"chains/math/acc_error": 100.0}
    assert metrics(evaluate([])) == {}


@pytest.mark.parametrize(
    ("label", "scores", "prediction", "match"),
    [
        (2, [0.9, 0.5, 0.4], 2, True),
        (2, [0.9, 0.4, 0.4], 1, False),
        (-1, [0.9, 0.5, 0.9, 0.9], -1, True),
        (-1, [0.9, 0.9, 0.9, 0.1], 3, False),
        (-1, [0.9, None, 0.9, 0.9], None, False),  # unknown never matches, on either side
        (1, [None, 0.1], None, False),
        (0, [0.1, None, None], 0, True),  # steps after the label are not looked at
        (1, [0.9, 0.9, 0.1], -1, False),  # missed: nothing later can repair it
        (-1, [0.9, 0.9], None, False),  # steps without a judgement
    ],
)
def test_a_prediction_is_the_first_step_below_the_threshold(
    label: int, scores: list[float | None], prediction: Prediction, match: bool
) -> None:
    one = solution("a", label)
    made = predict(one, judged("a", scores))
    assert made == prediction
    assert outcome(one, made).match == match


beliefs = st.one_of(st.none(), st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]))


@settings(max_examples=60)
@given(data=st.data(), num_critiques=st.integers(1, 5), threshold=st.sampled_from([0.5, 0.61]))
def test_the_curve_at_k_is_the_prediction_from_the_first_k_critiques(
    data: st.DataObject, num_critiques: int, threshold: float
) -> None:
    labels = data.draw(st.lists(st.integers(-1, 2), min_size=1, max_size=6))
    solutions = [solution(str(i), label, num_steps=3) for i, label in enumerate(labels)]
    drawn = {
        f"{one.id}:{step}": data.draw(
            st.lists(beliefs, min_size=num_critiques, max_size=num_critiques)
        )
        for one in solutions
        for step in range(3)
        if data.draw(st.integers(0, 9))  # some steps have no judgement
    }
    full = {id: judgement(id, values) for id, values in drawn.items()}
    curve = k_curve.gather(solutions, full, num_critiques=num_critiques)
    for k in range(1, num_critiques + 1):
        first = {id: judgement(id, values[:k]) for id, values in drawn.items()}
        assert k_curve.predictions(curve, num_critiques=k, threshold=threshold) == {
            one.id: predict(one, first, threshold=threshold) for one in solutions
        }


def noisy(num_solutions: int, num_critiques: int) -> tuple[list[Solution], dict[str, Judgement]]:
    random_ = random.Random(0)
    solutions = [solution(str(i), random_.choice([-1, 0, 1, 2])) for i in range(num_solutions)]
    judgements = {}
    for one in solutions:
        for step in range(4):
            mean = 0.35 if step == one.label else 0.7
            values = [min(1.0, max(0.0, random_.gauss(mean, 0.3))) for _ in range(num_critiques)]
            judgements[f"{one.id}:{step}"] = judgement(f"{one.id}:{step}", [*values])
    return solutions, judgements


def test_shuffles_of_the_critiques_steady_the_curve_and_leave_its_end_alone() -> None:
    solutions, judgements = noisy(80, 9)
    curve = k_curve.gather(solutions, judgements, num_critiques=9)
    expected = k_curve.expected_outcomes(curve, num_orders=30, seed=1)
    assert expected[9] == k_curve.outcomes(curve, num_critiques=9)
    by_k = [evaluate(expected[k]).f1 for k in (1, 3, 9)]
    assert by_k[0] < by_k[1] < by_k[2]
    assert any(0 < one.match < 1 for one in expected[1])
    again = k_curve.expected_outcomes(curve, num_orders=30, seed=1)
    assert again == expected


def test_the_end_of_the_curve_is_the_benchmarks_own_number() -> None:
    solutions, judgements = noisy(200, 10)
    curve = k_curve.gather(solutions, judgements, num_critiques=10)
    direct = [outcome(one, predict(one, judgements)) for one in solutions]
    assert k_curve.outcomes(curve, num_critiques=10) == direct


def test_hard_votes_have_their_own_curve() -> None:
    one = solution("a", 0, num_steps=1)
    full = {"a:0": judgement("a:0", [0.6, 0.1, 0.6])}
    soft, hard = (
        k_curve.gather([one], full, num_critiques=3, aggregate=aggregate) for aggregate in Aggregate
    )
    assert k_curve.predictions(soft, num_critiques=3) == {"a": 0}
    assert k_curve.predictions(hard, num_critiques=3) == {"a": -1}
    assert np.array_equal(hard.beliefs_SK, [[1.0, 0.0, 1.0]])


def test_a_curve_needs_all_critiques_and_some_steps() -> None:
    one = solution("a", 0, num_steps=1)
    with pytest.raises(BadInput, match="without early stopping"):
        k_curve.gather([one], {"a:0": judgement("a:0", [0.6])}, num_critiques=3)
    with pytest.raises(BadInput, match="at least one step"):
        k_curve.gather([], {}, num_critiques=3)
