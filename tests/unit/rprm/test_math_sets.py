"""Are problems and reference answers read from every way that sets write them?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rprm.data.math_sets import MathSetName, load_math_set
from rprm.data.problem_tables import table_to_problems
from rprm.errors import BadInput
from rprm.stages.problems import Problems


def write(folder: Path, name: str, rows: list[dict[str, Any]]) -> str:
    file = folder / f"{name}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(file)


def answers(folder: Path, name: MathSetName, rows: list[dict[str, Any]]) -> list[str]:
    rows = [{"problem": f"q{i}", "id": i, "idx": i} | row for i, row in enumerate(rows)]
    found = load_math_set(name, source=write(folder, name, rows))
    return [one.answer for one in found.problems]


@pytest.mark.parametrize(
    ("row", "answer"),
    [
        ({"answer": 27.0}, "27"),
        ({"answer": 27.5}, "27.5"),
        ({"answer": 27}, "27"),
        ({"answer": "025"}, "025"),
        ({"final_answer": ["108"]}, "108"),
        ({"answer": "['108']"}, "108"),
        ({"answer": "[1, 2]"}, "[1, 2]"),  # an interval, not a list of texts
        ({"final_answer": ["1", "2"]}, "1, 2"),
        ({"answer": "5 * 14 = 70\n#### 70,000"}, "70,000"),
        ({"solution": r"so $\boxed{\frac{1}{2}}$ metres"}, r"\frac{1}{2}"),
        ({"answer": None, "solution": r"\boxed{4.5e33}"}, "4.5e33"),
    ],
)
def test_an_answer_is_read_as_its_set_writes_it(
    tmp_path: Path, row: dict[str, Any], answer: str
) -> None:
    assert answers(tmp_path, "minerva_math", [row]) == [answer]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"solution": "no box"}, r"row 0, solution: has no \boxed{} answer"),
        ({"answer": True}, "row 0, answer: is bool"),
        ({"answer": " "}, "row 0, answer: is blank"),
        ({"answer": "1", "problem": None}, "row 0, question: is missing"),
    ],
)
def test_a_row_without_an_answer_or_a_problem_is_named(
    tmp_path: Path, row: dict[str, Any], says: str
) -> None:
    with pytest.raises(BadInput) as caught:
        answers(tmp_path, "minerva_math", [row])
    assert says in str(caught.value)


def test_ids_are_of_the_set_and_must_be_unique(tmp_path: Path) -> None:
    rows = [{"id": 7, "question": "q", "answer": 1.0}] * 2
    with pytest.raises(BadInput, match="several rows have the id 7"):
        load_math_set("amc23", source=write(tmp_path, "twice", rows))
    one = load_math_set("amc23", source=write(tmp_path, "once", rows[:1]))
    assert [problem.id for problem in one.problems] == ["amc23/7"]
    assert one.warnings == ("amc23: 1 problems, not the published 40",)


@pytest.fixture
def seeded(tmp_path: Path) -> tuple[str, str]:
    rows = [{"question": f"q{i}", "answer": str(i)} for i in range(5)]
    lists = tmp_path / "lists.json"
    lists.write_text(json.dumps({"college_math_200_rows": [3, 1]}), encoding="utf-8")
    return write(tmp_path, "college", rows), str(lists)


def test_the_seeds_part_is_chosen_by_row_number(seeded: tuple[str, str]) -> None:
    source, lists = seeded
    found = load_math_set("college_math", source=source, seed_subset=True, seed_source=lists)
    assert [one.id for one in found.problems] == ["college_math/1", "college_math/3"]
    assert found.num_rows == 5


def test_a_list_of_problems_that_the_set_lacks_is_refused(
    seeded: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / "lists.json").write_text('{"college_math_200_rows": [99]}', encoding="utf-8")
    with pytest.raises(BadInput, match="lists 1 problems that the set does not have, such as 99"):
        load_math_set("college_math", source=seeded[0], seed_subset=True, seed_source=seeded[1])


class FakeIO:
    """What a stage noted and wrote."""

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}
        self.table: Any = None

    def note(self, **facts: Any) -> None:
        self.facts |= facts

    def write(self, table: Any) -> None:
        self.table = table


def test_the_stage_writes_the_problems_of_all_its_sets(
    seeded: tuple[str, str], tmp_path: Path
) -> None:
    source, lists = seeded
    amc = write(tmp_path, "amc", [{"id": 1, "problem": "p", "answer": 3.0}])
    params = Problems.Params(
        sets=("amc23", "college_math"),
        sources={"amc23": amc, "college_math": source},
        seed_subset=True,
        seed_source=lists,
        limit=1,
    )
    stage, io = Problems(params), FakeIO()
    assert set(stage.digests()) == {"amc23", "college_math", "seed_subsets"}
    stage.run(io)  # type: ignore[arg-type]
    problems = table_to_problems(io.table)
    assert [one.subset for one in problems] == ["amc23", "college_math"]
    assert io.facts["problems"] == 2
    assert [one["rows"] for one in io.facts["sets"]] == [1, 5]
    assert len(io.facts["warnings"]) == 2
