"""What is each judge's number at each K, and how sure is it?

All judges of a benchmark share the resampled problems, so a report of hundreds of numbers draws
them once per metric.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from rprm.benchmarks.processbench import Outcome
from rprm.benchmarks.statistics import (
    Floats,
    Interval,
    Metric,
    average,
    over_seeds,
    resample,
)
from rprm.errors import BadInput
from rprm.reporting.intervals import interval
from rprm.reporting.systems import System

METRICS: tuple[Metric, ...] = get_args(Metric)

Key = tuple[str, int, Metric]
"""A system's label, K, the metric."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Number:
    system: System
    k: int
    metric: Metric
    value: Interval
    """Over problems, and over seeds as well where there are several."""
    by_seed: tuple[float, ...]

    @property
    def spread(self) -> Interval | None:
        """Over seeds alone; None for a single run."""
        return _in_percent(over_seeds(self.by_seed)) if len(self.by_seed) > 1 else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Numbers:
    by_key: Mapping[Key, Number]

    def at(self, system: System, k: int, metric: Metric = "f1") -> Number | None:
        """None where the judge was not measured at this K."""
        return self.by_key.get((system.label, k, metric))

    def __iter__(self) -> Iterator[Number]:
        return iter(self.by_key.values())


def measure(systems: Sequence[System], *, resamples: int) -> Numbers:
    found: dict[Key, Number] = {}
    for alike in _by_subsets(systems):
        for metric in METRICS:
            for number in _measure(alike, metric, resamples):
                found[number.system.label, number.k, metric] = number
    ordered = {
        (one.label, k, metric): found[one.label, k, metric]
        for one in systems
        for k in one.ks
        for metric in METRICS
    }
    return Numbers(by_key=ordered)


def headline(systems: Sequence[System], wanted: int | None) -> int:
    """The K of the main table: the one asked for, or the largest that every judge has."""
    known = sorted({k for one in systems for k in one.ks})
    if wanted is not None and wanted not in known:
        raise BadInput(f"headline_k={wanted} was not measured.", fix=f"use one of {known}")
    if wanted is not None:
        return wanted
    shared = set.intersection(*(set(one.ks) for one in systems))
    return max(shared or known)


def _by_subsets(systems: Sequence[System]) -> list[list[System]]:
    """Only judges of the same subsets can share resamples: averages are over subsets."""
    groups: dict[frozenset[str], list[System]] = {}
    for one in systems:
        outcomes = one.runs[0].outcomes[one.ks[0]]
        groups.setdefault(frozenset(outcome.subset for outcome in outcomes), []).append(one)
    return list(groups.values())


def _measure(systems: Sequence[System], metric: Metric, resamples: int) -> Iterator[Number]:
    places = [(one, k) for one in systems for k in one.ks]
    runs = [[run.outcomes[k] for run in one.runs] for one, k in places]
    flat = [outcomes for of_place in runs for outcomes in of_place]
    drawn = iter(resample(flat, metric=metric, num_resamples=resamples, seed=0))
    for (system, k), outcomes_N in zip(places, runs, strict=True):
        drawn_NR = [next(drawn) for _ in outcomes_N]
        yield _number(system, k, metric, outcomes_N, drawn_NR)


def _number(
    system: System,
    k: int,
    metric: Metric,
    outcomes_N: Sequence[Sequence[Outcome]],
    drawn_NR: Sequence[Floats],
) -> Number:
    values = tuple(average(outcomes, metric) for outcomes in outcomes_N)
    problems = {one.problem_id for outcomes in outcomes_N for one in outcomes}
    return Number(
        system=system,
        k=k,
        metric=metric,
        value=_in_percent(interval(values, drawn_NR, num_problems=len(problems))),
        by_seed=values,
    )


def _in_percent(found: Interval) -> Interval:
    """A t interval knows nothing of the ends of the scale; NaN stays NaN."""
    return replace(found, low=max(found.low, 0.0), high=min(found.high, 100.0))
