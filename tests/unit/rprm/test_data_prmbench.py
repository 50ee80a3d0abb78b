"""Does the loader of PRMBench settle its quirks as the official one does?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rprm.data.prmbench import (
    BLANK,
    SUBSET394,
    items_to_table,
    load_prmbench,
    table_to_items,
)
from rprm.errors import BadInput


def row(idx: str, classification: str = "circular", **values: Any) -> dict[str, Any]:
    return {
        "idx": idx,
        "classification": classification,
        "original_question": "one plus one?",
        "modified_question": "one plus two?",
        "modified_process": ["a", "b", "c"],
        "error_steps": [2, 3],
        **values,
    }


def write(file: Path, rows: Sequence[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(one) + "\n" for one in rows))


def test_error_steps_count_from_one_in_the_file_and_from_zero_here(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", [row("x_1")])
    (found,) = load_prmbench(str(tmp_path)).items
    assert found.solution.id == "circular_x_1"
    assert found.error_steps_S == {1, 2}
    assert found.solution.label == 1
    assert found.solution.problem == "one plus two?"


def test_wrong_steps_that_the_process_does_not_have_are_left_out_and_counted(
    tmp_path: Path,
) -> None:
    write(tmp_path / "a.jsonl", [row("1", error_steps=[3, 4, 9]), row("2", error_steps=[4])])
    data = load_prmbench(str(tmp_path))
    assert [one.error_steps_S for one in data.items] == [{2}, set()]
    assert [one.solution.label for one in data.items] == [2, -1]
    assert data.counts["error_steps_beyond_the_last"] == 3


def test_the_first_of_two_rows_with_one_id_counts(tmp_path: Path) -> None:
    """Files are read in the order of their names, whatever the folder's own order."""
    write(tmp_path / "b.jsonl", [row("1", modified_process=["later"], error_steps=[])])
    write(tmp_path / "a.jsonl", [row("1"), row("2"), row("2", error_steps=[])])
    data = load_prmbench(str(tmp_path))
    assert [len(one.solution.steps) for one in data.items] == [3, 3]
    assert data.items[1].error_steps_S == {1, 2}
    assert data.duplicates == ("circular_2", "circular_1")
    assert data.counts["duplicates"] == 2
    assert "circular_2, circular_1" in data.warnings[0]


def test_a_blank_step_is_a_step(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", [row("1", modified_process=["a", " ", "c"])])
    data = load_prmbench(str(tmp_path))
    assert data.items[0].solution.steps == ("a", BLANK, "c")
    assert data.counts["blank_steps"] == 1


def test_the_subset_of_394_is_read_alone_or_not_at_all(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", [row("1"), row("2")])
    write(tmp_path / SUBSET394, [row("2")])
    assert len(load_prmbench(str(tmp_path)).items) == 2
    alone = load_prmbench(str(tmp_path), subset394=True)
    assert [one.solution.id for one in alone.items] == ["circular_2"]
    assert load_prmbench(str(tmp_path / SUBSET394)).items == alone.items


def test_variants_of_one_question_share_their_problem(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", [row("1"), row("1", "deception", modified_question="other?")])
    first, second = load_prmbench(str(tmp_path)).items
    assert first.solution.problem_id == second.solution.problem_id


def test_items_survive_a_table(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", [row("1"), row("2", error_steps=[]), row("3", error_steps=[1])])
    items = load_prmbench(str(tmp_path)).items
    assert table_to_items(items_to_table(items)) == list(items)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"error_steps": [0]}, "holds 0"),
        ({"error_steps": [True]}, "holds True"),
        ({"error_steps": None}, "is no list"),
        ({"modified_process": []}, "modified_process: is empty"),
        ({"classification": "redundancy"}, "classification: is 'redundancy'"),
    ],
)
def test_an_unusable_row_is_named(tmp_path: Path, values: dict[str, Any], told: str) -> None:
    write(tmp_path / "a.jsonl", [row("1"), row("2") | values])
    with pytest.raises(BadInput, match="row 1") as raised:
        load_prmbench(str(tmp_path))
    assert told in str(raised.value)
