"""What does each line of a comparison say, before its notes have numbers?

One draft per published row that was asked for, and one per system of ours.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from rprm.benchmarks.statistics import Interval
from rprm.comparing import footnotes
from rprm.comparing.drawing import Drawn, draw, value
from rprm.comparing.measured import POLICY_ALONE, Measured
from rprm.errors import BadInput
from rprm.published.reading import Published, Row, Table

ALONE = "The policy alone"
NONE = "none"
"""Asks for no published line."""

Tables = Sequence[tuple[Table, str]]
"""Published tables that stand in one view, each with the group of its lines."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ours:
    measured: Measured
    drawn_N: Sequence[Drawn]


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A line before its notes have numbers."""

    label: str
    cells: Mapping[str, Interval]
    row_notes: tuple[str, ...]
    cell_notes: Mapping[str, Sequence[str]]
    group: str = ""
    fair: frozenset[str] = frozenset()
    """Cells that can be compared with published numbers."""
    comparable: bool = True
    """As a whole: its headline is among them."""
    ours: Ours | None = None
    source: str = ""


# --- published lines ------------------------------------------------------------------------------


def published_drafts(
    published: Published, tables: Tables, patterns: Sequence[str], *, lenient: bool = False
) -> list[Draft]:
    rows = [(table, group, row) for table, group in tables for row in table.rows]
    chosen = _chosen(rows, patterns, lenient=lenient)
    return [
        Draft(
            label=_label(table, row),
            cells={cell: footnotes.point(printed) for cell, printed in row.cells.items()},
            row_notes=tuple(footnotes.of_row(published, table, row)),
            cell_notes={cell: footnotes.of_cell(published, table, row, cell) for cell in row.cells},
            group=group,
            fair=frozenset() if row.caveat else frozenset(row.cells),
            comparable=not row.caveat,
            source=published.source_of(table, row),
        )
        for table, group, row in chosen
    ]


def _label(table: Table, row: Row) -> str:
    return row.system if row.at is None else f"{row.system}, {table.axis} = {row.at:g}"


def _chosen(
    rows: Sequence[tuple[Table, str, Row]], patterns: Sequence[str], *, lenient: bool
) -> list[tuple[Table, str, Row]]:
    """Lines of a named group stay, whatever is asked for beside them."""
    if not patterns:
        return list(rows)
    if list(patterns) == [NONE]:
        return []
    names = list(dict.fromkeys(row.system for _, group, row in rows if not group))
    for pattern in patterns:
        if not lenient and not any(matches(name, pattern) for name in names):
            near = difflib.get_close_matches(pattern, names, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise BadInput(
                f"no published system is called {pattern!r}.",
                fix=f"{hint}published: {', '.join(names)}",
            )
    return [one for one in rows if one[1] or any(matches(one[2].system, p) for p in patterns)]


def matches(name: str, pattern: str) -> bool:
    """A glob of the whole name, or the beginning of a word in it: "PRM" is not in "xPRM"."""
    low, wanted = name.lower(), pattern.lower()
    if any(sign in wanted for sign in "*?["):
        return fnmatchcase(low, wanted)
    return re.search(rf"(?<![a-z0-9]){re.escape(wanted)}", low) is not None


# --- our lines ------------------------------------------------------------------------------------


def our_drafts(measured: Sequence[Measured], tables: Tables, *, resamples: int) -> list[Draft]:
    drawn = draw(measured, num_resamples=resamples)
    return [
        _our_draft(Ours(measured=one, drawn_N=drawn_N), label, tables[-1][0])
        for one, drawn_N, label in zip(measured, drawn, _labels(measured), strict=True)
    ]


def _labels(measured: Sequence[Measured]) -> list[str]:
    """Names, with the origin where several have one name."""
    names = [one.name for one in measured]
    return [
        f"{one.name} ({one.origin})" if names.count(one.name) > 1 else one.name for one in measured
    ]


def _our_draft(ours: Ours, label: str, table: Table) -> Draft:
    one = ours.measured
    group = ALONE if one.method in POLICY_ALONE else ""
    names = sorted({cell for drawn in ours.drawn_N for cell in drawn.observed})
    found = {cell: value(ours.drawn_N, cell) for cell in names}
    cells = dict(one.points) | {cell: v for cell, v in found.items() if v is not None}
    reasons = footnotes.other_data(one, table)
    whole = footnotes.why_not_whole(one, table)
    return Draft(
        label=label,
        cells=cells,
        row_notes=(f"ours: {one.origin}", *one.notes, *whole),
        cell_notes={cell: [reasons[_part(cell)]] for cell in cells if _part(cell) in reasons},
        group=group,
        fair=frozenset(cell for cell in cells if not whole or _is_fair(cell, one, table)),
        comparable=not whole,
        ours=ours,
        source=one.origin,
    )


def _is_fair(cell: str, one: Measured, table: Table) -> bool:
    """A part of the same size, where the whole is not the same."""
    size = one.sizes.get(_part(cell))
    return size is not None and size == table.sizes.get(_part(cell))


def _part(cell: str) -> str:
    return cell.rpartition("/")[0] or cell
