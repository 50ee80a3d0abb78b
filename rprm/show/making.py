"""How does a run become a page?  Joins: where its rows are, how they are read, what is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from rprm.errors import BadInput
from rprm.scoring import Aggregate
from rprm.show.shown import Category, Reading, Shown, show
from rprm.show.sources import Opened, Source
from rprm.show.writing import About, Counts, write_page

_AGGREGATES = {Aggregate.SOFT: "mean P(Yes)", Aggregate.HARD: "share of yes verdicts"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What a person asked for; None leaves it as the run has it."""

    threshold: float | None = None
    aggregate: Aggregate | None = None
    num_critiques: int | None = None
    only: Category | None = None
    limit: int | None = None


def make_page(source: Source, wanted: Wanted, folder: Path) -> Counts:
    reading = reading_of(source.reading, wanted)
    shown = chosen(source.open(reading), reading, wanted)
    about = About(
        title=source.name,
        threshold=reading.threshold,
        facts=tuple({**dict(source.facts), **dict(_facts(reading, wanted))}.items()),
        whole=wanted.only is None and wanted.limit is None,
    )
    return write_page(folder, not_empty(shown, wanted), about)


def reading_of(found: Reading, wanted: Wanted) -> Reading:
    return replace(
        found,
        threshold=found.threshold if wanted.threshold is None else wanted.threshold,
        aggregate=wanted.aggregate or found.aggregate,
        num_critiques=wanted.num_critiques or found.num_critiques,
    )


def chosen(rows: Opened, reading: Reading, wanted: Wanted) -> Iterator[Shown]:
    every = (show(subject, said, threshold=reading.threshold) for subject, said in rows)
    return islice((one for one in every if wanted.only in (None, one.category)), wanted.limit)


def not_empty(shown: Iterable[Shown], wanted: Wanted) -> Iterator[Shown]:
    """A page of nothing would only puzzle."""
    empty = True
    for one in shown:
        empty = False
        yield one
    if empty:
        what = f"no solution that is {wanted.only.value}" if wanted.only else "no judged solution"
        raise BadInput(f"there is {what} to show.", fix="name another run or --only")


def _facts(reading: Reading, wanted: Wanted) -> Iterator[tuple[str, str]]:
    yield "score", _AGGREGATES[reading.aggregate]
    yield "wrong below", f"{reading.threshold:g}"
    if reading.num_critiques:
        yield "critiques per step", f"the first {reading.num_critiques}"
    if wanted.only:
        yield "only", wanted.only.value.replace("-", " ")
    if wanted.limit:
        yield "limit", f"the first {wanted.limit}"
