"""How sure are our numbers, and the differences between them?

Runs on the same data share their resamples, so differences of any two of them are at hand without
drawing again.  A cell of several subsets is the unweighted mean over them.

Axes: R resamples, N seeds of one system.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean

import numpy as np

from rprm.benchmarks import prmbench
from rprm.benchmarks.resampling import NUM_RESAMPLES, Floats, Metric, compared, estimate, resample
from rprm.benchmarks.statistics import Interval, values_of
from rprm.comparing.measured import Benchmark, Measured, Sample
from rprm.reporting.intervals import interval

AVERAGE = "average"
METRICS = ("f1", "acc_error", "acc_correct")


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """One sample's values: of the data as they are, and in every resample, by cell."""

    observed: Mapping[str, float]
    resampled_R: Mapping[str, Floats]
    num_problems: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Gain:
    """Ours minus the baseline's."""

    difference: Interval
    p_value: float | None
    """One-sided; None where several seeds are behind it."""


def draw(measured: Sequence[Measured], *, num_resamples: int = NUM_RESAMPLES) -> list[list[Drawn]]:
    """Per system and seed, in their order."""
    samples = [(one.benchmark, sample) for one in measured for sample in one.samples]
    alike: dict[tuple[str, frozenset[str]], list[int]] = {}
    for index, (benchmark, sample) in enumerate(samples):
        alike.setdefault((benchmark, sample.data), []).append(index)
    found: dict[int, Drawn] = {}
    for (_, _), members in alike.items():
        benchmark = samples[members[0]][0]
        drawn = _draw([samples[index][1] for index in members], benchmark, num_resamples)
        found.update(zip(members, drawn, strict=True))
    numbered = iter(range(len(samples)))
    return [[found[next(numbered)] for _ in one.samples] for one in measured]


def value(drawn_N: Sequence[Drawn], cell: str) -> Interval | None:
    """Over problems for one seed; over seeds and problems for several.  None if not measured."""
    if not drawn_N or any(cell not in one.observed for one in drawn_N):
        return None
    values = [one.observed[cell] for one in drawn_N]
    most = max(one.num_problems for one in drawn_N)
    found = interval(values, [one.resampled_R[cell] for one in drawn_N], num_problems=most)
    if len(drawn_N) == 1:
        return found
    # a t interval knows nothing of the ends of the scale; NaN comes first and so stays NaN
    return replace(found, low=max(found.low, 0.0), high=min(found.high, 100.0))


def gain(
    ours: tuple[Measured, Sequence[Drawn]], theirs: tuple[Measured, Sequence[Drawn]], cell: str
) -> Gain | None:
    """None unless both have the same data, seed by seed, and the cell."""
    pairs = _pairs(ours, theirs, cell)
    if not pairs:
        return None
    values = [a.observed[cell] - b.observed[cell] for a, b in pairs]
    gains_NR = [a.resampled_R[cell] - b.resampled_R[cell] for a, b in pairs]
    most = max(a.num_problems for a, _ in pairs)
    found = interval(values, gains_NR, num_problems=most)
    single = compared(values[0], gains_NR[0]).p_value if len(pairs) == 1 else None
    return Gain(difference=found, p_value=single)


def _pairs(
    ours: tuple[Measured, Sequence[Drawn]], theirs: tuple[Measured, Sequence[Drawn]], cell: str
) -> list[tuple[Drawn, Drawn]]:
    """Runs of equal seed; a system with one run only is the partner of every seed."""
    left = list(zip(ours[0].samples, ours[1], strict=True))
    right = list(zip(theirs[0].samples, theirs[1], strict=True))
    if len(left) == 1:
        chosen = [(left[0], one) for one in right]
    elif len(right) == 1:
        chosen = [(one, right[0]) for one in left]
    else:
        by_seed = {sample.seed: (sample, drawn) for sample, drawn in right}
        chosen = [(one, by_seed[one[0].seed]) for one in left if one[0].seed in by_seed]
        if len(chosen) != len(left) or len(chosen) != len(right):
            return []
    same = all(a[0].data == b[0].data for a, b in chosen)
    known = all(cell in a[1].observed and cell in b[1].observed for a, b in chosen)
    return [(a[1], b[1]) for a, b in chosen] if same and known else []


# --- one set of data ------------------------------------------------------------------------------


def _draw(samples: Sequence[Sample], benchmark: Benchmark, num_resamples: int) -> list[Drawn]:
    """Samples of the same data: they have the same strata and problems."""
    observed: list[dict[str, float]] = [{} for _ in samples]
    resampled: list[dict[str, Floats]] = [{} for _ in samples]
    strata = sorted(samples[0].sums)
    for number, stratum in enumerate(strata):
        problems = sorted({one for sample in samples for one in sample.sums[stratum]})
        systems = [[_array(sample, stratum, problems)] for sample in samples]
        metrics = _metrics(benchmark, stratum)
        # a seed of its own per stratum: equal ones would make strata vary together
        values = resample(systems, list(metrics.values()), num_resamples=num_resamples, seed=number)
        for index, system in enumerate(systems):
            for row, (cell, metric) in enumerate(metrics.items()):
                observed[index][cell] = estimate(system, metric)
                resampled[index][cell] = values[index, row]
    num_problems = sum(len(rows) for rows in samples[0].sums.values())
    return [
        _averaged(Drawn(observed=o, resampled_R=r, num_problems=num_problems), benchmark, strata)
        for o, r in zip(observed, resampled, strict=True)
    ]


def _array(sample: Sample, stratum: str, problems: Sequence[str]) -> Floats:
    rows = sample.sums[stratum]
    width = len(next(iter(rows.values())))
    return np.array([rows.get(problem, (0.0,) * width) for problem in problems])


def _metrics(benchmark: Benchmark, stratum: str) -> dict[str, Metric]:
    """The cells of one stratum."""
    if benchmark == "processbench":
        return {f"{stratum}/{metric}": _accuracy(metric) for metric in METRICS}
    if benchmark == "prmbench":
        return {name: prmbench.metric_of(name) for name in prmbench.NAMES}
    return {stratum: _share}


def _accuracy(metric: str) -> Callable[[Floats], Floats]:
    return partial(values_of, metric=metric)  # type: ignore[arg-type]


def _share(sums_RC: Floats) -> Floats:
    return np.asarray(100 * sums_RC[:, 0] / sums_RC[:, 1])


def _averaged(drawn: Drawn, benchmark: Benchmark, strata: Sequence[str]) -> Drawn:
    if benchmark == "prmbench":
        return drawn
    parts = {AVERAGE: list(strata)}
    if benchmark == "processbench":
        parts = {f"{AVERAGE}/{m}": [f"{stratum}/{m}" for stratum in strata] for m in METRICS}
    observed, resampled = dict(drawn.observed), dict(drawn.resampled_R)
    for cell, of in parts.items():
        observed[cell] = fmean(drawn.observed[one] for one in of) if of else math.nan
        resampled[cell] = np.mean([drawn.resampled_R[one] for one in of], axis=0)
    return Drawn(observed=observed, resampled_R=resampled, num_problems=drawn.num_problems)
