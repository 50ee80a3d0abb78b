"""How sure is a metric that is a function of sums over problems?

Answers to one problem resemble each other, so a resample draws whole problems, within each stratum
(a subset of a benchmark).  It is a weight per problem, so all resamples of all sums are one matrix
product per stratum.  The value is the unweighted mean of the metric over the strata; one stratum
pools everything.

Axes: R resamples, P problems (clusters), C sums, M metrics.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rprm.errors import BadInput

Floats = NDArray[np.float64]
Metric = Callable[[Floats], Floats]
"""From sums [R, C] to values [R], NaN where it is not defined."""

NUM_RESAMPLES = 2000
LEVEL = 0.95
_CHUNK = 256
"""Resamples made at once, as long as there are few problems."""
_WEIGHTS = 2**22
"""Weights made at once, where there are many: 32 MiB of numbers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    estimate: float
    low: float
    high: float
    level: float = LEVEL

    def as_json(self) -> dict[str, float | None]:
        values = {"value": self.estimate, "low": self.low, "high": self.high}
        return {name: known(value) for name, value in values.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Candidate minus baseline, on the same problems."""

    difference: Interval
    p_value: float
    """One-sided: how often a resample shows no improvement, counting the observed data once."""


def known(value: float) -> float | None:
    """Facts and results are JSON, which has no NaN."""
    return None if math.isnan(value) else value


def interval(
    strata: Sequence[Floats],
    metric: Metric,
    *,
    num_resamples: int = NUM_RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> Interval:
    """Percentile interval; each stratum is [P, C], one row of sums per problem."""
    found = intervals(strata, {"": metric}, num_resamples=num_resamples, level=level, seed=seed)
    return found[""]


def intervals(
    strata: Sequence[Floats],
    metrics: Mapping[str, Metric],
    *,
    num_resamples: int = NUM_RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> dict[str, Interval]:
    """Of several metrics from the same resamples, which costs hardly more than one."""
    drawn_MR = resample([strata], list(metrics.values()), num_resamples=num_resamples, seed=seed)[0]
    return {
        name: percentiles(estimate(strata, metric), values_R, level)
        for (name, metric), values_R in zip(metrics.items(), drawn_MR, strict=True)
    }


def paired(
    ours: Sequence[Floats],
    theirs: Sequence[Floats],
    metric: Metric,
    *,
    num_resamples: int = NUM_RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> Comparison:
    """Both systems see the same problems in every resample, so what is hard for both cancels.

    Row p of a stratum is the same problem in both.
    """
    drawn = resample([ours, theirs], [metric], num_resamples=num_resamples, seed=seed)
    observed = estimate(ours, metric) - estimate(theirs, metric)
    return compared(observed, drawn[0, 0] - drawn[1, 0], level)


def estimate(strata: Sequence[Floats], metric: Metric) -> float:
    """The metric of the data as they are."""
    values = [float(metric(sums_PC.sum(axis=0, keepdims=True))[0]) for sums_PC in strata]
    return math.fsum(values) / len(values) if values else math.nan


def resample(
    systems: Sequence[Sequence[Floats]],
    metrics: Sequence[Metric],
    *,
    num_resamples: int,
    seed: int,
) -> Floats:
    """[systems, M, R]: every metric in every resample; all systems share the problems drawn."""
    _check(systems)
    values = np.zeros((len(systems), len(metrics), num_resamples))
    rng = np.random.default_rng(seed)
    num_strata = len(systems[0])
    for stratum in range(num_strata):
        sums = [strata[stratum] for strata in systems]
        for start, weights_RP in _weights(rng, num_resamples, len(sums[0])):
            part = slice(start, start + len(weights_RP))
            for system, sums_PC in enumerate(sums):
                sums_RC = weights_RP @ sums_PC
                for index, metric in enumerate(metrics):
                    values[system, index, part] += metric(sums_RC)
    return values / num_strata


def _check(systems: Sequence[Sequence[Floats]]) -> None:
    shapes = [[len(sums_PC) for sums_PC in strata] for strata in systems]
    if not shapes or not shapes[0] or not all(shapes[0]):
        raise BadInput("there is no outcome to resample.")
    if any(other != shapes[0] for other in shapes):
        raise BadInput(
            "the systems were not measured on the same problems.",
            fix="compare runs of the same benchmark data",
        )


def _weights(
    rng: np.random.Generator, num_resamples: int, num_problems: int
) -> Iterator[tuple[int, Floats]]:
    """How often each resample draws each problem, some resamples at a time."""
    shares = np.full(num_problems, 1 / num_problems)
    chunk = min(_CHUNK, max(1, _WEIGHTS // num_problems))
    for start in range(0, num_resamples, chunk):
        size = min(chunk, num_resamples - start)
        yield start, rng.multinomial(num_problems, shares, size=size).astype(np.float64)


def percentiles(estimate: float, values_R: Floats, level: float = LEVEL) -> Interval:
    """Resamples in which the value is not defined are left out."""
    known_R = values_R[~np.isnan(values_R)]
    if not known_R.size:
        return Interval(estimate=estimate, low=math.nan, high=math.nan, level=level)
    low, high = np.quantile(known_R, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate=estimate, low=float(low), high=float(high), level=level)


def compared(observed: float, gain_R: Floats, level: float = LEVEL) -> Comparison:
    """From the gain in every resample; one that is not defined counts as none."""
    no_gain = int(np.count_nonzero(~(gain_R > 0)))
    return Comparison(
        difference=percentiles(observed, gain_R, level),
        p_value=(no_gain + 1) / (len(gain_R) + 1),
    )
