"""What must a reader know of a number beside the number itself?  Sentences, from the data."""

from __future__ import annotations

from rprm.benchmarks.statistics import Interval
from rprm.comparing.measured import Measured
from rprm.published.checking import disagreements, recompute, recomputed_difference
from rprm.published.reading import Other, Published, Row, Size, Table


def of_row(published: Published, table: Table, row: Row) -> list[str]:
    found = [published.source_of(table, row)]
    if row.quoted:
        found.append("copied there from another paper")
    if row.rows is not None:
        found.append(f"on {row.rows} rows only")
    elif row.note:
        found.append(row.note)
    if row.figure == "at":
        found.append("its place on the axis is read off a figure")
    if row.caveat:
        found.append(f"not comparable: {row.caveat}")
    return found


def of_cell(published: Published, table: Table, row: Row, cell: str) -> list[str]:
    found = [_elsewhere(published, table, row, one) for one in row.elsewhere if one.cell == cell]
    if row.read_from_figure(cell):
        found.append("read off a figure")
    if cell in row.misprint:
        right = disagreements(table, row)[cell]
        found.append(
            f"a misprint: printed {row.cells[cell]:.1f}, recomputed {right.recomputed:.1f} "
            f"({right.rule}); {row.misprint[cell]}"
        )
    return found


def _elsewhere(published: Published, table: Table, row: Row, one: Other) -> str:
    told = f"{published.sources[one.source]} prints {one.value:.1f}"
    if one.misprint:
        right = recompute(table, row, one.cell)
        told += f", a misprint (recomputed {right:.1f}): {one.misprint}"
    return f"{told}, {one.note}" if one.note else told


def of_misprinted_gains(published: Published, table: str, shown: set[str]) -> list[str]:
    """Gains in print that the table contradicts, where both systems are shown."""
    return [
        f"{published.sources[one.source]} ({one.place}) reports {one.value:+g} for {one.better} "
        f"over {one.worse}, a misprint: the table gives "
        f"{recomputed_difference(published, one):+.1f}; {one.misprint}."
        for one in published.differences
        if one.table == table and one.misprint and {one.better, one.worse} <= shown
    ]


# --- is ours of the same data? --------------------------------------------------------------------


def other_data(one: Measured, table: Table) -> dict[str, str]:
    """By part that both have, why ours cannot be compared with what is published of it."""
    return {
        part: f"not comparable: {part} has {_size(size)} here, {_size(table.sizes[part])} in print"
        for part, size in one.sizes.items()
        if part in table.sizes and size != table.sizes[part]
    }


def why_not_whole(one: Measured, table: Table) -> list[str]:
    """Why our average cannot be compared with the published ones; empty if it can."""
    if not one.sizes:
        return []
    shared = [part for part in one.sizes if part in table.sizes]
    strange = [part for part in one.sizes if part not in table.sizes]
    missing = [part for part in table.sizes if part not in one.sizes]
    if not shared:
        return [f"not comparable with published numbers: measured on {', '.join(strange)}"]
    parts = [
        *([f"also on {', '.join(strange)}"] if strange else []),
        *([f"without {', '.join(missing)}"] if missing else []),
        *([f"other rows of {', '.join(other)}"] if (other := other_data(one, table)) else []),
    ]
    return [f"the average is not comparable with published ones: {'; '.join(parts)}"] * bool(parts)


def _size(size: Size) -> str:
    if size.rows is not None:
        return f"{size.rows} rows"
    return f"{size.error} solutions with an error and {size.correct} without"


def point(value: float) -> Interval:
    nan = float("nan")
    return Interval(estimate=value, low=nan, high=nan)
