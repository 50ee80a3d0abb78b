"""How does ProcessBench's F1 change along K, along the threshold, or with more training data?

K and threshold   every point comes from one sample of critiques or scores, so the points of a
                  curve share their resamples of problems, and so do gains along it
Training data     every point is a system of its own, of one run per seed: its interval covers
                  seeds and problems

A best threshold that is chosen on the curve's own problems flatters: choose it on one subset and
use it on the others (`thresholds.best_threshold`).

Axes: N solutions, K critiques, R resamples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rprm.benchmarks.k_curve import Beliefs, expected_outcomes
from rprm.benchmarks.processbench import Outcome
from rprm.benchmarks.resampling import LEVEL, NUM_RESAMPLES, Comparison, compared, percentiles
from rprm.benchmarks.statistics import Floats, Interval, Metric, average, combined, resample
from rprm.benchmarks.thresholds import Matches, gather, outcomes
from rprm.errors import BadInput
from rprm.scoring import THRESHOLD


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    at: float
    """K, the threshold, or the number of training examples."""
    value: Interval
    gain: Comparison | None = None
    """Over the reference point, on the same problems; None for the reference itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Resampling:
    num_resamples: int = NUM_RESAMPLES
    level: float = LEVEL
    seed: int = 0


def k_curve(
    data: Beliefs,
    *,
    metric: Metric = "f1",
    num_orders: int = 20,
    threshold: float = THRESHOLD,
    by: Resampling = Resampling(),
) -> list[Point]:
    """For every K from 1 to K_max; gains are over K = 1.

    A smaller K is averaged over orders of the critiques drawn, which leaves the choice of problems
    as what the interval covers.
    """
    by_k = expected_outcomes(data, num_orders=num_orders, seed=by.seed, threshold=threshold)
    at = {float(k): of for k, of in by_k.items()}
    return curve(at, metric=metric, reference=1.0, by=by)


def threshold_curve(
    matches: Matches,
    thresholds: Sequence[float],
    *,
    metric: Metric = "f1",
    reference: float | None = None,
    by: Resampling = Resampling(),
) -> list[Point]:
    """From the scores of steps; see `matches_at_k` for those of critiques.

    Raises BadInput where the scores end before a threshold is decided: those solutions would
    match nowhere, and the curve would fall for a reason that is not the judge's.
    """
    undecided = {one: matches.num_undecided(one) for one in thresholds}
    worst = max(undecided, key=lambda one: undecided[one], default=THRESHOLD)
    if undecided and undecided[worst]:
        raise BadInput(
            f"the scores of {undecided[worst]} solution(s) end before threshold {worst:g} is "
            "decided.",
            fix="judge every step up to the first wrong one, or leave such thresholds out",
        )
    at = {one: outcomes(matches, one) for one in thresholds}
    return curve(at, metric=metric, reference=reference, by=by)


def matches_at_k(data: Beliefs, *, num_critiques: int) -> Matches:
    """The scores that the first K critiques of each step give, ready for any threshold."""
    known_SK = ~np.isnan(data.beliefs_SK[:, :num_critiques])
    sums_S = np.where(known_SK, data.beliefs_SK[:, :num_critiques], 0.0).sum(
        axis=1, dtype=np.longdouble
    )
    counts_S = known_SK.sum(axis=1)
    scores_S = (sums_S.astype(np.float64) / np.maximum(counts_S, 1)).tolist()
    known = (counts_S > 0).tolist()
    ends = [*data.starts_N[1:].tolist(), len(scores_S)]
    scores = {
        solution.id: [scores_S[s] if known[s] else None for s in range(start, end)]
        for solution, start, end in zip(data.solutions, data.starts_N.tolist(), ends, strict=True)
    }
    return gather(data.solutions, scores)


def curve(
    by_place: Mapping[float, Sequence[Outcome]],
    *,
    metric: Metric = "f1",
    reference: float | None = None,
    by: Resampling = Resampling(),
) -> list[Point]:
    """One judge on one set of solutions, at several places; ordered by place."""
    places = sorted(by_place)
    if reference is not None and reference not in by_place:
        known = ", ".join(f"{place:g}" for place in places)
        raise BadInput(f"the curve has no point at {reference:g}.", fix=f"use one of {known}")
    _check_same_solutions(by_place)
    drawn = resample(
        [by_place[place] for place in places],
        metric=metric,
        num_resamples=by.num_resamples,
        seed=by.seed,
    )
    values = {place: average(by_place[place], metric) for place in places}
    drawn_R = dict(zip(places, drawn, strict=True))
    return [
        Point(
            at=place,
            value=percentiles(values[place], drawn_R[place], by.level),
            gain=_gain(place, reference, values, drawn_R, by.level),
        )
        for place in places
    ]


def _gain(
    place: float,
    reference: float | None,
    values: Mapping[float, float],
    drawn_R: Mapping[float, Floats],
    level: float,
) -> Comparison | None:
    if reference is None or place == reference:
        return None
    observed = values[place] - values[reference]
    return compared(observed, drawn_R[place] - drawn_R[reference], level)


def _check_same_solutions(by_place: Mapping[float, Sequence[Outcome]]) -> None:
    ids = [frozenset(one.solution_id for one in outcomes) for outcomes in by_place.values()]
    if len(set(ids)) > 1:
        raise BadInput(
            "the points of the curve were not measured on the same solutions.",
            fix="give every point the same benchmark data; for systems use `data_curve`",
        )


def data_curve(
    by_examples: Mapping[float, Sequence[Sequence[Outcome]]],
    *,
    metric: Metric = "f1",
    by: Resampling = Resampling(),
) -> list[Point]:
    """Systems that differ in how many examples they were trained on; one run per seed each."""
    empty = [f"{place:g}" for place, runs in by_examples.items() if not runs]
    if empty:
        raise BadInput(f"there is no run at {', '.join(empty)} examples.")
    return [
        Point(
            at=place,
            value=combined(
                by_examples[place],
                metric=metric,
                num_resamples=by.num_resamples,
                level=by.level,
                seed=by.seed,
            ),
        )
        for place in sorted(by_examples)
    ]
