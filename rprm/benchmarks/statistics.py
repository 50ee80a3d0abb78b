"""How sure is a benchmark number, and is one judge better than another?

Solutions of one problem resemble each other, so the bootstrap resamples whole problems, within
each subset, and keeps the intervals honest where plain resampling of solutions would be too sure.
Every metric here is a function of sums over problems, which is what `resampling` resamples.

Runs of several training seeds on the same problems vary for two reasons: the seed and the choice
of problems.  `over_seeds` speaks of the first alone, `bootstrap` of the second alone, `combined`
of both.

Axes: R resamples, P problems, and 4 sums: error matches, error solutions, correct matches, correct
solutions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from statistics import fmean, variance
from typing import Literal

import numpy as np

from rprm.benchmarks import resampling
from rprm.benchmarks.processbench import Outcome, evaluate
from rprm.benchmarks.resampling import LEVEL, NUM_RESAMPLES, Comparison, Floats, Interval
from rprm.benchmarks.student_t import quantile
from rprm.errors import BadInput

__all__ = [
    "LEVEL",
    "NUM_RESAMPLES",
    "Comparison",
    "Floats",
    "Interval",
    "Metric",
    "average",
    "averaged",
    "bootstrap",
    "combined",
    "over_seeds",
    "paired_bootstrap",
    "resample",
    "sums_by_subset",
    "values_of",
]

Metric = Literal["f1", "acc_error", "acc_correct"]


def bootstrap(
    outcomes: Sequence[Outcome],
    *,
    metric: Metric = "f1",
    num_resamples: int = NUM_RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> Interval:
    """Percentile interval of the metric's unweighted mean over subsets, clustered by problem."""
    values_R = resample([outcomes], metric=metric, num_resamples=num_resamples, seed=seed)[0]
    return resampling.percentiles(average(outcomes, metric), values_R, level)


def paired_bootstrap(
    candidate: Sequence[Outcome],
    baseline: Sequence[Outcome],
    *,
    metric: Metric = "f1",
    num_resamples: int = NUM_RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> Comparison:
    """Both judges see the same problems in every resample, so what is hard for both cancels."""
    if {one.solution_id for one in candidate} != {one.solution_id for one in baseline}:
        raise BadInput(
            "the two judges were not measured on the same solutions.",
            fix="compare runs of the same benchmark data",
        )
    ours_R, theirs_R = resample(
        [candidate, baseline], metric=metric, num_resamples=num_resamples, seed=seed
    )
    observed = average(candidate, metric) - average(baseline, metric)
    return resampling.compared(observed, ours_R - theirs_R, level)


def average(outcomes: Sequence[Outcome], metric: Metric = "f1") -> float:
    """Unweighted mean of the metric over subsets; NaN where a subset lacks a kind of solution."""
    subsets = evaluate(outcomes).subsets.values()
    return fmean(float(getattr(subset, metric)) for subset in subsets) if subsets else math.nan


def resample(
    systems: Sequence[Sequence[Outcome]], *, metric: Metric, num_resamples: int, seed: int
) -> list[Floats]:
    """The metric of every system in every resample; all systems share the resampled problems."""
    strata = sums_by_subset(systems)
    found = resampling.resample(
        strata, [partial(values_of, metric=metric)], num_resamples=num_resamples, seed=seed
    )
    return list(found[:, 0])


def sums_by_subset(systems: Sequence[Sequence[Outcome]]) -> list[list[Floats]]:
    """Per system and subset a row of the 4 sums per problem; rows are the same in all systems."""
    subsets = sorted({one.subset for system in systems for one in system})
    by_subset = [_sums_by_problem(systems, subset) for subset in subsets]
    return [[sums[index] for sums in by_subset] for index in range(len(systems))]


def _sums_by_problem(systems: Sequence[Sequence[Outcome]], subset: str) -> list[Floats]:
    parts = [[one for one in system if one.subset == subset] for system in systems]
    problems = sorted({one.problem_id for part in parts for one in part})
    index = {problem: p for p, problem in enumerate(problems)}
    sums = [np.zeros((len(problems), 4)) for _ in systems]
    for part, sums_P4 in zip(parts, sums, strict=True):
        for one in part:
            column = 0 if one.erroneous else 2
            sums_P4[index[one.problem_id], column : column + 2] += (one.match, 1.0)
    return sums


def values_of(sums_R4: Floats, *, metric: Metric) -> Floats:
    """NaN for a resample that drew no solution of a kind; percentiles leave it out."""
    with np.errstate(invalid="ignore", divide="ignore"):
        error_R = 100 * sums_R4[:, 0] / sums_R4[:, 1]
        correct_R = 100 * sums_R4[:, 2] / sums_R4[:, 3]
        f1_R = 2 * error_R * correct_R / (error_R + correct_R)
    f1_R = np.where((error_R == 0) & (correct_R == 0), 0.0, f1_R)
    return {"f1": f1_R, "acc_error": error_R, "acc_correct": correct_R}[metric]


# --- several seeds --------------------------------------------------------------------------


def over_seeds(values: Sequence[float], *, level: float = LEVEL) -> Interval:
    """Mean of one value per seed with its t-interval; a single seed tells nothing of its spread."""
    mean = fmean(values)
    if len(values) < 2:
        return Interval(estimate=mean, low=math.nan, high=math.nan, level=level)
    half = quantile((1 + level) / 2, len(values) - 1) * math.sqrt(variance(values) / len(values))
    return Interval(estimate=mean, low=mean - half, high=mean + half, level=level)


def combined(
    runs: Sequence[Sequence[Outcome]],
    *,
    metric: Metric = "f1",
    num_resamples: int = NUM_RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> Interval:
    """The mean over training seeds, for other seeds *and* other problems; one run per seed.

    Adds the variance of the mean over seeds to that over problems (of the mean over the runs), with
    Welch and Satterthwaite's degrees of freedom.  What seeds and problems do together is in both,
    so the interval errs on the wide side.  With one run it is the interval over problems.
    """
    if len(runs) == 1:
        return bootstrap(
            runs[0], metric=metric, num_resamples=num_resamples, level=level, seed=seed
        )
    values = [average(run, metric) for run in runs]
    resampled = resample(runs, metric=metric, num_resamples=num_resamples, seed=seed)
    of_seeds = variance(values) / len(values)
    of_problems = float(np.nanvar(np.mean(resampled, axis=0), ddof=1))
    num_problems = len({one.problem_id for run in runs for one in run})
    freedom = _freedom([(of_seeds, len(runs) - 1), (of_problems, max(1, num_problems - 1))])
    half = quantile((1 + level) / 2, freedom) * math.sqrt(of_seeds + of_problems)
    mean = fmean(values)
    return Interval(estimate=mean, low=mean - half, high=mean + half, level=level)


def _freedom(parts: Sequence[tuple[float, int]]) -> float:
    """Welch and Satterthwaite: of a sum of independent variances with their own freedom."""
    total = sum(value for value, _ in parts)
    if total == 0:
        return float(min(freedom for _, freedom in parts))
    return total**2 / sum(value**2 / freedom for value, freedom in parts)


def averaged(runs: Sequence[Sequence[Outcome]]) -> list[Outcome]:
    """One outcome per solution whose match is the rate over the runs."""
    rates: dict[str, list[float]] = {}
    for run in runs:
        for one in run:
            rates.setdefault(one.solution_id, []).append(one.match)
    return [replace(one, match=fmean(rates[one.solution_id])) for one in runs[0]]
