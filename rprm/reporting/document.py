"""What is a report made of?  Values that the page and the Markdown both render."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rprm.benchmarks.statistics import Interval
from rprm.reporting.claims import Checked

Cell = str | Interval | None
"""None is not measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Paragraph:
    """Markdown-light: `code`, **bold** and *emphasis*."""

    text: str
    tone: Literal["plain", "note", "warning"] = "plain"
    block: Literal["paragraph"] = "paragraph"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdicts:
    checked: Sequence[Checked]
    block: Literal["verdicts"] = "verdicts"


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """A table; its first column names the row."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    block: Literal["grid"] = "grid"


@dataclass(frozen=True, kw_only=True, slots=True)
class Plot:
    svg: str
    """Safe to inline: made by us, every text in it escaped."""
    caption: str
    """The finding in words."""
    block: Literal["plot"] = "plot"


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One judged step and its first critiques."""

    judge: str
    kind: str
    case_id: str
    problem: str
    steps: Sequence[str]
    step: int
    label: int
    """Index of the first wrong step; -1 when all are right."""
    score: float | None
    critiques: Sequence[Mapping[str, Any]]
    """text, verdict, p_yes, cause."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Readings:
    judges: Sequence[str]
    kinds: Sequence[str]
    examples: Sequence[Example]
    block: Literal["readings"] = "readings"


Block = Paragraph | Verdicts | Grid | Plot | Readings


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    title: str
    anchor: str
    blocks: Sequence[Block]


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    title: str
    text: str
    sections: Sequence[Section]


def absent(why: str) -> Paragraph:
    return Paragraph(text=f"Left out: {why}.", tone="note")
