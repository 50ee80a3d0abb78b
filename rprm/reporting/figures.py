"""Which plots does a report show?  Measured numbers in, SVG out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rprm.benchmarks.statistics import Interval
from rprm.reporting.numbers import Numbers
from rprm.reporting.plots import GRID, INK, MUTED, SERIES, SURFACE, Canvas, Line, draw, plot_line
from rprm.reporting.plots import label_ends as name_lines
from rprm.reporting.systems import System
from rprm.reporting.wording import value as number_text

ROW_IN = 0.42
"""Height of a judge's row in a dot plot."""

WRONG, RIGHT = SERIES[1], SERIES[0]
"""Colours of solutions with and without an error."""

Panels = Mapping[str, Sequence[tuple[str, Mapping[float, Interval]]]]
"""Lines by panel: label and points."""


def scaling_plot(
    name: str, axis: str, curves: Sequence[tuple[str, Mapping[float, Interval]]]
) -> str:
    """F1 against one axis of the sweeps, with error bars."""

    def paint(panels: Sequence[Any]) -> None:
        axes = panels[0]
        lines = [_line(label, points, SERIES[i % 6]) for i, (label, points) in enumerate(curves)]
        for line in lines:
            plot_line(axes, line, band=False)
        _scale_x(axes, sorted({x for line in lines for x in line.x}))
        axes.set_xlabel(axis)
        _percent_y(axes, lines)
        name_lines(axes, lines, gap=_gap(axes, 3.2))

    return draw(name, f"F1 against {axis}", Canvas(height_in=3.2), paint)


def k_plot(name: str, panels: Panels) -> str:
    """One panel per judge, one line with a band per point of its sweeps."""

    def paint(all_axes: Sequence[Any]) -> None:
        drawn = []
        for axes, (title, curves) in zip(all_axes, panels.items(), strict=True):
            lines = [_line(label, at, SERIES[i % 6]) for i, (label, at) in enumerate(curves)]
            for line in lines:
                plot_line(axes, line, band=True)
            _scale_x(axes, sorted({x for line in lines for x in line.x}))
            axes.set_title(title, color=INK)
            axes.set_xlabel("critiques per step, K")
            drawn.append(lines)
        _percent_y(all_axes[0], [line for lines in drawn for line in lines])
        for axes, lines in zip(all_axes, drawn, strict=True):
            name_lines(axes, lines, gap=_gap(axes, 3.0))

    canvas = Canvas(height_in=3.0, panels=len(panels), width_in=_width(len(panels)))
    return draw(name, "F1 against K", canvas, paint)


def line_plot(name: str, panels: Panels, *, x: str, y: str) -> str:
    """One panel per judge, a line per way, without intervals."""

    def paint(all_axes: Sequence[Any]) -> None:
        drawn = []
        for axes, (title, curves) in zip(all_axes, panels.items(), strict=True):
            lines = [_line(label, at, SERIES[i % 6]) for i, (label, at) in enumerate(curves)]
            for line in lines:
                plot_line(axes, line, band=False)
            _scale_x(axes, sorted({at for line in lines for at in line.x}))
            axes.set_title(title, color=INK)
            axes.set_xlabel(x)
            drawn.append(lines)
        _percent_y(all_axes[0], [line for lines in drawn for line in lines])
        all_axes[0].set_ylabel(y)
        for axes, lines in zip(all_axes, drawn, strict=True):
            name_lines(axes, lines, gap=_gap(axes, 3.2))

    canvas = Canvas(height_in=3.2, panels=len(panels), width_in=_width(len(panels)))
    return draw(name, f"{y} against {x}", canvas, paint)


