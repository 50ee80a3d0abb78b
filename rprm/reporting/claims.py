"""Does what the paper says hold here?  Each claim compares two judges and gets a verdict.

The difference is taken seed by seed (runs of equal seed share their test problems), so problems
that are hard for both cancel.  With several seeds its interval covers seeds and problems.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from rprm.benchmarks.processbench import Outcome
from rprm.benchmarks.statistics import Interval, Metric, average, resample
from rprm.errors import BadInput
from rprm.reporting.intervals import interval
from rprm.reporting.systems import Run, System, matching

Outcomes = Sequence[Outcome]


class Side(BaseModel):
    """One judge of a comparison."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    system: str
    """Name of a bench stage's `system`."""
    where: Mapping[str, Any] = {}
    """Coordinates that single out one judge of that name, such as {rows: 8000}."""
    k: int = Field(gt=0)
    """Critiques per step."""


class Claim(BaseModel):
    """ "`better` beats `worse`"."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str
    """The claim in one sentence."""
    better: Side
    worse: Side
    metric: Metric = "f1"
    paper: str = ""
    """What the paper reports, with its numbers and conditions; shown beside ours."""


class Verdict(StrEnum):
    HOLDS = "holds"  # the whole interval is above zero
    UNDECIDED = "undecided"  # the interval contains zero
    FAILS = "fails"  # the whole interval is below zero


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """One judge minus another, on the same problems."""

    better: float
    worse: float
    difference: Interval
    verdict: Verdict
    seeds: int
    """Pairs of runs compared."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    claim: Claim
    found: Compared
    better_label: str
    worse_label: str


def check(claim: Claim, systems: Sequence[System], *, resamples: int) -> Checked:
    """Raises BadInput when a side names no judge of this report, or more than one."""
    better, worse = find(claim.better, systems), find(claim.worse, systems)
    found = compare(
        (better, claim.better.k),
        (worse, claim.worse.k),
        metric=claim.metric,
        resamples=resamples,
    )
    return Checked(claim=claim, found=found, better_label=better.label, worse_label=worse.label)


def compare(
    better: tuple[System, int], worse: tuple[System, int], *, metric: Metric, resamples: int
) -> Compared:
    """Two judges, each at its K; runs of equal seed are subtracted from each other."""
    pairs = [
        (ours.outcomes[better[1]], theirs.outcomes[worse[1]])
        for ours, theirs in _by_seed(better[0], worse[0])
    ]
    for ours, theirs in pairs:
        if {one.solution_id for one in ours} != {one.solution_id for one in theirs}:
            raise BadInput(
                f"{better[0].label!r} and {worse[0].label!r} were measured on other solutions.",
                fix="compare judges on the same benchmark data",
            )
    difference = _difference(pairs, metric, resamples)
    return Compared(
        better=fmean(average(ours, metric) for ours, _ in pairs),
        worse=fmean(average(theirs, metric) for _, theirs in pairs),
        difference=difference,
        verdict=_verdict(difference),
        seeds=len(pairs),
    )


def find(side: Side, systems: Sequence[System]) -> System:
    """The one judge that a side means."""
    found = matching(systems, side.system, side.where)
    if len(found) != 1:
        known = "; ".join(one.label for one in systems)
        named = " ".join([side.system, *(f"{axis}={v}" for axis, v in side.where.items())])
        raise BadInput(
            f"a claim names {named!r}, and {len(found) or 'no'} judges are that.",
            fix=f"pin its coordinates with `where`; measured are: {known}",
        )
    if side.k not in found[0].ks:
        raise BadInput(
            f"a claim asks for K={side.k} of {found[0].label}.",
            fix=f"use one of {found[0].ks}, or add it to `ks` of the bench stage",
        )
    return found[0]


def _by_seed(better: System, worse: System) -> list[tuple[Run, Run]]:
    """Runs of equal seed; a judge that was made once, outside the seeds, meets every run."""
    theirs = {run.seed: run for run in worse.runs}
    if len(worse.runs) == 1 and worse.runs[0].seed is None:
        return [(run, worse.runs[0]) for run in better.runs]
    if len(better.runs) == 1 and better.runs[0].seed is None:
        return [(better.runs[0], run) for run in worse.runs]
    pairs = [(run, theirs[run.seed]) for run in better.runs if run.seed in theirs]
    if not pairs:
        raise BadInput(
            f"{better.label!r} and {worse.label!r} have no seed in common.",
            fix="sweep `seed` over the same values for both",
        )
    return pairs


def _difference(
    pairs: Sequence[tuple[Outcomes, Outcomes]], metric: Metric, resamples: int
) -> Interval:
    gains = [average(a, metric) - average(b, metric) for a, b in pairs]
    flat = [outcomes for pair in pairs for outcomes in pair]
    drawn = resample(flat, metric=metric, num_resamples=resamples, seed=0)
    gains_NR = [ours - theirs for ours, theirs in zip(drawn[::2], drawn[1::2], strict=True)]
    problems = {one.problem_id for outcomes in flat for one in outcomes}
    return interval(gains, gains_NR, num_problems=len(problems))


def _verdict(difference: Interval) -> Verdict:
    """Undecided too where the numbers are not defined."""
    if difference.low > 0:
        return Verdict.HOLDS
    return Verdict.FAILS if difference.high < 0 else Verdict.UNDECIDED
