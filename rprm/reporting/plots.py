"""How does a plot become a piece of a page?  SVG that follows the page's colours, bit for bit.

Matplotlib draws with stand-in colours, which are then replaced by the page's CSS variables: so one
plot is readable in light and in dark mode.  No dates and no random ids: the same numbers give the
same bytes.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

INK, MUTED, GRID, SURFACE = "#010101", "#020202", "#030303", "#040404"
SERIES = ("#0a0001", "#0a0002", "#0a0003", "#0a0004", "#0a0005", "#0a0006")

VARIABLES: Mapping[str, str] = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    SURFACE: "var(--surface)",
    **{stand_in: f"var(--series-{index})" for index, stand_in in enumerate(SERIES, start=1)},
}

WIDTH_IN = 7.2
FONT = "system-ui, sans-serif"

STYLE: Mapping[str, Any] = {
    "svg.fonttype": "none",  # text stays text: small, searchable, in the reader's font
    "font.size": 10.0,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.0,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "lines.linewidth": 1.8,
    "lines.markersize": 6.0,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Canvas:
    """Panels of one plot, in rows of at most `columns`."""

    height_in: float
    """Of one row."""
    panels: int = 1
    columns: int = 4
    width_in: float = WIDTH_IN


def draw(name: str, title: str, canvas: Canvas, paint: Callable[[Sequence[Any]], None]) -> str:
    """The SVG of what `paint` puts on the axes; `name` makes its ids unique on the page."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}):
        columns = min(canvas.panels, canvas.columns)
        rows = -(-canvas.panels // columns)
        size = (canvas.width_in, canvas.height_in * rows)
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
        for spare in grid.flat[canvas.panels :]:
            spare.set_visible(False)
        paint(list(grid.flat[: canvas.panels]))
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return _inlined(out.getvalue(), name, title, canvas.width_in)


def _inlined(svg: str, name: str, title: str, width_in: float) -> str:
    """Sized by the page within bounds: smaller and the text could not be read, so it scrolls."""
    from markupsafe import escape

    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg [^>]*?)width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg [^>]*?)height="[^"]*"', r"\1", svg, count=1)
    bounds = f"min-width: {0.68 * width_in:.2f}in; max-width: {width_in:.2f}in"
    opening = f'<svg role="img" aria-label="{escape(title)}" style="{bounds}" '
    svg = svg.replace("<svg ", opening, 1)
    svg = re.sub(r'id="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
    svg = re.sub(r"font: ((?:\w+ )*[\d.]+px) [^;\"]*", rf"font: \1 {FONT}", svg)
    return re.sub("|".join(VARIABLES), lambda found: VARIABLES[found.group()], svg)


# --- pieces of plots --------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    colour: str


def plot_line(axes: Any, line: Line, *, band: bool) -> None:
    """With error bars, or with a band."""
    axes.plot(line.x, line.y, marker="o", color=line.colour)
    if band:
        axes.fill_between(line.x, line.low, line.high, color=line.colour, alpha=0.14, linewidth=0)
        return
    for x, low, high in zip(line.x, line.low, line.high, strict=True):
        if not math.isnan(low):
            axes.plot([x, x], [low, high], color=line.colour, linewidth=1.2)


def label_ends(axes: Any, lines: Sequence[Line], *, gap: float) -> None:
    """Names beside the right ends, pushed apart by `gap` (in units of y) where lines meet."""
    lines = sorted(
        (line for line in lines if not math.isnan(line.y[-1])), key=lambda line: line.y[-1]
    )
    for line, y in zip(lines, spread([line.y[-1] for line in lines], gap), strict=True):
        axes.annotate(
            line.label,
            xy=(1.0, y),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            color=line.colour,
            va="center",
        )


def spread(values: Sequence[float], gap: float) -> list[float]:
    """Ascending values moved apart to at least `gap`, each cluster around its own middle."""
    clusters: list[list[float]] = []
    for value in values:
        clusters.append([value])
        while len(clusters) > 1 and _bottom(clusters[-1], gap) < _top(clusters[-2], gap) + gap:
            clusters[-2:] = [clusters[-2] + clusters[-1]]
    return [_bottom(cluster, gap) + i * gap for cluster in clusters for i in range(len(cluster))]


def _bottom(cluster: Sequence[float], gap: float) -> float:
    return sum(cluster) / len(cluster) - gap * (len(cluster) - 1) / 2


def _top(cluster: Sequence[float], gap: float) -> float:
    return sum(cluster) / len(cluster) + gap * (len(cluster) - 1) / 2
