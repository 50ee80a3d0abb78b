"""How are solutions, cases and critiques kept in tables?  Schemas, and checked conversions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa

from rprm.data.rows import RowChecks, RowReader
from rprm.errors import BadInput
from rprm.schema import Case, Critique, Solution, Unparsed, Verdict

T = TypeVar("T")

TEXTS = pa.list_(pa.string())


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema(list(columns.items()))


SOLUTIONS = _schema(
    id=pa.string(),
    problem_id=pa.string(),
    subset=pa.string(),
    generator=pa.string(),
    problem=pa.string(),
    steps=TEXTS,
    label=pa.int64(),
)

CASES = _schema(
    id=pa.string(),
    solution_id=pa.string(),
    problem_id=pa.string(),
    step=pa.int64(),
    question=pa.string(),
    previous_steps=TEXTS,
    now_step=pa.string(),
    gold=pa.bool_(),
)

CRITIQUES = _schema(
    case_id=pa.string(),
    sample=pa.int64(),
    text=pa.string(),
    verdict=pa.string(),  # "yes", "no", or null with a cause
    cause=pa.string(),
    p_yes=pa.float64(),
    num_tokens=pa.int64(),
    engine=pa.string(),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class CritiqueRow:
    """One critique with its place: which case, which sample, who wrote it."""

    case_id: str
    sample: int
    engine: str
    critique: Critique | Unparsed


def solutions_to_table(solutions: Iterable[Solution]) -> pa.Table:
    rows = [
        {
            "id": one.id,
            "problem_id": one.problem_id,
            "subset": one.subset,
            "generator": one.generator,
            "problem": one.problem,
            "steps": list(one.steps),
            "label": one.label,
        }
        for one in solutions
    ]
    return pa.Table.from_pylist(rows, schema=SOLUTIONS)


def table_to_solutions(table: pa.Table, *, source: str = "solutions") -> list[Solution]:
    """Raises BadInput that names every unusable row; `source` says whose rows they are."""
    return read_table(table, SOLUTIONS, source, read_solution, unique="id")


def read_solution(row: RowReader) -> Solution:
    steps = row.texts("steps")
    return Solution(
        id=row.text("id"),
        problem_id=row.text("problem_id"),
        subset=row.text("subset", blank=True),
        generator=row.text("generator", blank=True),
        problem=row.text("problem"),
        steps=steps,
        label=row.label("label", num_steps=len(steps)),
    )


def gold_of(*, step: int, label: int) -> bool | None:
    """None after the first wrong step: people stopped labelling there."""
    if label == -1 or step < label:
        return True
    return False if step == label else None


def cases_of(solution: Solution, *, up_to_first_error: bool) -> list[Case]:
    """One case per step; with `up_to_first_error`, steps without a gold label are left out."""
    num_steps = len(solution.steps)
    if up_to_first_error and solution.label >= 0:
        num_steps = solution.label + 1
    return [
        Case(
            id=f"{solution.id}:{step}",
            solution_id=solution.id,
            problem_id=solution.problem_id,
            step=step,
            question=solution.problem,
            previous_steps=solution.steps[:step],
            now_step=solution.steps[step],
            gold=gold_of(step=step, label=solution.label),
        )
        for step in range(num_steps)
    ]


def cases_to_table(cases: Iterable[Case]) -> pa.Table:
    rows = [
        {
            "id": case.id,
            "solution_id": case.solution_id,
            "problem_id": case.problem_id,
            "step": case.step,
            "question": case.question,
            "previous_steps": list(case.previous_steps),
            "now_step": case.now_step,
            "gold": case.gold,
        }
        for case in cases
    ]
    return pa.Table.from_pylist(rows, schema=CASES)


def table_to_cases(
    table: pa.Table, *, source: str = "cases", need_gold: bool = False
) -> list[Case]:
    """Raises BadInput for unusable rows; with `need_gold`, a row without a label is one."""
    return read_table(table, CASES, source, _gold_case if need_gold else read_case, unique="id")


def read_case(row: RowReader) -> Case:
    return Case(
        id=row.text("id"),
        solution_id=row.text("solution_id"),
        problem_id=row.text("problem_id"),
        step=row.integer("step"),
        question=row.text("question"),
        previous_steps=row.texts("previous_steps", empty=True),
        now_step=row.text("now_step"),
        gold=row.optional_boolean("gold"),
    )


def _gold_case(row: RowReader) -> Case:
    row.boolean("gold")
    return read_case(row)


def critiques_to_table(rows: Iterable[CritiqueRow]) -> pa.Table:
    return pa.Table.from_pylist([_critique_values(row) for row in rows], schema=CRITIQUES)


def _critique_values(row: CritiqueRow) -> dict[str, Any]:
    values = critique_values(row.critique)
    return {"case_id": row.case_id, "sample": row.sample, **values, "engine": row.engine}


def critique_values(one: Critique | Unparsed) -> dict[str, Any]:
    judged = one if isinstance(one, Critique) else None
    return {
        "text": one.text,
        "verdict": judged.verdict.value if judged else None,
        "cause": None if isinstance(one, Critique) else one.cause,
        "p_yes": judged.p_yes if judged else None,
        "num_tokens": one.num_tokens,
    }


def table_to_critiques(table: pa.Table, *, source: str = "critiques") -> list[CritiqueRow]:
    return read_table(table, CRITIQUES, source, read_critique)


def read_critique(row: RowReader) -> CritiqueRow:
    return CritiqueRow(
        case_id=row.text("case_id"),
        sample=row.integer("sample"),
        engine=row.text("engine", blank=True),
        critique=_read_parsed(row),
    )


def _read_parsed(row: RowReader) -> Critique | Unparsed:
    text, num_tokens = row.text("text", blank=True), row.integer("num_tokens")
    verdict, cause = row.optional_text("verdict"), row.optional_text("cause")
    if cause is not None and verdict is None:
        return Unparsed(text=text, cause=cause, num_tokens=num_tokens)
    if verdict not in {"yes", "no"} or cause is not None:
        row.checks.problem(
            row.index,
            "verdict",
            f"is {verdict!r} with cause {cause!r}",
            fix='give "yes" or "no" without a cause, or null with one',
        )
        return Unparsed(text=text, cause="", num_tokens=num_tokens)
    return Critique(
        text=text,
        verdict=Verdict(verdict),
        p_yes=row.optional_fraction("p_yes"),
        num_tokens=num_tokens,
    )


def read_table(
    table: pa.Table,
    schema: pa.Schema,
    source: str,
    read: Callable[[RowReader], T],
    *,
    unique: str | None = None,
) -> list[T]:
    missing = [name for name in schema.names if name not in table.column_names]
    if missing:
        raise BadInput(
            f"{source}: no column {', '.join(map(repr, missing))}; it has {table.column_names}.",
            fix="give a table written by rprm, or rename the columns",
        )
    return read_rows(table.select(schema.names).to_pylist(), source, read, unique=unique)


def read_rows(
    rows: Iterable[object],
    source: str,
    read: Callable[[RowReader], T],
    *,
    unique: str | None = None,
) -> list[T]:
    """Read every row, then raise all problems at once.  `unique` names a key that identifies."""
    checks, found, seen = RowChecks(source=source), list[T](), dict[str, int]()
    for index, values in enumerate(rows):
        row = checks.row(index, values)
        found.append(read(row))
        identity = row.values.get(unique) if unique else None
        if unique and isinstance(identity, str):
            checks.unique(seen, index, unique, identity)
    checks.done()
    return found
