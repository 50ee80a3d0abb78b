"""Are recorded responses pooled, graded and chosen among as they should be?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from rprm.benchmarks.best_of_n import Aggregator
from rprm.errors import BadInput
from rprm.recorded.best_of_n import Scored, score
from tests.unit.rprm.recorded import rows


def same_text(pairs: Sequence[tuple[str, str]]) -> list[bool | None]:
    return [gold == prediction for gold, prediction in pairs]


def scored(*values: dict[str, Any], aggregator: Aggregator = Aggregator.MIN) -> Scored:
    return score(rows(*values), aggregator=aggregator, grade=same_text)


def row(own: str, scores: object, /, **values: Any) -> dict[str, Any]:
    return {"problem": "p", "response": f"so \\boxed{{{own}}}", "scores": scores, **values}


def test_every_method_on_one_problem() -> None:
    found = scored(
        row("4", [0.9, 0.2], correct=True),
        row("5", [0.5], correct=False),
        row("5", [0.3], correct=False),
        row("4", [0.4], correct=True),
        row("4", [0.1], correct=True),
    )
    assert found.as_json() == {
        "pass_at_1": pytest.approx(60),
        "majority": 100,
        "best_of_n": 0,
        "pass_at_n": 100,
    }


def test_the_aggregator_says_what_several_steps_are_worth() -> None:
    values = [row("4", [0.9, 0.2], correct=True), row("5", [0.5, 0.4], correct=False)]
    expected = {"min": 0, "last": 0, "product": 0, "mean": 100}
    for name, best in expected.items():
        found = scored(*values, aggregator=Aggregator(name))
        assert found.as_json()["best_of_n"] == best


def test_any_finite_number_is_a_score_and_one_is_enough() -> None:
    found = scored(row("4", 3.5, correct=True), row("5", [-7], correct=False))
    assert found.as_json()["best_of_n"] == 100


def test_a_response_without_scores_is_never_chosen_over_another() -> None:
    found = scored(row("4", None, correct=True), row("5", [-9.0], correct=False))
    assert found.as_json()["best_of_n"] == 0
    assert "1 response(s) without scores" in found.warnings[0]
    assert scored(row("4", [], correct=True)).as_json()["best_of_n"] == 100


def test_without_verdicts_the_answer_is_the_reference() -> None:
    found = scored(
        row("4", [0.9], answer="4"),
        row("5", [0.8], answer="4"),
        {"problem": "p", "response": "no idea", "scores": [0.7], "answer": 4},
    )
    assert found.as_json()["pass_at_1"] == pytest.approx(100 / 3)


def test_several_answers_to_one_problem_cannot_all_be_the_reference() -> None:
    with pytest.raises(BadInput, match="cannot be the reference") as raised:
        scored(row("4", [0.9], answer="4"), row("5", [0.8], answer="5"))
    assert "row 1 (line 2), answer" in str(raised.value)


def test_next_to_verdicts_answers_that_vary_are_the_responses_own() -> None:
    """Votes are by them, not by what the texts end in."""
    values = [
        row("1", [0.1], correct=True, answer="4"),
        row("2", [0.1], correct=True, answer="4"),
        row("3", [0.9], correct=False, answer="3"),
        row("3", [0.9], correct=False, answer="7"),
    ]
    assert scored(*values).as_json()["majority"] == 100
    reference = [{**value, "answer": "4"} for value in values]
    assert scored(*reference).as_json()["majority"] == 0


def test_a_prediction_wins_over_what_the_text_ends_in() -> None:
    values = [
        row("3", [0.1], correct=True, prediction="4"),
        row("2", [0.1], correct=True, prediction=4),
        row("3", [0.1], correct=False, prediction=None),
        row("3", [0.1], correct=False),
    ]
    assert scored(*values).as_json()["majority"] == 100


def test_responses_that_are_bare_answers_vote_by_all_of_their_text() -> None:
    """Not by the last number in them."""
    values = [
        {"problem": "p", "response": own, "scores": [0.5], "correct": own != "\\frac{3}{2}"}
        for own in ("\\frac{3}{2}", "\\frac{1}{2}", "\\dfrac12")
    ]
    assert scored(*values).as_json()["majority"] == 100
    graded = [
        {"answer": "\\frac{1}{2}"} | {k: v for k, v in r.items() if k != "correct"} for r in values
    ]
    assert scored(*graded).as_json()["pass_at_1"] == pytest.approx(200 / 3)


def test_answers_that_never_vary_vote_where_no_response_shows_one() -> None:
    values = [
        {"problem": problem, "response": "", "scores": [0.5], "correct": right, "answer": "4"}
        for problem, right in [("p", True), ("p", True), ("q", False)]
    ]
    assert scored(*values).as_json()["majority"] == 50
    reference = [{**values[0], "correct": False}, *values]
    assert scored(*reference).as_json()["majority"] is None


def test_a_response_that_is_to_be_graded_must_be_there() -> None:
    with pytest.raises(BadInput, match=r"row 0 \(line 1\), response: is missing"):
        scored({"problem": "p", "scores": [0.5], "answer": "4"})
    never = scored({"problem": "p", "scores": [0.5], "answer": "4", "response": None})
    assert never.as_json()["pass_at_1"] == 0


def test_nobody_could_decide_counts_as_wrong_and_is_told() -> None:
    found = scored(row("4", [0.9], correct=None), row("4", [0.1], correct=True))
    assert found.as_json()["best_of_n"] == 0
    assert "1 response(s) could not be graded" in found.warnings[0]


def test_rows_without_any_answer_have_no_votes() -> None:
    found = scored({"problem_id": 1, "scores": [1], "correct": 1})
    assert found.as_json()["majority"] is None
    assert "no votes" in found.warnings[-1]


@pytest.mark.parametrize(
    ("first", "second", "problems"),
    [
        ({}, {}, 1),
        ({}, {"problem": "q"}, 2),
        ({"id": "p/0"}, {"id": "p/1"}, 1),  # ids that never repeat name responses
        ({"problem_id": 1}, {"problem_id": 2}, 2),
        ({"subset": "amc23"}, {"subset": "aime24"}, 2),
    ],
)
def test_rows_of_one_problem_are_a_pool(
    first: dict[str, Any], second: dict[str, Any], problems: int
) -> None:
    found = scored(row("4", [0.9], correct=True) | first, row("5", [0.1], correct=False) | second)
    assert len(found.result.problems) == problems


def test_an_id_that_repeats_names_the_problem() -> None:
    values = [row("4", [0.9], correct=True, id=1), row("4", [0.9], correct=True, id=1)]
    found = scored(*values, row("4", [0.9], correct=True, id=2))
    assert len(found.result.problems) == 2
    assert "pools differ in size (1 of 1, 1 of 2 responses)" in found.warnings[0]
    with pytest.raises(BadInput, match="with another text"):
        scored(*values, row("4", [0.9], correct=True, id=1, problem="q"))


def test_subsets_count_alike_whatever_their_size() -> None:
    found = scored(
        row("4", [0.9], correct=True, subset="a"),
        row("4", [0.9], correct=False, subset="b", problem="q"),
        row("4", [0.9], correct=False, subset="b", problem="r"),
        row("4", [0.9], correct=False, subset="b", problem="s"),
    )
    assert found.as_json()["best_of_n"] == 50
    assert found.as_json()["subsets"]["a"]["best_of_n"] == 100  # type: ignore[index]


def test_rows_of_the_official_format_hold_a_whole_pool() -> None:
    official = {
        "idx": 0,
        "question": "q",
        "pred": ["4", "5", "4"],
        "score": [True, False, True],
        "pred_score": [[1.5], [3.25], [-2.0]],
    }
    assert scored(official).as_json() == {
        "pass_at_1": pytest.approx(200 / 3),
        "majority": 100,
        "best_of_n": 0,
        "pass_at_n": 100,
    }
    with pytest.raises(BadInput, match=r"row 0 .* holds lists of 3, 3, 1"):
        scored(official | {"pred_score": [[1.5]]})


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"correct": "yes"}, "correct: is text 'yes'"),
        ({"correct": 2}, "correct: is the number 2"),
        ({"scores": [0.5, None]}, "scores: holds null"),
        ({"scores": ["0.5"]}, "scores[0]: is text '0.5'"),
        ({"scores": [float("inf")]}, "scores[0]: is the number inf"),
        ({"problem": 3}, "problem: is the number 3"),
        ({"problem": None}, "problem: is missing"),
        ({"problem": " "}, "problem: is blank"),
        ({"response": ["a"]}, "response: is a list"),
        ({"subset": True}, "subset: is true"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(values: dict[str, Any], told: str) -> None:
    good = row("4", [0.9], correct=True)
    with pytest.raises(BadInput) as raised:
        scored(good, good | values)
    assert "row 1 (line 2)" in str(raised.value)
    assert told in str(raised.value)


def test_a_row_that_does_not_say_whether_it_is_right_is_named() -> None:
    with pytest.raises(BadInput, match="does not say whether the response is right"):
        scored(row("4", [0.9]))
