"""Which judgements do Parquet files hold?  Read in batches, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from enum import StrEnum
from itertools import islice
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from rprm.data.parquet import ParquetData
from rprm.data.problem_tables import (
    SOLVED,
    STEP_SCORES,
    Solved,
    StepScores,
    table_to_scores,
    table_to_solved,
)
from rprm.data.tables import SOLUTIONS, TEXTS, table_to_solutions
from rprm.errors import BadInput
from rprm.schema import Case, Critique, Unparsed, Verdict
from rprm.scoring import ALL_RIGHT
from rprm.show.shown import Subject, subject_of
from rprm.stages.judged import CRITIQUE, JUDGED, JudgedCase

ERROR_STEPS = "error_steps"
"""Column of solutions whose labels name every wrong step."""

T = TypeVar("T")

_COLUMNS: dict[str, pa.DataType] = {
    "solution_id": pa.string(),
    "problem_id": pa.string(),
    "step": pa.int64(),
    "question": pa.string(),
    "now_step": pa.string(),
    "gold": pa.bool_(),
    "engine": pa.string(),
}
_NEEDED = ("solution_id", "step", "question", "now_step")


class Kind(StrEnum):
    JUDGED = "judged"  # steps with their critiques
    SCORES = "scores"  # a score per step, or an index
    SOLUTIONS = "solutions"
    OTHER = "other"


def kind_of(data: ParquetData) -> Kind:
    names = set(data.file().schema_arrow.names)
    if {*_NEEDED, "critiques"} <= names:
        return Kind.JUDGED
    if set(STEP_SCORES.names) - {"texts"} <= names:
        return Kind.SCORES
    return Kind.SOLUTIONS if set(SOLUTIONS.names) <= names else Kind.OTHER


def judged_rows(data: Iterable[ParquetData], *, with_previous: bool) -> Iterator[JudgedCase]:
    """In the order of files and rows.  What stands before a step is read only where asked for."""
    for one in data:
        names = one.file().schema_arrow.names
        wanted = [name for name in JUDGED.names if name in names]
        if not with_previous:
            wanted.remove("previous_steps")
        first = 0
        for batch in one.batches(wanted):
            yield from _judged_batch(batch, f"{one.name}, rows from {first}")
            first += batch.num_rows


def engines_of(data: Iterable[ParquetData]) -> list[str]:
    """Who wrote the first rows of each file."""
    found: dict[str, None] = {}
    for one in data:
        if "engine" in one.file().schema_arrow.names:
            for batch in islice(one.batches(["engine"]), 1):
                found.update(dict.fromkeys(filter(None, batch.column("engine").to_pylist())))
    return list(found)


def score_rows(data: Iterable[ParquetData]) -> Iterator[StepScores]:
    for one in data:
        names = one.file().schema_arrow.names
        wanted = [name for name in STEP_SCORES.names if name in names]
        for batch in one.batches(wanted):
            table = pa.Table.from_batches([batch])
            for name in STEP_SCORES.names[len(wanted) :]:
                table = table.append_column(
                    name, pa.nulls(len(table), STEP_SCORES.field(name).type)
                )
            yield from table_to_scores(table)


def read_subjects(data: Iterable[ParquetData]) -> dict[str, Subject]:
    """Solutions as a page shows them, by id; all in memory, which critiques never are."""
    found: dict[str, Subject] = {}
    for one in data:
        table = one.table()
        found.update((subject.id, subject) for subject in _subjects(table, one.name))
    return found


def _subjects(table: pa.Table, name: str) -> Iterator[Subject]:
    if set(SOLVED.names) <= set(table.column_names):
        return map(_solved_subject, table_to_solved(table, source=name))
    subjects = map(subject_of, table_to_solutions(table, source=name))
    if ERROR_STEPS not in table.column_names:
        return subjects
    wrong: list[Any] = table.column(ERROR_STEPS).to_pylist()
    return map(_with_wrong_steps, subjects, wrong)


def _with_wrong_steps(subject: Subject, wrong: list[int] | None) -> Subject:
    return replace(subject, wrong_S=frozenset(wrong or ()))


def _solved_subject(one: Solved) -> Subject:
    """A right answer stands for right steps; a wrong one without a label leaves them unknown."""
    words = {True: "right", False: "wrong", None: "undecided"}[one.correct]
    solution = one.solution
    answer = "no answer" if one.answer is None else f"answer {one.answer}"
    return replace(
        subject_of(solution),
        label=solution.label if solution.label != ALL_RIGHT or one.correct else None,
        answer=f"{answer}, {words}; reference {one.reference}",
    )


def _judged_batch(batch: pa.RecordBatch, where: str) -> Iterator[JudgedCase]:
    values = {name: _column(batch, name, kind, where) for name, kind in _COLUMNS.items()}
    previous: list[list[str] | None] = _column(batch, "previous_steps", TEXTS, where)
    critiques = _critiques(batch.column("critiques"), where)
    for row in range(batch.num_rows):
        solution_id, step = values["solution_id"][row], values["step"][row]
        case = Case(
            id=f"{solution_id}:{step}",
            solution_id=solution_id,
            problem_id=values["problem_id"][row] or "",
            step=step,
            question=values["question"][row],
            previous_steps=tuple(previous[row] or ()),
            now_step=values["now_step"][row],
            gold=values["gold"][row],
        )
        engine = values["engine"][row] or ""
        yield JudgedCase(case=case, engine=engine, critiques_K=critiques[row])


def _column(batch: pa.RecordBatch, name: str, kind: pa.DataType, where: str) -> list[Any]:
    """As Python values; of a column that is not there, nulls."""
    if name not in batch.schema.names:
        return [None] * batch.num_rows
    column = _cast(batch.column(name), kind, f"{where}, {name}")
    if name in _NEEDED and column.null_count:
        raise BadInput(f"{where}, {name}: {column.null_count} null(s).", fix="drop these rows")
    found: list[Any] = column.to_pylist()
    if name == "step" and min(found, default=0) < 0:
        raise BadInput(f"{where}, step: below 0.", fix="count steps from 0")
    return found


def _critiques(column: pa.Array[Any], where: str) -> list[tuple[Critique | Unparsed, ...]]:
    """Field by field: making a dict of every critique would take most of the time."""
    lists = _cast(column, pa.list_(CRITIQUE), f"{where}, critiques")
    structs = lists.flatten()
    fields = {field.name: structs.field(field.name).to_pylist() for field in CRITIQUE}
    _check_critiques(fields["verdict"], fields["p_yes"], where)
    made = list(map(_critique, *fields.values()))
    found, start = [], 0
    for length in pc.fill_null(pc.list_value_length(lists), 0).to_pylist():
        found.append(tuple(made[start : start + length]))
        start += length
    return found


def _check_critiques(verdicts: list[str | None], p_yes: list[float | None], where: str) -> None:
    unknown = sorted({str(one) for one in verdicts if one is not None} - set(Verdict))
    if unknown:
        raise BadInput(
            f"{where}, critiques: verdict {', '.join(map(repr, unknown))}.",
            fix='give "yes", "no", or null with a cause',
        )
    if any(value is not None and not 0.0 <= value <= 1.0 for value in p_yes):
        raise BadInput(f"{where}, critiques: P(Yes) outside 0…1.", fix="store a probability")


def _critique(
    text: str | None,
    verdict: str | None,
    cause: str | None,
    p_yes: float | None,
    num_tokens: int | None,
) -> Critique | Unparsed:
    if verdict is None:
        return Unparsed(text=text or "", cause=cause or "unknown", num_tokens=num_tokens or 0)
    return Critique(
        text=text or "", verdict=Verdict(verdict), p_yes=p_yes, num_tokens=num_tokens or 0
    )


def _cast(column: pa.Array[Any], kind: pa.DataType, where: str) -> Any:
    if column.type.equals(kind):
        return column
    try:
        return column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise BadInput(f"{where}: {error}", fix=f"store it as {kind}") from error
