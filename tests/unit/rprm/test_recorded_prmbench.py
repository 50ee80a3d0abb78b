"""Are recorded labels and scores counted by PRMBench's definition?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rprm.benchmarks.prmbench import NAMES
from rprm.data.prmbench import PrmBenchData
from rprm.errors import BadInput
from rprm.recorded.prmbench import Scored, score
from tests.unit.rprm.recorded import item, prmbench, rows

DATA = prmbench(
    item("circular_1", wrong=[1]), item("deception_1", wrong=[0]), item("multi_solutions_1")
)


def scored(
    *values: dict[str, Any], threshold: float = 0.5, limit: bool = True, data: PrmBenchData = DATA
) -> Scored:
    return score(rows(*values), data, threshold=threshold, limit_to_present=limit)


def counts(*values: dict[str, Any], threshold: float = 0.5) -> tuple[int, int, int, int]:
    cells = scored(*values, threshold=threshold).result.overall.confusion
    return cells.tp, cells.fp, cells.tn, cells.fn


def test_scores_and_labels_say_the_same() -> None:
    expected = (1, 1, 0, 1)
    assert counts({"id": "circular_1", "scores": [0.6, 0.5, 0.4]}) == expected
    assert counts({"id": "circular_1", "labels": [True, 1, 0]}) == expected
    assert counts({"id": "circular_1", "labels": [1.0, True, False]}, threshold=9) == expected


def test_the_json_is_flat_and_null_where_no_row_was_given() -> None:
    found = scored({"id": "circular_1", "labels": [1, 0, 1]})
    values = found.as_json()
    assert list(values) == [*NAMES, "counts"]
    assert (values["circular"], values["overall"]) == (100.0, 100.0)
    assert values["deception"] is values["simplicity"] is None
    assert values["counts"] == {"tp": 2, "fp": 0, "tn": 1, "fn": 0}
    assert "no row of redundency" in found.warnings[-1]


def test_all_items_must_be_there_unless_told_otherwise() -> None:
    with pytest.raises(BadInput, match="2 of 3 items have no row: deception 1 of 1"):
        scored({"id": "circular_1", "labels": [1, 0, 1]}, limit=False)


def test_the_first_row_of_an_id_counts_and_later_ones_are_not_even_read() -> None:
    found = scored(
        {"id": "circular_1", "labels": [1, 0, 1]}, {"id": "circular_1", "labels": "of another text"}
    )
    assert found.result.overall.score == 100
    assert "repeat an id; the first row counts: circular_1" in found.warnings[0]


def test_fewer_labels_than_steps_leave_the_rest_uncounted_and_more_are_an_error() -> None:
    found = scored({"id": "circular_1", "labels": [1, 0]})
    assert found.as_json()["counts"] == {"tp": 1, "fp": 0, "tn": 1, "fn": 0}
    assert "fewer values than steps" in found.warnings[0]
    with pytest.raises(BadInput, match="holds 4 values but the item has 3 steps"):
        scored({"id": "circular_1", "labels": [1, 0, 1, 1]})


def test_a_row_of_the_second_text_of_an_id_is_cut_to_the_first() -> None:
    data = replace(DATA, duplicates=("circular_1",))
    found = scored({"id": "circular_1", "labels": [1, 0, 1, 0]}, data=data)
    assert found.as_json()["counts"] == {"tp": 2, "fp": 0, "tn": 1, "fn": 0}
    assert "stand twice in the data" in found.warnings[0]


def test_an_unusable_answer_is_left_out_and_lowers_the_rate() -> None:
    found = scored(
        {"id": "circular_1", "labels": [1, 0, 1]},
        {"id": "deception_1", "validity": False, "labels": []},
        {"id": "multi_solutions_1", "scores": None},
        limit=False,
    )
    assert found.as_json()["counts"] == {"tp": 2, "fp": 0, "tn": 1, "fn": 0}
    assert found.validity_rate == pytest.approx(1 / 3)
    assert "2 row(s) are unusable" in found.warnings[0]


def test_a_step_without_a_score_is_not_counted() -> None:
    found = scored({"id": "circular_1", "scores": [0.9, None, 0.9]})
    assert found.as_json()["counts"] == {"tp": 2, "fp": 0, "tn": 0, "fn": 0}
    assert any("1 step(s) without a score" in line for line in found.warnings)


def test_redundancy_decides_in_its_classes_only() -> None:
    redundant = {"redundancy_labels": [0, 1, 0]}
    assert counts({"id": "circular_1", "labels": [1, 1, 1], **redundant}) == (2, 0, 1, 0)
    assert counts({"id": "circular_1", **redundant}) == (2, 0, 1, 0)
    assert counts({"id": "deception_1", "labels": [1, 1, 1], **redundant}) == (2, 1, 0, 0)


def test_rows_of_the_official_result_files_are_read_as_they_are() -> None:
    nested = {
        "step_level_validity_labels": [True, True, True],
        "step_level_redundancy_labels": [False, True, False],
    }
    assert counts({"idx": "circular_1", "scores": nested, "validity": True}) == (2, 0, 1, 0)
    assert counts({"idx": "deception_1", "scores": nested}) == (2, 1, 0, 0)


def test_twins_without_an_error_are_not_counted() -> None:
    found = scored({"id": "circular_1", "labels": [1, 0, 1]}, {"id": "correct_1", "labels": [0, 0]})
    assert found.result.overall.score == 100
    assert "correct_1" in found.warnings[0]


def test_labels_decide_where_a_row_has_scores_too_unless_a_threshold_is_asked_for() -> None:
    both = {"id": "circular_1", "labels": [1, 0, 1], "scores": [0.9, 0.6, 0.9]}
    told = score(rows(both), DATA, threshold=None, limit_to_present=True)
    assert (told.result.overall.score, told.threshold) == (100, 0.5)
    assert "give scores and labels; the labels decide" in told.warnings[0]
    assert "the scores decide" in scored(both).warnings[0]
    assert counts(both, threshold=0.61) == (2, 0, 1, 0)
    assert counts(both, threshold=0.5) == (2, 1, 0, 0)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"id": "circular_1", "labels": [2]}, "labels[0]: is the number 2, not a label"),
        ({"id": "circular_1", "labels": ["yes"]}, "labels[0]: is text 'yes'"),
        ({"id": "circular_1", "labels": {}}, "labels: is an object {}, not a list"),
        ({"id": "circular_1", "scores": ["0.5"]}, "scores[0]: is text '0.5'"),
        ({"id": "circular_1", "scores": [1], "validity": "no"}, "validity: is text 'no'"),
        ({"id": "circular_1"}, "says nothing of the steps"),
        ({"id": "circular_l", "scores": [1]}, "did you mean 'circular_1'"),
        ({"scores": [1]}, "id: is missing"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(values: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput) as raised:
        scored({"id": "deception_1", "scores": [0.1]}, values)
    assert "row 1 (line 2)" in str(raised.value)
    assert told in str(raised.value)
