"""How do the judges compare?  The sections of plots, each with its finding in words.

Sizes of the data, ways of training, reasoning against none, numbers of critiques, verdict bias.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rprm.benchmarks.statistics import Interval
from rprm.reporting import wording
from rprm.reporting.claims import Compared, Verdict
from rprm.reporting.document import Block, Cell, Grid, Plot, Section, absent
from rprm.reporting.figures import bias_plot, dot_plot, k_plot, scaling_plot
from rprm.reporting.findings import Findings, Scaling
from rprm.reporting.systems import System

NO_BIAS_BELOW = 10.0
"""Points between the two accuracies that are not worth a sentence."""


# --- data scaling -----------------------------------------------------------------------------


def scaling(findings: Findings) -> Section:
    blocks: list[Block] = []
    for index, wanted in enumerate(findings.scaling):
        groups = [one for one in findings.across(wanted.axis, wanted.system) if len(one) > 1]
        blocks += [
            _scaling_plot(findings, wanted, group, f"scaling-{index}-{number}")
            for number, group in enumerate(groups)
        ]
    if not blocks:
        blocks = [absent("no judge was measured at several points of a sweep named in `scaling`")]
    return Section(title="Does more data help?", anchor="scaling", blocks=blocks)


def _scaling_plot(findings: Findings, wanted: Scaling, group: Sequence[System], name: str) -> Plot:
    ks = [k for k in wanted.ks or findings.ks if all(k in one.ks for one in group)]
    curves, told = [], []
    first, last = group[0], group[-1]
    for k in ks:
        found = [(one, findings.numbers.at(one, k)) for one in group]
        points = {float(one.coordinate(wanted.axis)): n.value for one, n in found if n}
        curves.append((f"K={k}", points))
        if compared := findings.compare((last, k), (first, k)):
            told.append(f"at K={k} it {wording.change(compared)}")
    caption = (
        f"F1 of {wanted.system} from {wanted.axis}={first.coordinate(wanted.axis)} to "
        f"{wanted.axis}={last.coordinate(wanted.axis)}: {'; '.join(told)}."
    )
    return Plot(svg=scaling_plot(name, wanted.axis, curves), caption=caption)


# --- training methods, reasoning --------------------------------------------------------------


def methods(findings: Findings) -> Section:
    """SFT, rounds of DPO, and controls: judges that write an analysis, side by side."""
    judges = _related(findings, reasoning_only=True)
    title, anchor = "Does preference training help?", "methods"
    if len({one.name for one in judges}) < 2:
        told = absent("only one kind of reasoning judge was measured")
        return Section(title=title, anchor=anchor, blocks=[told])
    blocks = _side_by_side(findings, anchor, judges, reference=judges[0])
    return Section(title=title, anchor=anchor, blocks=blocks)


def reasoning(findings: Findings) -> Section:
    title, anchor = "Does reasoning beat a direct verdict?", "reasoning"
    direct = [one for one in findings.systems if one.name in findings.direct]
    judges = [one for one in _related(findings, reasoning_only=False) if one not in direct]
    if not direct or not judges:
        told = absent("no judge without analyses was measured beside one with them")
        return Section(title=title, anchor=anchor, blocks=[told])
    blocks = _side_by_side(findings, anchor, [*judges, *direct], reference=direct[0])
    return Section(title=title, anchor=anchor, blocks=blocks)


def _side_by_side(
    findings: Findings, name: str, judges: Sequence[System], *, reference: System
) -> list[Block]:
    """A dot plot, and the differences to one of the judges."""
    others = [one for one in judges if one is not reference]
    gains = {
        (one.label, k): found
        for one in others
        for k in findings.ks
        if (found := findings.compare((one, k), (reference, k)))
    }
    caption = " ".join(
        _standing(k, reference.label, {label: gains[label, of] for label, of in gains if of == k})
        for k in findings.ks
    )
    rows: list[list[Cell]] = [
        [one.label, *(_gain(gains.get((one.label, k))) for k in findings.ks)] for one in others
    ]
    grid = Grid(
        caption=f"F1 minus that of {reference.label}, in points, with 95 % interval.",
        header=["judge", *(f"K={k}" for k in findings.ks)],
        rows=rows,
    )
    svg = dot_plot(name, findings.numbers, judges, findings.ks)
    return [Plot(svg=svg, caption=caption), grid]


def _gain(found: Compared | None) -> Cell:
    return None if found is None else wording.gain(found.difference)


def _standing(k: int, reference: str, gains: Mapping[str, Compared]) -> str:
    """Who is above the reference, who below, who cannot be told from it."""
    words = {
        Verdict.HOLDS: "above",
        Verdict.FAILS: "below",
        Verdict.UNDECIDED: "not to be told from",
    }
    parts = []
    for verdict, word in words.items():
        names = [label for label, found in gains.items() if found.verdict is verdict]
        if names:
            parts.append(f"{wording.listing(names)} {'is' if len(names) == 1 else 'are'} {word} it")
    told = "; ".join(parts) or "nothing can be compared"
    return f"Against {reference} at K={k}: {told}."


def _related(findings: Findings, *, reasoning_only: bool) -> list[System]:
    """Reasoning judges that claims compare with another kind; for the rest their last point.

    `reasoning_only` looks at claims among reasoning judges, else at those against direct ones."""
    linked: set[str] = set()
    for one in (checked for checked in findings.checked if checked.better.k):
        names = {one.better.system, one.worse.system}
        if len(names) == 2 and names.isdisjoint(findings.direct) == reasoning_only:
            linked |= {one.better.label, one.worse.label}
    reasoned = [one for one in findings.systems if one.name not in findings.direct]
    if not reasoning_only and linked:
        return [one for one in reasoned if one.label in linked]
    linked |= _siblings(findings, linked)
    named = {one.name for one in findings.systems if one.label in linked}
    last = {one.name: one.label for one in reasoned}
    return [
        one
        for one in reasoned
        if one.label in linked or (one.name not in named and last[one.name] == one.label)
    ]


def _siblings(findings: Findings, linked: set[str]) -> set[str]:
    """Judges of the same name that differ from a linked one in no scaling axis, such as rounds."""
    axes = {one.axis for one in findings.scaling}
    scale = {
        one.label: (one.name, [one.coordinate(axis) for axis in axes]) for one in findings.systems
    }
    return {
        one.label
        for one in findings.systems
        if any(scale[one.label] == scale[label] for label in linked)
    }


# --- K and bias -------------------------------------------------------------------------------


def k_curve(findings: Findings) -> Section:
    judges = [one for one in findings.systems if len(one.ks) > 1]
    title, anchor = "Do more critiques help?", "k-curve"
    if not judges:
        told = absent("every judge was measured at one K only")
        return Section(title=title, anchor=anchor, blocks=[told])
    panels: dict[str, list[tuple[str, dict[float, Interval]]]] = {}
    for one in judges:
        points = {float(k): number.value for k in one.ks if (number := findings.numbers.at(one, k))}
        label = " ".join(f"{axis}={value}" for axis, value in one.point) or one.name
        panels.setdefault(one.name, []).append((label, points))
    caption = " ".join(_k_gains(findings, judges))
    return Section(
        title=title, anchor=anchor, blocks=[Plot(svg=k_plot("k-curve", panels), caption=caption)]
    )


def _k_gains(findings: Findings, judges: Sequence[System]) -> list[str]:
    gains = [
        (one, found)
        for one in judges
        if (found := findings.compare((one, one.ks[-1]), (one, one.ks[0])))
        and not math.isnan(found.difference.estimate)
    ]
    if not gains:
        return ["F1 is not defined on these problems."]
    sure = sum(found.verdict is Verdict.HOLDS for _, found in gains)
    (least, low), (most, high) = (
        min(gains, key=lambda one: one[1].difference.estimate),
        max(gains, key=lambda one: one[1].difference.estimate),
    )
    told = f"From the smallest K to the largest, F1 of {most.label} {wording.change(high)}"
    if least is not most:
        told += f", the most of all judges; that of {least.label} {wording.change(low)}, the least"
    return [
        f"{told}.",
        f"The gain is above zero with its whole interval for {sure} of {len(gains)} judges.",
    ]


def bias(findings: Findings) -> Section:
    k = findings.headline_k
    judges = [one for one in findings.systems if findings.numbers.at(one, k)]
    svg = bias_plot("bias", findings.numbers, judges, k)
    caption = f"At K={k}.  {_bias_told(findings, judges, k)}"
    return Section(
        title="Is the verdict biased?", anchor="bias", blocks=[Plot(svg=svg, caption=caption)]
    )


def _bias_told(findings: Findings, judges: Sequence[System], k: int) -> str:
    gaps: list[tuple[float, System]] = []
    for one in judges:
        wrong = findings.numbers.at(one, k, "acc_error")
        right = findings.numbers.at(one, k, "acc_correct")
        if wrong and right and not math.isnan(wrong.value.estimate - right.value.estimate):
            gaps.append((wrong.value.estimate - right.value.estimate, one))
    if not gaps:
        return "The accuracies are not defined on these problems."
    gap, judge = max(gaps, key=lambda one: abs(one[0]))
    if abs(gap) < NO_BIAS_BELOW:
        return f"No judge's accuracies are more than {NO_BIAS_BELOW:.0f} points apart."
    side, habit = "without", "leans to accepting, or finds errors but not their place"
    if gap > 0:
        side, habit = "with", "leans to seeing errors"
    return (
        f"The widest gap is that of {judge.label}: {abs(gap):.1f} points more accurate on "
        f"solutions {side} an error, so it {habit}."
    )
