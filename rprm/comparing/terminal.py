"""How does a comparison look on a terminal?  A table, and its notes below."""

from __future__ import annotations

import io
import math
import os
import sys
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rprm.comparing.view import Cell, Line, View, column_title
from rprm.reporting import wording

MISSING = "—"

WIDE = 160
"""Columns of a pipe or a file."""


def text(views: Sequence[View], *, to_file: bool) -> str:
    """Coloured for a terminal only; a pipe gets lines wide enough not to be broken."""
    out = io.StringIO()
    on_terminal = sys.stdout.isatty() and not to_file
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
    console.print(_table(view))
    for remark in view.remarks:
        console.print(Text(remark, "dim"))
    for number, note in enumerate(view.notes, start=1):
        console.print(Text(f"[{number}] {note}", "dim"))


def _table(view: View) -> Table:
    table = Table(
        title=view.title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, expand=False
    )
    table.add_column("")
    for cell in view.columns:
        table.add_column(column_title(cell), justify="right")
    if view.baseline:
        table.add_column(f"over {view.baseline}", justify="right")
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
