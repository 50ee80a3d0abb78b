"""How far is each line from the baseline, and what is that difference worth?

ours to ours           on the same data: paired bootstrap; else no difference
ours to published      the interval of ours alone, moved by the published number
published to published a plain difference
recorded result        it has no rows, so its difference has no interval
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rprm.benchmarks.statistics import Interval
from rprm.comparing import drawing
from rprm.comparing.drafting import Draft
from rprm.comparing.drawing import Gain

ALONE = (
    "the interval is that of ours alone: how sure the published number is has not been published"
)
OTHER_DATA = "not measured on the same problems, so no difference is given"
NO_ROWS = "a recorded result has no rows, so the difference has no interval"


@dataclass(frozen=True, kw_only=True, slots=True)
class Gains:
    by_cell: Mapping[str, Gain] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def gains(draft: Draft, base: Draft, cells: Sequence[str], headline: str) -> Gains:
    """Of every cell that both have; the notes are about the headline."""
    both = [cell for cell in cells if cell in draft.cells and cell in base.cells]
    found = {cell: gain for cell in both if (gain := _gain(draft, base, cell)) is not None}
    if headline in both:
        return Gains(by_cell=found, notes=_notes(draft, base, found.get(headline)))
    return Gains(by_cell=found)


def _gain(draft: Draft, base: Draft, cell: str) -> Gain | None:
    if draft.ours is None or base.ours is None:
        return _to_published(draft, base, cell)
    a, b = draft.ours, base.ours
    if a.drawn_N and b.drawn_N:
        return drawing.gain((a.measured, a.drawn_N), (b.measured, b.drawn_N), cell)
    return _plain(draft, base, cell)


def _to_published(draft: Draft, base: Draft, cell: str) -> Gain | None:
    if cell not in draft.fair or cell not in base.fair:
        return None
    ours, theirs = draft.cells[cell], base.cells[cell]
    low, high = ours.low - theirs.estimate, ours.high - theirs.estimate
    if base.ours is not None:
        low, high = ours.estimate - theirs.high, ours.estimate - theirs.low
    value = ours.estimate - theirs.estimate
    return Gain(difference=Interval(estimate=value, low=low, high=high), p_value=None)


def _plain(draft: Draft, base: Draft, cell: str) -> Gain:
    value = draft.cells[cell].estimate - base.cells[cell].estimate
    return Gain(difference=Interval(estimate=value, low=math.nan, high=math.nan), p_value=None)


def _notes(draft: Draft, base: Draft, found: Gain | None) -> tuple[str, ...]:
    if found is None:
        return (OTHER_DATA,)
    without = math.isnan(found.difference.low)
    if draft.ours is not None and base.ours is not None:
        return (NO_ROWS,) if without else ()
    return () if without else (ALONE,)
