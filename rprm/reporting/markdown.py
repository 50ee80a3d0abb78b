"""How does a report read as Markdown?  The same numbers; plots become their captions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rprm.reporting import wording
from rprm.reporting.document import Block, Cell, Document, Grid, Paragraph, Plot, Verdicts

MARKS = {"plain": "", "note": "> ", "warning": "> **Warning.** "}


def render(document: Document) -> str:
    lines = [f"# {document.title}", ""]
    if document.text:
        lines += [document.text, ""]
    for section in document.sections:
        lines += [f"## {section.title}", ""]
        for block in section.blocks:
            lines += [*_lines(block), ""]
    return "\n".join(lines).rstrip() + "\n"


def _lines(block: Block) -> Iterator[str]:
    match block:
        case Paragraph():
            yield MARKS[block.tone] + block.text
        case Plot():
            yield block.caption
        case Grid():
            yield from _grid(block)
        case Verdicts():
            yield from _verdicts(block)
        case _:
            yield f"{len(block.examples)} judged steps with their critiques are in the HTML page."


def _grid(grid: Grid) -> Iterator[str]:
    yield grid.caption
    yield ""
    yield _row(grid.header)
    yield _row(["---", *("---:" for _ in grid.header[1:])])
    for row in grid.rows:
        yield _row([cell_text(cell) for cell in row])


def _verdicts(block: Verdicts) -> Iterator[str]:
    header = ["claim", "verdict", "better", "worse", "difference", "seeds", "paper"]
    yield _row(header)
    yield _row(["---"] * len(header))
    for one in block.checked:
        claim, found = one.claim, one.found
        yield _row(
            [
                claim.text,
                f"**{found.verdict.value}**",
                f"{one.better.shown}: {wording.value(found.better)}",
                f"{one.worse.shown}: {wording.value(found.worse)}",
                f"{wording.gain(found.difference)} {wording.METRIC_NAMES[one.quantity]}",
                str(found.seeds),
                claim.paper or "—",
            ]
        )


def cell_text(cell: Cell) -> str:
    if cell is None:
        return "—"
    return cell if isinstance(cell, str) else wording.estimate(cell)


def _row(cells: Sequence[str]) -> str:
    escaped = [cell.replace("|", "\\|").replace("\n", " ") for cell in cells]
    return f"| {' | '.join(escaped)} |"
