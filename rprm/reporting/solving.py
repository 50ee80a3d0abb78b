"""Does the judge help to solve problems?  The section on Best-of-N and guided search."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from rprm.benchmarks.statistics import Interval
from rprm.reporting.claims import ONCE
from rprm.reporting.document import Block, Cell, Grid, Plot, Section
from rprm.reporting.figures import line_plot
from rprm.reporting.findings import Findings
from rprm.reporting.numbers import measure
from rprm.reporting.solvers import WAYS, Solved
from rprm.reporting.systems import SEED, System

LINES: Mapping[str, str] = {
    "best_of_n": "best of N",
    "weighted_vote": "weighted vote",
    "majority": "majority",
    "pass_at_n": "pass@N",
}

Place = tuple[str, tuple[tuple[str, Any], ...]]


def sections(findings: Findings) -> list[Section]:
    """None where the campaign solves no problems."""
    if not findings.solved:
        return []
    blocks: list[Block] = [_table(findings)]
    if plot := _by_n(findings.solved):
        blocks.append(plot)
    if costs := _costs(findings.solved):
        blocks.append(costs)
    title = "Does the judge help to solve problems?"
    return [Section(title=title, anchor="solving", blocks=blocks)]


def _table(findings: Findings) -> Grid:
    cells: dict[Place, dict[str, Cell]] = {}
    for method, systems in findings.solvers.items():
        numbers = measure(systems, resamples=findings.resamples)
        for one in systems:
            found = numbers.at(one, ONCE, "acc_error")
            cells.setdefault((one.name, one.point), {})[method] = found.value if found else None
    rows: list[list[Cell]] = [
        [_label(place), *(of.get(method) for method in findings.solvers)]
        for place, of in cells.items()
    ]
    return Grid(
        caption="Problems solved, in percent, averaged over sets, with 95 % intervals.  pass@1 is "
        "the mean over samples; pass@N counts a problem when any sample is right, so no judge "
        "can do better.",
        header=[
            "judge",
            *(_column(findings.solvers[method], method) for method in findings.solvers),
        ],
        rows=rows,
    )


def _column(systems: Sequence[System], method: str) -> str:
    sizes = {str(one.runs[0].facts["n"]) for one in systems if "n" in one.runs[0].facts}
    n = sizes.pop() if len(sizes) == 1 else "N"
    return WAYS[method].removesuffix(" by {system}").format(n=n)


def _label(place: Place) -> str:
    name, point = place
    return " ".join([name, *(f"{axis}={value}" for axis, value in point)])


# --- growth with N ------------------------------------------------------------------------------


def _by_n(solved: Sequence[Solved]) -> Plot | None:
    groups: dict[str, list[Solved]] = {}
    for one in solved:
        if one.facts.get("by_n"):
            point = tuple(sorted((a, v) for a, v in one.coordinates.items() if a != SEED))
            groups.setdefault(_label((one.system, point)), []).append(one)
    if not groups:
        return None
    panels = {label: _curves(members) for label, members in groups.items()}
    svg = line_plot("by-n", panels, x="samples per problem, N", y="problems solved, percent")
    return Plot(svg=svg, caption=_told(panels))


def _curves(members: Sequence[Solved]) -> list[tuple[str, dict[float, Interval]]]:
    """Means over seeds; without intervals, which the table has for the largest N."""
    curves = []
    for method, label in LINES.items():
        values: dict[float, list[float]] = {}
        for one in members:
            for point in one.facts["by_n"]:
                if point.get(method) is not None:
                    values.setdefault(float(point["n"]), []).append(float(point[method]))
        points = {
            n: Interval(estimate=fmean(found), low=math.nan, high=math.nan)
            for n, found in sorted(values.items())
        }
        if points:
            curves.append((label, points))
    return curves


def _told(panels: Mapping[str, Sequence[tuple[str, Mapping[float, Interval]]]]) -> str:
    told = []
    for label, curves in panels.items():
        points = dict(curves).get(LINES["best_of_n"])
        if points and len(points) > 1:
            first, last = min(points), max(points)
            told.append(
                f"best of N by {label} goes from {points[first].estimate:.1f} at N={first:g} "
                f"to {points[last].estimate:.1f} at N={last:g}"
            )
    return f"Problems solved with more samples: {'; '.join(told)}."


# --- cost ---------------------------------------------------------------------------------------


def _costs(solved: Sequence[Solved]) -> Grid | None:
    """Means over seeds."""
    groups: dict[str, list[Solved]] = {}
    for one in solved:
        if "policy_tokens" in one.facts or "judge_tokens" in one.facts:
            groups.setdefault(_way(one), []).append(one)
    rows: list[list[Cell]] = [
        [way, _per_problem(members, "policy_tokens"), _per_problem(members, "judge_tokens")]
        for way, members in groups.items()
    ]
    if not rows:
        return None
    return Grid(
        caption="What it costs: tokens written per problem.",
        header=["way", "by the policy", "by the judge"],
        rows=rows,
    )


def _way(one: Solved) -> str:
    method = "best_of_n" if "best_of_n" in one.methods else one.methods[0]
    way = WAYS[method].format(n=one.facts.get("n", "N"), system=one.system)
    return _label((way, tuple(sorted((a, v) for a, v in one.coordinates.items() if a != SEED))))


def _per_problem(members: Sequence[Solved], name: str) -> str:
    known = [
        float(one.facts[name]) / int(one.facts["problems"])
        for one in members
        if one.facts.get(name) is not None and one.facts.get("problems")
    ]
    return f"{fmean(known):,.0f}" if known else "—"
