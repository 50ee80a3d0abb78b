"""What does PRMBench hold, and which of its quirks does a loader settle?

Data    ssmisya/PRMBench (Apache-2.0): solutions with several wrong steps, of nine classes; an
        item is "{classification}_{idx}", judged on its modified question and process
Traps   five ids of multi_solutions stand twice with other texts: the first counts
        error_steps count from 1, and some name steps that the process does not have: no step
        of the item, so they are left out (and counted)
        a few steps are blank; they count as steps, so judges are shown BLANK in their place
        the class is spelled "redundency"; multi_solutions has no wrong step at all
        subset394 repeats items of the full set and is read alone or not at all
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from rprm.data.problems import problem_id
from rprm.data.rows import RowReader
from rprm.data.sources import SUFFIXES, Source, resolve, rows_of
from rprm.data.tables import SOLUTIONS, read_rows, read_solution, read_table, solutions_to_table
from rprm.schema import Solution
from rprm.scoring import ALL_RIGHT

DEFAULT_SOURCE = "data:prmbench"
ERROR_STEPS = pa.list_(pa.int64())
ITEMS = pa.schema([*SOLUTIONS, ("error_steps", ERROR_STEPS)])
"""Items between stages: solutions, and all their wrong steps, 0-based."""

SUBSET394 = "subset394.jsonl"
"""The items that slow critics (o1) were measured on."""

BLANK = "(blank)"
_SHOWN = 5
"""Duplicates named in a warning."""

ABBREVIATIONS = {
    "redundency": "NR",
    "circular": "NCL",
    "counterfactual": "ES",
    "step_contradiction": "SC",
    "domain_inconsistency": "DC",
    "confidence": "CI",
    "missing_condition": "PS",
    "deception": "DR",
    "multi_solutions": "MS",
}
"""What the papers call the classes."""

CLASSES = tuple(ABBREVIATIONS)


@dataclass(frozen=True, kw_only=True, slots=True)
class PrmItem:
    solution: Solution
    """Its subset is the class, its label the first wrong step; variants of one original question
    share the problem id."""
    error_steps_S: frozenset[int]
    """0-based; every wrong step that the solution has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassFacts:
    classification: str
    num_items: int
    num_steps: int
    num_error_steps: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PrmBenchData:
    items: tuple[PrmItem, ...]
    duplicates: tuple[str, ...]
    """Ids of rows that were left out because the id was already used."""
    counts: Mapping[str, int]
    """Of every rule that was applied."""
    source: Source

    @property
    def is_part(self) -> bool:
        """Is this the subset of 394 alone?"""
        return [file.name for file in self.source.files] == [SUBSET394]

    @property
    def warnings(self) -> tuple[str, ...]:
        if not self.duplicates:
            return ()
        listed = ", ".join(self.duplicates[:_SHOWN])
        more = f" and {len(self.duplicates) - _SHOWN} more" if len(self.duplicates) > _SHOWN else ""
        return (f"the first row counts of each id that stands twice: {listed}{more}",)

    @property
    def solutions(self) -> tuple[Solution, ...]:
        return tuple(item.solution for item in self.items)

    @property
    def classes(self) -> tuple[ClassFacts, ...]:
        names = {item.solution.subset for item in self.items}
        return tuple(_facts(name, self.items) for name in CLASSES if name in names)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Row:
    item: PrmItem
    num_beyond: int
    """Wrong steps named after the last step."""
    num_blank: int


def load_prmbench(
    name: str = DEFAULT_SOURCE, *, subset394: bool = False, revision: str | None = None
) -> PrmBenchData:
    """Every file of the source but the subset of 394; or that one alone."""
    source = _source(name, subset394=subset394, revision=revision)
    kept: dict[str, _Row] = {}
    duplicates: list[str] = []
    for row in _rows(source):
        identity = row.item.solution.id
        if kept.setdefault(identity, row) is not row:
            duplicates.append(identity)
    counts = {
        "read": len(kept) + len(duplicates),
        "kept": len(kept),
        "duplicates": len(duplicates),
        "steps": sum(len(row.item.solution.steps) for row in kept.values()),
        "error_steps": sum(len(row.item.error_steps_S) for row in kept.values()),
        "error_steps_beyond_the_last": sum(row.num_beyond for row in kept.values()),
        "blank_steps": sum(row.num_blank for row in kept.values()),
    }
    return PrmBenchData(
        items=tuple(row.item for row in kept.values()),
        duplicates=tuple(duplicates),
        counts=counts,
        source=source,
    )


