"""What does a comparison consist of, before it is printed?  Lines of cells with numbered notes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rprm.benchmarks.statistics import Interval
from rprm.comparing.drawing import Gain
from rprm.data.prmbench import ABBREVIATIONS

TITLES: Mapping[str, str] = {
    "gsm8k": "GSM8K",
    "math": "MATH",
    "olympiadbench": "Olympiad",
    "omnimath": "OmniMATH",
    "average": "Average",
    **ABBREVIATIONS,
    "simplicity": "Simplicity",
    "soundness": "Soundness",
    "sensitivity": "Sensitivity",
    "overall": "Overall",
    "aime24": "AIME24",
    "amc23": "AMC23",
    "math500": "MATH500",
    "college_math": "College",
    "minerva_math": "Minerva",
}
"""What papers call the parts; PRMBench's classes by their published abbreviations."""

KINDS: Mapping[str, str] = {"f1": "F1", "acc_error": "error", "acc_correct": "correct"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    value: Interval
    marks: tuple[int, ...] = ()
    """Numbers of notes, from 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One system."""

    label: str
    ours: bool
    cells: Mapping[str, Cell]
    group: str = ""
    """Lines of one group stand together, under its name."""
    marks: tuple[int, ...] = ()
    comparable: bool = True
    gains: Mapping[str, Gain] = field(default_factory=dict)
    """Over the baseline, by cell."""
    gain: Gain | None = None
    """At the headline."""
    source: str = ""

    def at(self, cell: str) -> float:
        found = self.cells.get(cell)
        return math.nan if found is None else found.value.estimate


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """One table."""

    name: str
    """Such as "processbench"."""
    title: str
    columns: tuple[str, ...]
    """Names of cells."""
    headline: str
    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    """Note n is the n-th."""
    remarks: tuple[str, ...]
    """Sentences about the whole table."""
    baseline: str = ""

    @property
    def groups(self) -> list[str]:
        return list(dict.fromkeys(line.group for line in self.lines))


@dataclass(kw_only=True, slots=True)
class Notes:
    """Numbers notes in the order they are first made; equal ones share a number."""

    texts: list[str] = field(default_factory=list)

    def mark(self, texts: Sequence[str]) -> tuple[int, ...]:
        for text in texts:
            if text not in self.texts:
                self.texts.append(text)
        return tuple(sorted({self.texts.index(text) + 1 for text in texts}))


def column_titles(view: View) -> list[str]:
    """Such as "MATH F1", or "MATH" where every column is F1; our own parts keep their names."""
    kinds = {cell.rpartition("/")[2] for cell in view.columns}
    return [column_title(cell, short=len(kinds) == 1) for cell in view.columns]


def column_title(cell: str, *, short: bool = False) -> str:
    part, _, kind = cell.rpartition("/")
    if not part:
        return TITLES.get(cell, cell)
    title = TITLES.get(part, part)
    return title if short else f"{title} {KINDS.get(kind, kind)}"


def heading(view: View) -> str:
    """The title, with what all columns are where that is one thing."""
    kinds = {cell.rpartition("/")[2] for cell in view.columns}
    [kind] = kinds if len(kinds) == 1 else {""}
    return f"{view.title}: {KINDS[kind]}" if kind in KINDS else view.title
