"""Where does each system stand, at a glance?  One row per system, a dot and its interval, as SVG.

Colours are the page's, so the plot is readable in light and in dark mode.  Ours are filled and
blue, published ones hollow and grey: the difference does not rest on colour alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from rprm.comparing.view import Line, View, column_title
from rprm.reporting import wording

WIDTH, ROW, LEFT, RIGHT, TOP, BOTTOM = 860, 24, 290, 60, 8, 44
"""Pixels of the drawing; the page scales it."""

STEPS = (1, 2, 5, 10, 20)
"""Distances of ticks, of which the smallest that gives at most eight is taken."""


def dot_plot(view: View) -> str:
    """Of the headline; systems without it are left out."""
    lines = _plotted(view)
    height = TOP + ROW * len(lines) + BOTTOM
    low, high, step = _scale(view, lines)
    body = "".join(
        [
            *_axis(low, high, step, height),
            *(
                part
                for row, line in enumerate(lines)
                for part in _row(view, line, row, (low, high))
            ),
        ]
    )
    title = escape(f"{column_title(view.headline)} of {len(lines)} systems; the table has all")
    label = escape(f"{column_title(view.headline)} in percent")
    middle = (LEFT + WIDTH - RIGHT) / 2
    return (
        f'<svg role="img" aria-label="{title}" viewBox="0 0 {WIDTH} {height}">{body}'
        f'<text class="muted" x="{middle:.0f}" y="{height - 6}" text-anchor="middle">{label}'
        "</text></svg>"
    )


def caption_of(view: View) -> str:
    """The finding in words."""
    lines = [line for line in _plotted(view) if line.comparable]
    name = column_title(view.headline)
    if not lines:
        return f"{name}: no line can be compared with the published ones."
    best = max(lines, key=lambda line: line.at(view.headline))
    told = f"{name}: {best.label} is highest at {best.at(view.headline):.1f}."
    ours = [line for line in _plotted(view) if line.ours]
    if ours:
        values = [
            f"{one.label} {wording.estimate(one.cells[view.headline].value)}" for one in ours[:4]
        ]
        told += f" Ours (filled): {wording.listing(values)}."
    strange = [line.label for line in ours if not line.comparable]
    return f"{told} Not comparable: {wording.listing(strange)}." if strange else told


def _plotted(view: View) -> list[Line]:
    return [line for line in view.lines if not math.isnan(line.at(view.headline))]


def _scale(view: View, lines: Sequence[Line]) -> tuple[float, float, int]:
    """From a tick below everything to a tick above it."""
    found = [line.cells[view.headline].value for line in lines]
    ends = [end for one in found for end in (one.low, one.estimate, one.high)]
    known = [end for end in ends if not math.isnan(end)] or [0.0, 100.0]
    low, high = min(known), max(known)
    step = next((one for one in STEPS if (high - low) / one <= 7), STEPS[-1])
    first = step * math.floor(low / step)
    last = step * math.ceil(high / step)
    return first, max(last, first + step), step


def _x(value: float, scale: tuple[float, float]) -> float:
    low, high = scale
    return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)


def _axis(low: float, high: float, step: int, height: int) -> Iterator[str]:
    for tick in range(int(low), int(high) + 1, step):
        x = _x(tick, (low, high))
        yield (
            f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{height - BOTTOM}"/>'
            f'<text class="muted" x="{x:.1f}" y="{height - BOTTOM + 16}" text-anchor="middle">'
            f"{tick}</text>"
        )


def _row(view: View, line: Line, row: int, scale: tuple[float, float]) -> Iterator[str]:
    y = TOP + ROW * (row + 0.5)
    found = line.cells[view.headline].value
    kind = "ours" if line.ours else "theirs"
    label = line.label if line.comparable else f"{line.label} (not comparable)"
    yield (
        f'<text class="{"ours" if line.ours else ""}" x="{LEFT - 12}" y="{y + 4:.1f}" '
        f'text-anchor="end">{escape(_short(label))}</text>'
    )
    if not math.isnan(found.low):
        low, high = _x(found.low, scale), _x(found.high, scale)
        yield (
            f'<line class="{kind}" x1="{low:.1f}" x2="{high:.1f}" y1="{y:.1f}" y2="{y:.1f}" '
            'stroke-width="2"/>'
        )
    x = _x(found.estimate, scale)
    yield f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="4.5" stroke-width="2"/>'
    yield (
        f'<text class="muted" x="{WIDTH - RIGHT + 12}" y="{y + 4:.1f}">{found.estimate:.1f}</text>'
    )


def _short(label: str) -> str:
    return label if len(label) <= 42 else f"{label[:40]}…"