def _source(name: str, *, subset394: bool, revision: str | None) -> Source:
    if subset394 and not name.endswith(SUFFIXES):
        return resolve(f"{name.rstrip('/')}/{SUBSET394}", revision=revision)
    source = resolve(name, revision=revision)
    if len(source.files) == 1:
        return source
    return replace(source, files=tuple(one for one in source.files if one.name != SUBSET394))


def _rows(source: Source) -> Iterator[_Row]:
    """In the order of the files' names, so that which duplicate is first is settled."""
    for file in sorted(source.files, key=lambda one: one.name):
        yield from read_rows(rows_of(file), source.shown(file), _read)


def _read(row: RowReader) -> _Row:
    classification, question = row.text("classification"), row.text("modified_question")
    if classification and classification not in CLASSES:
        known = ", ".join(CLASSES)
        row.problem("classification", f"is {classification!r:.40}", fix=f"use one of {known}")
    steps = row.texts("modified_process", blank=True)
    wrong = _error_steps(row)
    inside = frozenset(step for step in wrong if step < len(steps))
    solution = Solution(
        id=f"{classification}_{_idx(row)}",
        problem_id=problem_id(row.optional_text("original_question") or question),
        subset=classification,
        generator="",
        problem=question,
        steps=tuple(step if step.strip() else BLANK for step in steps),
        label=min(inside, default=ALL_RIGHT),
    )
    return _Row(
        item=PrmItem(solution=solution, error_steps_S=inside),
        num_beyond=len(wrong) - len(inside),
        num_blank=sum(not step.strip() for step in steps),
    )


def _idx(row: RowReader) -> str:
    value = row.values.get("idx")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return row.text("idx")


def _error_steps(row: RowReader, *, first: int = 1) -> set[int]:
    """0-based, of numbers that count from `first`."""
    value = row.values.get("error_steps")
    if not isinstance(value, list):
        row.problem("error_steps", "is no list", fix=f"list the wrong steps, from {first}")
        return set()
    unusable = [one for one in value if type(one) is not int or one < first]
    if unusable:
        what = f"holds {unusable[0]!r:.40}"
        row.problem("error_steps", what, fix=f"give whole numbers, counted from {first}")
        return set()
    return {one - first for one in value}


def _facts(name: str, items: Sequence[PrmItem]) -> ClassFacts:
    members = [item for item in items if item.solution.subset == name]
    return ClassFacts(
        classification=name,
        num_items=len(members),
        num_steps=sum(len(item.solution.steps) for item in members),
        num_error_steps=sum(len(item.error_steps_S) for item in members),
    )


# --- between stages ---------------------------------------------------------------------------


def items_to_table(items: Iterable[PrmItem]) -> pa.Table:
    items = list(items)
    steps = pa.array([sorted(item.error_steps_S) for item in items], type=ERROR_STEPS)
    table = solutions_to_table(item.solution for item in items)
    return table.append_column(ITEMS.field("error_steps"), steps)


def table_to_items(table: pa.Table, *, source: str = "items") -> list[PrmItem]:
    """Raises BadInput that names every unusable row."""
    return read_table(table, ITEMS, source, _read_item, unique="id")


def _read_item(row: RowReader) -> PrmItem:
    solution = read_solution(row)
    if solution.subset not in CLASSES:
        row.problem("subset", f"is {solution.subset!r:.40}", fix=f"use one of {', '.join(CLASSES)}")
    return PrmItem(solution=solution, error_steps_S=frozenset(_error_steps(row, first=0)))
