"""Do tables carry solutions, cases and critiques unchanged, and name every row they cannot?"""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rprm.data.tables import (
    CASES,
    CRITIQUES,
    SOLUTIONS,
    CritiqueRow,
    cases_of,
    cases_to_table,
    critiques_to_table,
    gold_of,
    solutions_to_table,
    table_to_cases,
    table_to_critiques,
    table_to_solutions,
)
from rprm.errors import BadInput
from rprm.schema import Critique, Solution, Unparsed, Verdict

ANY_TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
TEXT = ANY_TEXT.filter(str.strip)
ROW = {
    "id": "a",
    "problem_id": "p",
    "subset": "s",
    "generator": "g",
    "problem": "1+1?",
    "steps": ["2", "so 2"],
    "label": -1,
}


@st.composite
def solution_lists(draw: st.DrawFn) -> list[Solution]:
    ids = draw(st.lists(TEXT, unique=True, max_size=4))
    found = []
    for name in ids:
        steps = draw(st.lists(TEXT, min_size=1, max_size=4))
        found.append(
            Solution(
                id=name,
                problem_id=draw(TEXT),
                subset=draw(ANY_TEXT),
                generator=draw(ANY_TEXT),
                problem=draw(TEXT),
                steps=tuple(steps),
                label=draw(st.integers(-1, len(steps) - 1)),
            )
        )
    return found


@settings(deadline=None)  # the first conversion imports pandas, where it is installed
@given(solution_lists())
def test_solutions_and_their_cases_survive_a_table(solutions: list[Solution]) -> None:
    table = solutions_to_table(solutions)
    assert table.schema == SOLUTIONS
    assert table_to_solutions(table) == solutions
    for solution in solutions:
        cases = cases_of(solution, up_to_first_error=False)
        assert cases_to_table(cases).schema == CASES
        assert table_to_cases(cases_to_table(cases)) == cases


def test_critiques_and_unparsed_texts_survive_a_table() -> None:
    parsed = Critique(text="fine", verdict=Verdict.YES, p_yes=0.75, num_tokens=3)
    rows = [
        CritiqueRow(case_id="a:0", sample=0, engine="e", critique=parsed),
        CritiqueRow(
            case_id="a:0",
            sample=1,
            engine="e",
            critique=Critique(text="no", verdict=Verdict.NO, p_yes=None, num_tokens=2),
        ),
        CritiqueRow(
            case_id="a:0",
            sample=2,
            engine="e",
            critique=Unparsed(text="", cause="no_verdict", num_tokens=0),
        ),
    ]
    assert critiques_to_table(rows).schema == CRITIQUES
    assert table_to_critiques(critiques_to_table(rows)) == rows


@pytest.mark.parametrize(
    ("step", "label", "gold"),
    [
        (0, -1, True),  # nothing is wrong anywhere
        (0, 1, True),  # before the first error
        (1, 1, False),  # the first error
        (2, 1, None),  # after it nobody labelled
    ],
)
def test_the_gold_of_a_step_follows_from_the_first_error(
    step: int, label: int, gold: bool | None
) -> None:
    assert gold_of(step=step, label=label) is gold


def test_cases_stop_at_the_first_error_when_only_labelled_steps_are_wanted() -> None:
    one = table_to_solutions(pa.Table.from_pylist([ROW | {"label": 0}], schema=SOLUTIONS))[0]
    assert [case.gold for case in cases_of(one, up_to_first_error=True)] == [False]
    cases = cases_of(one, up_to_first_error=False)
    assert [case.gold for case in cases] == [False, None]
    assert cases[1].previous_steps == ("2",)
    assert cases[1].id == "a:1"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"label": None}, "row 1, label: is null. Fix: give a whole number"),  # unlabelled
        ({"label": 2}, "label: is 2 but there are 2 steps"),  # past the end
        ({"label": -2}, "label: is -2"),  # before the start
        ({"steps": []}, "steps: is empty"),
        ({"steps": None}, "steps: is null"),
        ({"steps": ["x", " "]}, "steps[1]: is blank"),
        ({"problem": "\n"}, "problem: is blank"),
        ({"id": "a"}, "id: 'a' is already used by row 0"),
    ],
)
def test_an_unusable_row_is_named_with_its_key(change: dict[str, object], says: str) -> None:
    table = pa.Table.from_pylist([ROW, ROW | {"id": "b"} | change], schema=SOLUTIONS)
    with pytest.raises(BadInput) as caught:
        table_to_solutions(table, source="mine.parquet")
    assert says in str(caught.value)
    assert "mine.parquet" in str(caught.value)


def test_a_wrong_column_type_is_named_with_its_value() -> None:
    table = pa.Table.from_pylist([ROW | {"label": "1"}])
    with pytest.raises(BadInput, match="label: is str '1', not a whole number"):
        table_to_solutions(table)


def test_a_missing_column_is_named_once_and_not_for_every_row() -> None:
    table = pa.Table.from_pylist([ROW] * 3, schema=SOLUTIONS).drop_columns(["label"])
    with pytest.raises(BadInput, match="no column 'label'"):
        table_to_solutions(table)


def test_all_problems_come_at_once_up_to_a_cap_and_the_rest_is_counted() -> None:
    rows = [ROW | {"id": str(i), "label": None} for i in range(25)]
    with pytest.raises(BadInput) as caught:
        table_to_solutions(pa.Table.from_pylist(rows, schema=SOLUTIONS))
    text = str(caught.value)
    assert "25 problem(s)" in text
    assert text.count("label: is null") == 20
    assert text.endswith("and 5 more")


def test_a_case_without_gold_is_refused_only_where_gold_is_needed() -> None:
    solution = table_to_solutions(pa.Table.from_pylist([ROW | {"label": 0}], schema=SOLUTIONS))[0]
    table = cases_to_table(cases_of(solution, up_to_first_error=False))
    assert len(table_to_cases(table)) == 2
    with pytest.raises(BadInput, match="row 1, gold: is null"):
        table_to_cases(table, need_gold=True)


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "maybe"},  # no such verdict
        {"verdict": None},  # neither verdict nor cause
        {"cause": "no_verdict"},  # both
        {"p_yes": 1.5},  # no probability
        {"p_yes": float("nan")},
    ],
)
def test_a_critique_that_contradicts_itself_is_refused(change: dict[str, object]) -> None:
    row = {
        "case_id": "a:0",
        "sample": 0,
        "text": "t",
        "verdict": "yes",
        "cause": None,
        "p_yes": 0.5,
        "num_tokens": 1,
        "engine": "e",
    }
    assert table_to_critiques(pa.Table.from_pylist([row], schema=CRITIQUES))
    with pytest.raises(BadInput):
        table_to_critiques(pa.Table.from_pylist([row | change], schema=CRITIQUES))