def dot_plot(name: str, numbers: Numbers, systems: Sequence[System], ks: Sequence[int]) -> str:
    """A row per judge, a dot with its interval per K; the headline K is filled."""

    def paint(panels: Sequence[Any]) -> None:
        axes = panels[0]
        for row, system in enumerate(systems):
            for index, k in enumerate(ks):
                found = numbers.at(system, k)
                if found is not None and not math.isnan(found.value.estimate):
                    y = row + (index - (len(ks) - 1) / 2) * 0.34
                    _dot(axes, found.value, y, SERIES[index % 6], filled=index == len(ks) - 1)
                    axes.annotate(
                        f"K={k}: {number_text(found.value.estimate)}",
                        xy=(1.0, y),
                        xycoords=("axes fraction", "data"),
                        xytext=(4, 0),
                        textcoords="offset points",
                        color=SERIES[index % 6],
                        va="center",
                        fontsize=9,
                    )
        _rows(axes, [one.label for one in systems])
        axes.set_xlabel("F1 in percent, with 95 % interval")

    height = 0.75 + ROW_IN * len(systems) * max(1, len(ks))
    return draw(name, "F1 of each judge", Canvas(height_in=height), paint)


def bias_plot(name: str, numbers: Numbers, systems: Sequence[System], k: int) -> str:
    """The two accuracies of each judge, joined by a line: long lines are biased verdicts."""

    def paint(panels: Sequence[Any]) -> None:
        axes = panels[0]
        for row, system in enumerate(systems):
            wrong = numbers.at(system, k, "acc_error")
            right = numbers.at(system, k, "acc_correct")
            if wrong is None or right is None:
                continue
            ends = [wrong.value.estimate, right.value.estimate]
            axes.plot(ends, [row, row], color=MUTED, linewidth=1, zorder=1)
            _dot(axes, wrong.value, row + 0.12, WRONG, filled=True)
            _dot(axes, right.value, row - 0.12, RIGHT, filled=False)
        _rows(axes, [one.label for one in systems])
        axes.set_xlabel("accuracy in percent, with 95 % interval")
        axes.set_title("● solutions with an error", color=WRONG)
        axes.set_title("○ solutions without one", color=RIGHT, loc="right")

    height = 1.05 + ROW_IN * len(systems)
    return draw(name, "Accuracy on either kind of solution", Canvas(height_in=height), paint)


def _dot(axes: Any, found: Interval, y: float, colour: str, *, filled: bool) -> None:
    if not math.isnan(found.low):
        axes.plot([found.low, found.high], [y, y], color=colour, linewidth=1.4, zorder=2)
    face = colour if filled else SURFACE
    axes.plot([found.estimate], [y], marker="o", color=colour, markerfacecolor=face, zorder=3)


def _rows(axes: Any, labels: Sequence[str]) -> None:
    axes.set_yticks(range(len(labels)), labels, color=INK)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    low, high = axes.get_xlim()
    axes.set_xlim(max(-2.0, low), min(102.0, high))


def _line(label: str, points: Mapping[float, Interval], colour: str) -> Line:
    at = sorted(points.items())
    return Line(
        label=label,
        x=[x for x, _ in at],
        y=[found.estimate for _, found in at],
        low=[found.low for _, found in at],
        high=[found.high for _, found in at],
        colour=colour,
    )


def _scale_x(axes: Any, values: Sequence[float]) -> None:
    """Logarithmic where the sweep grows by factors; a tick at every point measured."""
    if len(values) > 1 and values[0] > 0 and values[-1] / values[0] >= 4:
        axes.set_xscale("log", base=2)
    axes.set_xticks(values, [f"{x:g}" if x < 1e4 else f"{x / 1000:g}k" for x in values])
    axes.set_xticks([], minor=True)


def _percent_y(axes: Any, lines: Sequence[Line]) -> None:
    axes.set_ylabel("F1 in percent")
    known = [y for line in lines for y in (*line.low, *line.high, *line.y) if not math.isnan(y)]
    low, high = min(known, default=0.0), max(known, default=100.0)
    room = max(2.0, (high - low) * 0.06)
    axes.set_ylim(max(0.0, low - room) if low >= 0 else low - room, high + room)
    axes.spines["bottom"].set_color(GRID)


def _gap(axes: Any, height_in: float) -> float:
    """One line of text, in units of y."""
    low, high = axes.get_ylim()
    text_in, drawn_in = 0.17, height_in - 0.8
    return float(high - low) * text_in / drawn_in


def _width(panels: int) -> float:
    return min(10.5, max(4.8, 2.9 * panels))
