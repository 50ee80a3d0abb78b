"""Does what the paper says hold here?  Each claim compares two systems and gets a verdict.

Judges are compared by F1, ways to solve problems (`method`) by the share of problems solved.  The
difference is taken seed by seed (runs of equal seed share their test problems), so problems
that are hard for both cancel.  With several seeds its interval covers seeds and problems.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rprm.benchmarks.processbench import Outcome
from rprm.benchmarks.statistics import Interval, Metric, average, resample
from rprm.errors import BadInput
from rprm.reporting.intervals import interval
from rprm.reporting.systems import Run, System, matching

Outcomes = Sequence[Outcome]

Method = Literal[
    "pass_at_1", "majority", "best_of_n", "weighted_vote", "guided_search", "pass_at_n"
]
"""Ways to solve a problem with a policy, with or without a judge."""

SOLVED = "solved"
NO_SOLVERS: Mapping[str, Sequence[System]] = {}
ONCE = 1
"""The K under which a solver's outcomes stand: it is measured once."""


class Side(BaseModel):
    """One judge of a comparison, or one way to solve problems with a judge's help."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    system: str
    """Name of a measuring stage's `system`."""
    where: Mapping[str, Any] = {}
    """Coordinates that single out one system of that name, such as {rows: 8000}."""
    k: int | None = Field(default=None, gt=0)
    """Of a judge: critiques per step."""
    method: Method | None = None
    """Of a way to solve problems."""

    @model_validator(mode="after")
    def _judge_or_method(self) -> Side:
        if (self.k is None) == (self.method is None):
            raise ValueError("give either k (a judge's F1) or method (a way to solve problems)")
        return self


class Claim(BaseModel):
    """ "`better` beats `worse`"."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str
    """The claim in one sentence."""
    better: Side
    worse: Side
    metric: Metric = "f1"
    """Of judges; ways to solve problems are compared by accuracy."""
    paper: str = ""
    """What the paper reports, with its numbers and conditions; shown beside ours."""

    @model_validator(mode="after")
    def _of_one_kind(self) -> Claim:
        if (self.better.k is None) != (self.worse.k is None):
            raise ValueError("one side is a judge and the other a way to solve problems")
        return self


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
class Named:
    """A side of a claim as a report speaks of it."""

    label: str
    system: str
    k: int | None
    """None for a way to solve problems."""

    @property
    def shown(self) -> str:
        return self.label if self.k is None else f"{self.label} at K={self.k}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    claim: Claim
    found: Compared
    better: Named
    worse: Named

    @property
    def quantity(self) -> str:
        """What was compared: a metric of judges, or "solved"."""
        return self.claim.metric if self.claim.better.k else SOLVED


def check(
    claim: Claim,
    systems: Sequence[System],
    solvers: Mapping[str, Sequence[System]] = NO_SOLVERS,
    *,
    resamples: int,
) -> Checked:
    """`solvers` are by method.  Raises BadInput when a side names none of them, or several."""
    better, worse = (find(side, systems, solvers) for side in (claim.better, claim.worse))
    metric: Metric = claim.metric if claim.better.k else "acc_error"
    found = compare(
        (better, claim.better.k or ONCE),
        (worse, claim.worse.k or ONCE),
        metric=metric,
        resamples=resamples,
    )
    return Checked(
        claim=claim,
        found=found,
        better=_named(claim.better, better),
        worse=_named(claim.worse, worse),
    )


def _named(side: Side, system: System) -> Named:
    return Named(label=system.label, system=side.system, k=side.k)


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


def find(side: Side, systems: Sequence[System], solvers: Mapping[str, Sequence[System]]) -> System:
    """The one system that a side means."""
    among = systems if side.method is None else solvers.get(side.method, ())
    found = [one for one in among if _is(one, side)]
    if len(found) != 1:
        known = "; ".join(one.label for one in among) or "none"
        named = " ".join([side.system, *(f"{axis}={v}" for axis, v in side.where.items())])
        raise BadInput(
            f"a claim names {named!r}, and {len(found) or 'no'} "
            f"{'judges are' if side.method is None else 'solvers are'} that.",
            fix=f"pin its coordinates with `where`; measured are: {known}",
        )
    if side.k is not None and side.k not in found[0].ks:
        raise BadInput(
            f"a claim asks for K={side.k} of {found[0].label}.",
            fix=f"use one of {found[0].ks}, or add it to `ks` of the bench stage",
        )
    return found[0]


def _is(system: System, side: Side) -> bool:
    return bool(matching([system], side.system, side.where))


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
