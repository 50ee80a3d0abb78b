"""Are recorded predictions and scores counted by ProcessBench's definition?"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm.benchmarks.processbench import SubsetScore, evaluate, outcome, weak_spots
from rprm.errors import BadInput
from rprm.recorded.processbench import Scored, score
from tests.unit.rprm.recorded import benchmark, rows, solution

BENCH = benchmark(
    solution("gsm8k-0", 1), solution("gsm8k-1", -1), solution("math-0", 0), solution("math-1", -1)
)


def scored(*values: dict[str, Any], threshold: float | str = 0.5, limit: bool = True) -> Scored:
    return score(rows(*values), BENCH, threshold=threshold, limit_to_present=limit)


def matched(**values: Any) -> bool:
    """Is gsm8k-0 (label 1, four steps) matched by this row?"""
    (found,) = scored({"id": "gsm8k-0", **values}).outcomes
    return found.match == 1


@pytest.mark.parametrize(
    ("prediction", "expected"), [(1, True), (1.0, True), (0, False), (-1, False), (None, False)]
)
def test_a_prediction_matches_the_label_alone(prediction: object, expected: bool) -> None:
    assert matched(prediction=prediction) is expected


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.9, 0.4, 0.9, 0.9], True),
        ([0.5, 0.49], True),  # on the threshold is right; the rest does not matter
        ([0.4], False),
        ([0.9, 0.9], False),  # past the first wrong step: what comes later cannot match
        ([0.9, 0.9, 0.9, 0.9], False),
        ([None, 0.1], False),  # whether the first step is wrong is not known
        ([0.9, None, 0.1], False),
        ([0.9, 0.1, None, None], True),
        (None, False),
    ],
)
def test_the_first_score_below_the_threshold_is_the_prediction(
    scores: object, expected: bool
) -> None:
    assert matched(scores=scores) is expected


@pytest.mark.parametrize(
    ("name", "scores"), [("gsm8k-0", [0.9]), ("gsm8k-1", [0.9, 0.9]), ("gsm8k-0", [])]
)
def test_scores_that_end_before_they_decide_are_an_error(name: str, scores: list[float]) -> None:
    with pytest.raises(BadInput, match=r"row 0 \(line 1\), id 'gsm8k-\d', scores: holds"):
        scored({"id": name, "scores": scores})


def test_scores_may_end_at_the_first_wrong_step_under_another_label() -> None:
    found = scored({"id": "gsm8k-1", "scores": [0.9, 0.2]})
    assert found.result.subsets["gsm8k"].acc_correct == 0


def test_the_json_has_every_subset_and_their_plain_mean() -> None:
    found = scored(
        {"id": "gsm8k-0", "prediction": 1},
        {"id": "gsm8k-1", "prediction": -1},
        {"id": "math-0", "prediction": 0},
        {"id": "math-1", "prediction": 3},
        limit=False,
    )
    assert found.as_json() == {
        "gsm8k": {"acc_error": 100.0, "acc_correct": 100.0, "f1": 100.0},
        "math": {"acc_error": 100.0, "acc_correct": 0.0, "f1": 0.0},
        "average": 50.0,
    }


def test_all_solutions_must_be_there_unless_told_otherwise() -> None:
    one = {"id": "math-0", "prediction": 0}
    with pytest.raises(BadInput, match="--limit-to-present") as raised:
        scored(one, limit=False)
    assert "gsm8k 2 of 2, math 1 of 2" in str(raised.value)
    found = scored(one)
    assert found.as_json() == {
        "math": {"acc_error": 100.0, "acc_correct": None, "f1": None},
        "average": None,
    }
    assert found.warnings == ("math has no solution without a wrong step, so it has no F1",)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"id": "gsm8k-0", "prediction": True}, "prediction: is true"),
        ({"id": "gsm8k-0", "prediction": "1"}, "prediction: is text '1'"),
        ({"id": "gsm8k-0", "prediction": -2}, "prediction: is the number -2"),
        ({"id": "gsm8k-0", "prediction": 1.5}, "prediction: is the number 1.5"),
        ({"id": "gsm8k-0", "prediction": float("nan")}, "prediction: is the number nan"),
        ({"id": "gsm8k-0"}, "says nothing of the solution"),
        ({"id": "gsm8k-00", "prediction": 1}, "did you mean 'gsm8k-0'"),
        ({"id": 0, "prediction": 1}, "id: is the number 0"),
        ({"prediction": 1}, "id: is missing"),
        ({"id": "gsm8k-0", "scores": 0.5}, "scores: is the number 0.5, not a list"),
        ({"id": "gsm8k-0", "scores": [float("nan")]}, "scores[0]: is the number nan"),
        ({"id": "gsm8k-0", "scores": [0.1, True]}, "scores[1]: is true"),
        ({"id": "gsm8k-0", "scores": [0.1] * 5}, "holds 5 numbers but there are 4 steps"),
        ({"id": "math-0", "prediction": 1}, "row 0 (line 1) says something else of it"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(values: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput) as raised:
        scored({"id": "math-0", "prediction": 0}, values)
    assert "row 1 (line 2)" in str(raised.value)
    assert told in str(raised.value)


def test_all_problems_of_a_file_are_told_together() -> None:
    with pytest.raises(BadInput, match=r"rows\.jsonl: 2 problem") as raised:
        scored({"id": "x"}, {"id": "gsm8k-0"})
    assert "row 0" in str(raised.value)
    assert "row 1" in str(raised.value)


def test_what_is_fine_but_not_as_one_might_think_is_told() -> None:
    found = scored(
        {"id": "gsm8k-0", "prediction": 7},
        {"id": "gsm8k-0", "prediction": 7},
        {"id": "gsm8k-1", "scores": [None, 0.9, 0.9, 0.9]},
        {"id": "math-0", "scores": [0.4], "prediction": 2},
    )
    repeated, unknown, beyond, both, *_ = found.warnings
    assert "repeat an earlier one and count once: gsm8k-0" in repeated
    assert "never match: gsm8k-1" in unknown
    assert "a step that is not there: gsm8k-0" in beyond
    assert "the scores decide, at threshold 0.5: math-0" in both


def test_a_threshold_may_be_the_best_of_one_subset() -> None:
    values = (
        {"id": "gsm8k-0", "scores": [0.9, 0.2, 0.3, 0.3]},
        {"id": "gsm8k-1", "scores": [0.3, 0.9, 0.9, 0.9]},
        {"id": "math-0", "prediction": None},
    )
    found = scored(*values, threshold="auto:gsm8k")
    assert found.threshold == 0.21
    assert found.result.subsets["gsm8k"].f1 == 100
    with pytest.raises(BadInput, match="needs the scores"):
        scored(*values, {"id": "math-1", "prediction": -1}, threshold="auto:gsm8k")


def test_no_match_at_all_is_zero_and_told() -> None:
    wrong = [outcome(one, None) for one in BENCH.solutions]
    result = evaluate(wrong)
    assert isinstance(result.subsets["math"], SubsetScore)
    assert [line.split(":")[0] for line in weak_spots(result)] == ["gsm8k", "math"]
    assert result.f1 == 0


@given(
    labels=st.lists(st.integers(-1, 3), min_size=1, max_size=6),
    threshold=st.sampled_from([0.25, 0.5, 0.75]),
    data=st.data(),
)
def test_a_run_that_stops_at_its_first_error_scores_as_a_whole_one(
    labels: list[int], threshold: float, data: st.DataObject
) -> None:
    bench = benchmark(*(solution(f"math-{n}", label) for n, label in enumerate(labels)))
    values = st.lists(st.integers(0, 4).map(lambda one: one / 4), min_size=4, max_size=4)
    whole = {one.id: data.draw(values) for one in bench.solutions}
    stopped = {}
    for name, scores in whole.items():
        below = [step for step, value in enumerate(scores) if value < threshold]
        stopped[name] = scores[: below[0] + 1] if below else scores
    found, early = (
        score(
            rows(*({"id": name, "scores": scores} for name, scores in given.items())),
            bench,
            threshold=threshold,
        )
        for given in (whole, stopped)
    )
    assert early.outcomes == found.outcomes
