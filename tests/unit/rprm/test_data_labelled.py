"""Are ProcessBench and the human step labels read exactly, and overlaps excluded?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rprm.data.problems import exclude_overlap, normalised, problem_id
from rprm.data.processbench import load_processbench
from rprm.data.step_labels import load_step_labels
from rprm.errors import BadInput
from rprm.schema import Solution

BENCH_ROW: dict[str, Any] = {
    "id": "math-0",
    "generator": "g",
    "problem": "1+1?",
    "steps": ["a", "b", "c"],
    "final_answer_correct": True,
    "label": 1,
}
LABEL_ROW: dict[str, Any] = {
    "id": "x",
    "source": "s",
    "generator": "g",
    "problem": "1+1?",
    "steps": ["a", "", "b", "c"],
    "label": 2,
}


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text(json.dumps(rows))
    return str(path)


def solution(problem: str) -> Solution:
    return Solution(
        id=problem,
        problem_id="any",
        subset="",
        generator="",
        problem=problem,
        steps=("a",),
        label=-1,
    )


def test_a_subset_is_named_by_its_file_and_counted(tmp_path: Path) -> None:
    write(tmp_path / "math.json", [BENCH_ROW, BENCH_ROW | {"id": "math-1", "label": -1}])
    bench = load_processbench(str(tmp_path))
    assert [one.label for one in bench.solutions] == [1, -1]
    assert {one.subset for one in bench.solutions} == {"math"}
    (facts,) = bench.subsets
    assert (facts.num_solutions, facts.num_errors) == (2, 1)
    assert (facts.num_steps, facts.num_steps_to_first_error) == (6, 5)
    assert facts.num_right_answers_by_wrong_steps == 1


def test_another_copy_is_a_warning_and_not_an_error(tmp_path: Path) -> None:
    bench = load_processbench(write(tmp_path / "math.json", [BENCH_ROW]))
    assert bench.subsets[0].copy == "differs"
    assert bench.subsets[0].md5 in bench.warnings[0]
    own = load_processbench(write(tmp_path / "own.json", [BENCH_ROW]))
    assert own.subsets[0].copy == "unknown"


def test_subsets_come_in_the_published_order_or_in_the_order_asked(tmp_path: Path) -> None:
    for name in ("omnimath", "gsm8k", "math"):
        write(tmp_path / f"{name}.json", [BENCH_ROW | {"id": name}])
    assert [one.id for one in load_processbench(str(tmp_path)).solutions] == [
        "gsm8k",
        "math",
        "omnimath",
    ]
    asked = load_processbench(str(tmp_path), subsets=["omnimath", "gsm8k"])
    assert [one.subset for one in asked.subsets] == ["omnimath", "gsm8k"]
    with pytest.raises(BadInput, match="no subset maths; it has"):
        load_processbench(str(tmp_path), subsets=["maths"])


def test_a_row_without_a_label_names_file_row_and_key(tmp_path: Path) -> None:
    rows = [BENCH_ROW, {key: BENCH_ROW[key] for key in BENCH_ROW if key != "label"} | {"id": "y"}]
    with pytest.raises(BadInput, match=r"(?s)math\.json.*row 1, label: is missing"):
        load_processbench(write(tmp_path / "math.json", rows))


@pytest.mark.parametrize(
    ("steps", "label", "kept", "moved"),
    [
        (["a", "", "b", "c"], 2, ("a", "b", "c"), 1),  # a blank before the error
        (["a", "b", "", "c"], 1, ("a", "b", "c"), 1),  # a blank after it
        (["a", " ", "b"], -1, ("a", "b"), -1),  # no error to move
        (["", "a"], 1, ("a",), 0),
    ],
)
def test_blank_steps_are_dropped_and_the_label_moves_with_its_step(
    tmp_path: Path, steps: list[str], label: int, kept: tuple[str, ...], moved: int
) -> None:
    row = LABEL_ROW | {"steps": steps, "label": label}
    found = load_step_labels(write(tmp_path / "a.json", [row]))
    assert [(one.steps, one.label) for one in found.solutions] == [(kept, moved)]
    assert found.counts["blank_steps"] == 1


@pytest.mark.parametrize(
    ("steps", "label"),
    [
        (["a", "", "b"], 1),  # which step did they mean?
        (["", " "], -1),  # nothing to judge
    ],
)
def test_a_solution_without_a_judgeable_label_is_dropped_and_counted(
    tmp_path: Path, steps: list[str], label: int
) -> None:
    row = LABEL_ROW | {"steps": steps, "label": label}
    found = load_step_labels(write(tmp_path / "a.json", [row]))
    assert not found.solutions
    assert found.counts["dropped_unlabelled"] == 1


def test_solutions_of_banned_problems_are_excluded_whatever_the_layout() -> None:
    ours = [solution("What is $1+1$ ?"), solution("what is 1 + 1?"), solution("What is 2+1?")]
    left = exclude_overlap(ours, ["What is 1+1?", "unrelated"])
    assert left.kept == (ours[2],)
    assert (left.num_solutions, left.num_problems) == (2, 1)


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_normalising_twice_changes_nothing_and_spaces_never_matter(problem: str) -> None:
    once = normalised(problem)
    assert normalised(once) == once
    assert problem_id(f"  {problem}\n") == problem_id(problem)


def test_problems_of_signs_alone_stay_apart() -> None:
    assert problem_id("∀?") != problem_id("∃?")
