"""What does results.yaml say?  Typed, and every problem of the file told at once with its line.

A row is one system's line of a printed table.  Its cells are named as this package names metrics,
such as "gsm8k/f1" or "overall", and hold percentages as printed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rprm.errors import BadInput

FILE = "results.yaml"

Path = tuple[str | int, ...]
"""Keys and positions from the top of the document to a value."""

Problem = tuple[Path, str]

Percent = float


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Other(_Strict):
    """Another value of a cell that is in print."""

    cell: str
    value: Percent = Field(ge=0, le=100)
    source: str
    note: str = ""
    misprint: str = ""


class Row(_Strict):
    system: str
    values: tuple[Percent | None, ...] | None = None
    """One per column; turned into `cells` by the reader."""
    cells: Mapping[str, Percent] = {}
    at: float | None = None
    """Where a point of a curve lies on its axis."""
    source: str = ""
    """Key of `sources`; that of the table where empty."""
    place: str = ""
    quoted: bool = False
    """The paper copies this row from another one."""
    rows: int | None = Field(default=None, gt=0)
    """How many rows it was measured on, where those are not all."""
    figure: Literal["all", "at"] | tuple[str, ...] = ()
    """Cells (or the place on the axis) that were read off a figure."""
    misprint: Mapping[str, str] = {}
    elsewhere: tuple[Other, ...] = ()
    note: str = ""
    caveat: str = ""
    """Why it must not be compared with the others."""

    @property
    def label(self) -> str:
        return self.system if self.at is None else f"{self.system} at {self.at:g}"

    def read_from_figure(self, cell: str) -> bool:
        return self.figure == "all" or (self.figure != "at" and cell in self.figure)


class Size(_Strict):
    """How many rows stand behind the cells of one part; of two kinds where the metric has two."""

    rows: int | None = None
    error: int | None = None
    correct: int | None = None


class Table(_Strict):
    name: str
    benchmark: Literal["processbench", "prmbench", "solving"]
    title: str
    source: str
    place: str
    columns: tuple[tuple[str, ...], ...]
    """Cells in groups that are read together."""
    axis: str = ""
    """What `at` counts, where the table is a curve."""
    sizes: Mapping[str, Size] = {}
    note: str = ""
    rows: tuple[Row, ...]

    @property
    def cells(self) -> tuple[str, ...]:
        return tuple(cell for group in self.columns for cell in group)

    def row(self, label: str) -> Row | None:
        return next((row for row in self.rows if label in (row.label, row.system)), None)


class Difference(_Strict):
    """A gain that is in print."""

    table: str
    cell: str
    better: str
    worse: str
    value: float
    source: str
    place: str = ""
    misprint: str = ""


class Published(_Strict):
    sources: Mapping[str, str]
    tables: tuple[Table, ...]
    differences: tuple[Difference, ...] = ()

    def table(self, name: str) -> Table:
        """Raises BadInput with the names there are."""
        for table in self.tables:
            if table.name == name:
                return table
        known = ", ".join(table.name for table in self.tables)
        raise BadInput(f"no published table is called {name!r}.", fix=f"use one of {known}")

    def source_of(self, table: Table, row: Row) -> str:
        """The paper and the place in it."""
        own = bool(row.source)
        place = row.place or ("" if own else table.place)
        source = self.sources[row.source or table.source]
        return f"{source}, {place}" if place else source


@cache
def load_published() -> Published:
    """The file that ships with the package."""
    text = files("rprm.published").joinpath(FILE).read_text(encoding="utf-8")
    return parse_published(text, source=FILE)


def parse_published(text: str, *, source: str) -> Published:
    try:
        raw = yaml.load(text, Loader=_LOADER)  # noqa: S506  (the safe one, in C where there is C)
    except yaml.YAMLError as error:
        raise BadInput(f"{source} is not YAML: {error}", fix="correct it") from error
    try:
        found = Published.model_validate(raw)
    except ValidationError as error:
        _refuse(text, source, [(one["loc"], one["msg"]) for one in error.errors()])
    _refuse(text, source, list(_problems(found)))
    return found.model_copy(update={"tables": tuple(_with_cells(one) for one in found.tables)})


_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _with_cells(table: Table) -> Table:
    rows = [row.model_copy(update={"cells": _cells(table, row)}) for row in table.rows]
    return table.model_copy(update={"rows": tuple(rows)})


def _cells(table: Table, row: Row) -> Mapping[str, Percent]:
    if row.values is None:
        return row.cells
    pairs = zip(table.cells, row.values, strict=True)
    return {cell: value for cell, value in pairs if value is not None}


# --- what the types cannot say ------------------------------------------------------------------


def _problems(found: Published) -> Iterator[Problem]:
    names = [table.name for table in found.tables]
    for t, table in enumerate(found.tables):
        here: Path = ("tables", t)
        yield from _known(here, "source", table.source, found.sources)
        if names.index(table.name) != t:
            yield (*here, "name"), f"{table.name!r} is used twice"
        labels = [row.label for row in table.rows]
        for r, row in enumerate(table.rows):
            place: Path = (*here, "rows", r)
            if labels.index(row.label) != r:
                yield (*place, "system"), f"{row.label!r} has two rows"
            yield from _row_problems(place, table, row, found.sources)
    for d, one in enumerate(found.differences):
        yield from _difference_problems(("differences", d), one, found)


def _row_problems(
    place: Path, table: Table, row: Row, sources: Mapping[str, str]
) -> Iterator[Problem]:
    if (row.values is None) == (not row.cells):
        yield place, "give either values (one per column) or cells"
    elif row.values is not None and len(row.values) != len(table.cells):
        yield (
            (*place, "values"),
            f"has {len(row.values)} numbers for {len(table.cells)} columns",
        )
    if (row.at is None) != (not table.axis):
        yield (*place, "at"), "stands in the rows of a curve, and only there"
    given = [*row.cells, *row.misprint, *(one.cell for one in row.elsewhere)]
    given += [] if isinstance(row.figure, str) else row.figure
    for cell in given:
        yield from _known(place, "cells", cell, table.cells)
    for value in [*row.cells.values(), *(row.values or ())]:
        if value is not None and not 0 <= value <= 100:
            yield place, f"{value} is no percentage"
    for source in [*filter(None, [row.source]), *(one.source for one in row.elsewhere)]:
        yield from _known(place, "source", source, sources)


def _difference_problems(place: Path, one: Difference, found: Published) -> Iterator[Problem]:
    yield from _known(place, "source", one.source, found.sources)
    table = next((table for table in found.tables if table.name == one.table), None)
    if table is None:
        yield (*place, "table"), f"there is no table {one.table!r}"
        return
    yield from _known(place, "cell", one.cell, table.cells)
    for key in ("better", "worse"):
        if table.row(getattr(one, key)) is None:
            yield (*place, key), f"{one.table} has no row {getattr(one, key)!r}"


def _known(place: Path, key: str, value: str, known: Iterable[str]) -> Iterator[Problem]:
    if value not in known:
        yield (*place, key), f"{value!r} is not among {', '.join(known)}"


# --- where problems stand -----------------------------------------------------------------------


def _refuse(text: str, source: str, problems: Sequence[Problem]) -> None:
    if not problems:
        return
    top = yaml.compose(text, Loader=_LOADER)
    lines = [f"{source}: {len(problems)} problem(s)"]
    lines += [f"line {_line(top, path)}, {_shown(path)}: {what}" for path, what in problems]
    raise BadInput("\n  ".join(lines), fix="correct the file")


def _line(node: Any, path: Path) -> int:
    """Of the deepest part of `path` that the document has, counting from 1."""
    line = node.start_mark.line if node is not None else 0
    for part in path:
        inner = _inside(node, part)
        if inner is None:
            break
        node, line = inner
    return int(line) + 1


def _inside(node: Any, part: str | int) -> tuple[Any, int] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return value, key.start_mark.line
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        inner = node.value[part]
        return inner, inner.start_mark.line
    return None


def _shown(path: Path) -> str:
    """Such as "tables[0].rows[3].values"."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") or "(top)"
