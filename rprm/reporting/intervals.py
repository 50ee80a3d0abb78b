"""How sure is a number of several seeds, given all its resamples?

`statistics.combined` on resamples that are drawn once and shared: a report holds hundreds of
numbers of the same problems.  Differences of two judges go through the same arithmetic.

Axes: R resamples, N seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, variance

import numpy as np

from rprm.benchmarks.statistics import LEVEL, Floats, Interval
from rprm.benchmarks.student_t import quantile


def interval(
    values_N: Sequence[float], drawn_NR: Sequence[Floats], *, num_problems: int
) -> Interval:
    """Over problems for one seed (percentiles); over seeds and problems for several.

    `drawn_NR` are resamples of the problems, of each seed's value.  NaN where nothing is known.
    """
    mean_R = np.mean(drawn_NR, axis=0)
    known_R = mean_R[~np.isnan(mean_R)]
    mean = fmean(values_N)
    if not known_R.size or math.isnan(mean):
        return Interval(estimate=mean, low=math.nan, high=math.nan)
    if len(values_N) == 1:
        low, high = np.quantile(known_R, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return Interval(estimate=mean, low=float(low), high=float(high))
    of_seeds = variance(values_N) / len(values_N)
    of_problems = float(np.var(known_R, ddof=1))
    freedom = _freedom(of_seeds, len(values_N) - 1, of_problems, max(1, num_problems - 1))
    half = quantile((1 + LEVEL) / 2, freedom) * math.sqrt(of_seeds + of_problems)
    return Interval(estimate=mean, low=mean - half, high=mean + half)


def _freedom(one: float, freedom_one: int, other: float, freedom_other: int) -> float:
    """Welch and Satterthwaite: of a sum of two independent variances."""
    total = one + other
    if total == 0:
        return float(min(freedom_one, freedom_other))
    return total**2 / (one**2 / freedom_one + other**2 / freedom_other)
