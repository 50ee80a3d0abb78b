"""How are problems, sampled solutions and step scores kept between stages?

PROBLEMS     what a policy is asked: id, subset, problem, reference answer
SOLVED       what it wrote: the columns of solutions, and which sample, its answer and whether right
STEP_SCORES  what a judge that is no critiquing engine said: a score per step, or an index
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from rprm.data.rows import RowReader
from rprm.data.tables import SOLUTIONS, read_solution, read_table
from rprm.schema import MathProblem, Solution

PROBLEMS = pa.schema(
    [
        ("id", pa.string()),
        ("subset", pa.string()),
        ("problem", pa.string()),
        ("answer", pa.string()),
    ]
)
SOLVED = pa.schema(
    [
        *SOLUTIONS,
        ("sample", pa.int64()),
        ("answer", pa.string()),  # null where none could be read
        ("reference", pa.string()),
        ("correct", pa.bool_()),  # null: no grader could decide
        ("num_tokens", pa.int64()),
    ]
)
STEP_SCORES = pa.schema(
    [
        ("solution_id", pa.string()),
        ("engine", pa.string()),
        ("scores", pa.list_(pa.float64())),  # null where the judge names an index instead
        ("prediction", pa.int64()),  # such an index; null where none could be read
        ("texts", pa.list_(pa.string())),  # what it wrote, for those who want to look
    ]
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Solved:
    """One sampled solution of a problem.  Its id is "{problem_id}/{sample}"."""

    solution: Solution
    """Its label is -1 where nobody knows of a wrong step."""
    sample: int
    answer: str | None
    reference: str
    correct: bool | None
    num_tokens: int


@dataclass(frozen=True, kw_only=True, slots=True)
class StepScores:
    """What a judge said of one solution."""

    solution_id: str
    engine: str
    scores_S: tuple[float | None, ...] | None
    """One per step, possibly cut after the first wrong one; None: it names an index instead."""
    prediction: int | None = None
    """Without scores: the index named, -1 for no error, None where it could not be read."""
    texts: tuple[str, ...] = ()


def problems_to_table(problems: Iterable[MathProblem]) -> pa.Table:
    rows = [
        {"id": one.id, "subset": one.subset, "problem": one.problem, "answer": one.answer}
        for one in problems
    ]
    return pa.Table.from_pylist(rows, schema=PROBLEMS)


def table_to_problems(table: pa.Table, *, source: str = "problems") -> list[MathProblem]:
    """Raises BadInput that names every unusable row."""
    return read_table(table, PROBLEMS, source, _read_problem, unique="id")


def _read_problem(row: RowReader) -> MathProblem:
    return MathProblem(
        id=row.text("id"),
        subset=row.text("subset", blank=True),
        problem=row.text("problem"),
        answer=row.text("answer"),
    )


def solved_to_table(solved: Iterable[Solved]) -> pa.Table:
    return pa.Table.from_pylist([_solved_values(one) for one in solved], schema=SOLVED)


def _solved_values(one: Solved) -> dict[str, Any]:
    solution = one.solution
    return {
        "id": solution.id,
        "problem_id": solution.problem_id,
        "subset": solution.subset,
        "generator": solution.generator,
        "problem": solution.problem,
        "steps": list(solution.steps),
        "label": solution.label,
        "sample": one.sample,
        "answer": one.answer,
        "reference": one.reference,
        "correct": one.correct,
        "num_tokens": one.num_tokens,
    }


def table_to_solved(table: pa.Table, *, source: str = "solved") -> list[Solved]:
    """Raises BadInput that names every unusable row."""
    return read_table(table, SOLVED, source, _read_solved, unique="id")


def _read_solved(row: RowReader) -> Solved:
    return Solved(
        solution=read_solution(row),
        sample=row.integer("sample"),
        answer=row.optional_text("answer"),
        reference=row.text("reference"),
        correct=row.optional_boolean("correct"),
        num_tokens=row.integer("num_tokens"),
    )


def scores_to_table(scores: Iterable[StepScores]) -> pa.Table:
    rows = [
        {
            "solution_id": one.solution_id,
            "engine": one.engine,
            "scores": None if one.scores_S is None else list(one.scores_S),
            "prediction": one.prediction,
            "texts": list(one.texts),
        }
        for one in scores
    ]
    return pa.Table.from_pylist(rows, schema=STEP_SCORES)


def table_to_scores(table: pa.Table) -> list[StepScores]:
    return [
        StepScores(
            solution_id=row["solution_id"],
            engine=row["engine"],
            scores_S=None if row["scores"] is None else tuple(row["scores"]),
            prediction=row["prediction"],
            texts=tuple(row["texts"] or ()),
        )
        for row in table.to_pylist()
    ]
