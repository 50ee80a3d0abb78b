"""Can a printed number be right?  Recomputed from the other cells of its row.

An F1 is the harmonic mean of its two accuracies, an average is the mean of its parts, and an
accuracy is a whole number of solutions.  Printed cells are rounded, so each answer is a range.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean

from rprm.benchmarks.processbench import f1
from rprm.published.reading import Difference, Published, Row, Table

ROUNDING = 0.05
"""Half of the last printed digit."""
TWICE = 0.005
"""Some cells were rounded to two digits first."""
FIGURE = 0.3
"""How well a point of a figure can be read."""
SAMPLES = 8
"""Answers per problem behind pass@1 of the policy alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """One way to recompute one cell."""

    cell: str
    printed: float
    recomputed: float
    tolerance: float
    rule: str

    @property
    def agrees(self) -> bool:
        return abs(self.printed - self.recomputed) <= self.tolerance + 1e-9


def check_row(table: Table, row: Row) -> list[Checked]:
    """Every check that the cells of the row allow."""
    return [*_harmonic(table, row), *_means(table, row), *_shares(table, row)]


def disagreements(table: Table, row: Row) -> dict[str, Checked]:
    """Cells that cannot be right given the others, declared or not."""
    return {one.cell: one for one in check_row(table, row) if not one.agrees}


def recomputed_difference(published: Published, one: Difference) -> float:
    better = published.table(one.table).row(one.better)
    worse = published.table(one.table).row(one.worse)
    assert better is not None  # the reader has checked both
    assert worse is not None
    return better.cells[one.cell] - worse.cells[one.cell]


def recompute(table: Table, row: Row, cell: str) -> float | None:
    """What the cell should be given the others; None where they do not tell."""
    found = [one.recomputed for one in check_row(table, row) if one.cell == cell]
    return found[0] if found else None


# --- rules ----------------------------------------------------------------------------------------


def _harmonic(table: Table, row: Row) -> Iterator[Checked]:
    for cell in table.cells:
        part, _, metric = cell.rpartition("/")
        error = row.cells.get(f"{part}/acc_error")
        correct = row.cells.get(f"{part}/acc_correct")
        if metric != "f1" or cell not in row.cells or error is None or correct is None:
            continue
        corners = itertools.product((-ROUNDING, ROUNDING), repeat=2)
        value = f1(error, correct)
        slack = max(abs(f1(error + a, correct + b) - value) for a, b in corners)
        yield Checked(
            cell=cell,
            printed=row.cells[cell],
            recomputed=value,
            tolerance=slack + ROUNDING,
            rule="the harmonic mean of the two accuracies",
        )


def means_of(table: Table) -> Mapping[str, tuple[str, ...]]:
    """Which cell is the mean of which others."""
    if table.benchmark == "prmbench":
        return {group[-1]: group[:-1] for group in table.columns if len(group) > 1}
    if table.benchmark == "processbench":
        parts = [c for c in table.cells if c.endswith("/f1") and c != "average/f1"]
        return {"average/f1": tuple(parts)} if parts and "average/f1" in table.cells else {}
    return {"average": tuple(cell for cell in table.cells if cell != "average")}


def _means(table: Table, row: Row) -> Iterator[Checked]:
    for cell, parts in means_of(table).items():
        if cell not in row.cells or any(part not in row.cells for part in parts):
            continue
        inner = fmean(FIGURE if row.read_from_figure(part) else ROUNDING for part in parts)
        yield Checked(
            cell=cell,
            printed=row.cells[cell],
            recomputed=fmean(row.cells[part] for part in parts),
            tolerance=inner + ROUNDING,
            rule=f"the mean of {len(parts)} cells",
        )


def _shares(table: Table, row: Row) -> Iterator[Checked]:
    """Accuracies over known numbers of answers, of which a whole number was right."""
    for cell, value in row.cells.items():
        if count := _count(table, row, cell):
            yield Checked(
                cell=cell,
                printed=value,
                recomputed=100 * round(value * count / 100) / count,
                tolerance=ROUNDING + TWICE,
                rule=f"the nearest share of {count}",
            )


def _count(table: Table, row: Row, cell: str) -> int | None:
    part, _, metric = cell.rpartition("/")
    size = table.sizes.get(part or cell)
    if size is None or table.benchmark == "prmbench":
        return None
    if part:
        return {"acc_error": size.error, "acc_correct": size.correct}.get(metric)
    return (size.rows or 0) * (SAMPLES if row.system == "pass@1" else 1)
