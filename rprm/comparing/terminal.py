"""How does a comparison look on a terminal?  A table, and its notes below."""

from __future__ import annotations

import io
import math
import os
import sys
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from rprm.comparing.view import Cell, Line, View, column_titles, heading
from rprm.reporting import wording

MISSING = "—"

NAME = 20
"""Columns of a name where the terminal is narrow; longer ones are folded."""

WIDE = 160
"""Columns of a pipe or a file."""


def text(views: Sequence[View], *, to_file: bool) -> str:
    """Coloured for a terminal only."""
    on_terminal = sys.stdout.isatty() and not to_file
    out = io.StringIO()
    console = Console(
        file=out,
        force_terminal=on_terminal and not os.environ.get("NO_COLOR"),
        width=None if on_terminal else WIDE,
        highlight=False,
    )
    for view in views:
        _print(console, view)
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def _print(console: Console, view: View) -> None:
    table, width = _table(view), console.width
    # rich would cut columns off; a line that the terminal breaks can still be read
    console.width = max(width, _least(console, table, view))
    console.print(table)
    console.width = width
    for remark in view.remarks:
        console.print(Text(remark, "dim"))
    for number, note in enumerate(view.notes, start=1):
        console.print(Text(f"[{number}] {note}", "dim"))


def _least(console: Console, table: Table, view: View) -> int:
    """Wide enough for every column, with long names folded."""
    anything = console.options.update(max_width=100 * WIDE)
    whole = Measurement.get(console, anything, table).maximum
    longest = max(len(line.label + _marks(line.marks)) for line in view.lines)
    return whole - max(0, longest - NAME)


def _table(view: View) -> Table:
    over = f", differences to {view.baseline}" if view.baseline else ""
    table = Table(
        title=heading(view) + over,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    table.add_column("", overflow="fold", min_width=NAME)
    for title in column_titles(view):
        table.add_column(title, justify="right", no_wrap=True)
    if view.baseline:
        table.add_column("difference", justify="right", no_wrap=True)
    for group in view.groups:
        if group:
            table.add_row(Text(group, "italic"))
        for line in view.lines:
            if line.group == group:
                table.add_row(*_row(view, line))
        table.add_section()
    return table


def _row(view: View, line: Line) -> list[Text]:
    style = "bold" if line.ours else ""
    label = Text(line.label, style).append(_marks(line.marks), "dim")
    cells = [_cell(line.cells.get(cell), style) for cell in view.columns]
    return [label, *cells, *([_gain(view, line)] if view.baseline else [])]


def _cell(cell: Cell | None, style: str) -> Text:
    if cell is None:
        return Text(MISSING, "dim")
    found = cell.value
    text = Text(wording.value(found.estimate), style).append(_marks(cell.marks), "dim")
    if not math.isnan(found.low):
        text.append(f"\n{found.low:.1f} to {found.high:.1f}", "dim")
    return text


def _gain(view: View, line: Line) -> Text:
    if line.label == view.baseline:
        return Text("baseline", "dim")
    if line.gain is None:
        return Text(MISSING, "dim")
    found, p_value = line.gain.difference, line.gain.p_value
    text = Text(f"{found.estimate:+.1f}")
    if not math.isnan(found.low):
        text.append(f"\n{found.low:+.1f} to {found.high:+.1f}", "dim")
    if p_value is not None:
        text.append(f"\np = {p_value:.3f}", "dim")
    return text


def _marks(marks: tuple[int, ...]) -> str:
    return f" [{','.join(map(str, marks))}]" if marks else ""
