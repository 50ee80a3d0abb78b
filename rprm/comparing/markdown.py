"""How does a comparison read as Markdown?  A table with footnotes."""

from __future__ import annotations

from collections.abc import Sequence

from rprm.comparing.view import Line, View, column_titles, heading
from rprm.reporting import wording


def render(view: View) -> str:
    header = ["system", *column_titles(view)]
    header += [f"over {view.baseline}"] if view.baseline else []
    lines = [f"## {heading(view)}", ""]
    lines += [_row(header), _row(["---", *("---:" for _ in header[1:])])]
    for group in view.groups:
        if group:
            lines.append(_row([f"*{group}*", *("" for _ in header[1:])]))
        lines += [_row(_cells(view, line)) for line in view.lines if line.group == group]
    lines += ["", *(f"{remark}\n" for remark in view.remarks)]
    lines += [f"[^{number}]: {note}" for number, note in enumerate(view.notes, start=1)]
    return "\n".join(lines) + "\n"


def _cells(view: View, line: Line) -> list[str]:
    label = f"**{line.label}**" if line.ours else line.label
    cells = [label + _marks(line.marks)]
    for name in view.columns:
        cell = line.cells.get(name)
        cells.append("—" if cell is None else wording.estimate(cell.value) + _marks(cell.marks))
    return cells + ([gain_text(view, line)] if view.baseline else [])


def gain_text(view: View, line: Line) -> str:
    """Such as "+3.1 [+0.2, +6.0], p = 0.012"."""
    if line.label == view.baseline:
        return "baseline"
    if line.gain is None:
        return "—"
    told, p_value = wording.gain(line.gain.difference), line.gain.p_value
    return told if p_value is None else f"{told}, p = {p_value:.3f}"


def _marks(marks: Sequence[int]) -> str:
    return "".join(f"[^{mark}]" for mark in marks)


def _row(cells: Sequence[str]) -> str:
    escaped = [cell.replace("|", "\\|").replace("\n", " ") for cell in cells]
    return f"| {' | '.join(escaped)} |"
