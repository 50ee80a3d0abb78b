"""How does ProcessBench's F1 depend on the threshold, and which one does a judge deserve?

A solution is matched for all thresholds in one interval: above the score of its first wrong step
and at most the smallest score before it (a step on the threshold is right).  So one pass over the
scores tells every threshold.

Best    of one subset, then used for all: how ProcessBench's authors chose Skywork's threshold

Axes: N solutions, T thresholds, S steps of a solution.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rprm.benchmarks.processbench import Outcome, Result, evaluate, num_relevant, outcome
from rprm.errors import BadInput
from rprm.schema import Solution
from rprm.scoring import ALL_RIGHT

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
ScoresOf = Mapping[str, Sequence[float | None]]
"""By solution id; one per step, or fewer where the rest was not judged."""

GRID = tuple(k / 100 for k in range(1, 100))
"""What a best threshold is looked for in: two digits are as many as are published."""

SHOWN = tuple(k / 20 for k in range(1, 20))
"""Of a curve over thresholds, and of a table of them."""

AUTO = "auto:"
"""In front of a subset: its best threshold, used for all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Matches:
    """For which thresholds each solution is matched: low < threshold <= high."""

    solutions: tuple[Solution, ...]
    low_N: Floats
    high_N: Floats
    cut_N: Floats
    """At this threshold or below, the scores end before the outcome is decided; -inf: never."""

    def at(self, threshold: float) -> Flags:
        return (self.low_N < threshold) & (threshold <= self.high_N)

    def num_undecided(self, threshold: float) -> int:
        """Solutions whose judging stopped early under a higher threshold; they never match."""
        return int(np.count_nonzero(threshold <= self.cut_N))


def gather(solutions: Sequence[Solution], scores: ScoresOf) -> Matches:
    """A solution without scores is matched nowhere."""
    found = [_interval(one, scores.get(one.id, (None,))) for one in solutions]
    low_high_cut = np.array(found, dtype=np.float64).reshape(-1, 3)
    return Matches(
        solutions=tuple(solutions),
        low_N=low_high_cut[:, 0],
        high_N=low_high_cut[:, 1],
        cut_N=low_high_cut[:, 2],
    )


_NOWHERE = (math.inf, -math.inf)


def _interval(solution: Solution, scores_S: Sequence[float | None]) -> tuple[float, float, float]:
    """low, high and cut of `Matches`."""
    relevant = scores_S[: num_relevant(solution)]
    if any(value is None for value in relevant):
        return (*_NOWHERE, -math.inf)  # an unknown step hides what comes after it
    known = [value for value in relevant if value is not None]
    if len(known) < num_relevant(solution):
        return (*_NOWHERE, min(known, default=math.inf))
    if solution.label == ALL_RIGHT:
        return -math.inf, min(known), -math.inf
    return known[-1], min(known[:-1], default=math.inf), -math.inf


def outcomes(matches: Matches, threshold: float) -> list[Outcome]:
    match_N = matches.at(threshold)
    return [
        replace(outcome(solution, None), match=float(match))
        for solution, match in zip(matches.solutions, match_N, strict=True)
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One threshold of a curve."""

    threshold: float
    result: Result
    num_undecided: int


def sweep(matches: Matches, thresholds: Sequence[float]) -> list[Point]:
    return [
        Point(
            threshold=threshold,
            result=evaluate(outcomes(matches, threshold)),
            num_undecided=matches.num_undecided(threshold),
        )
        for threshold in thresholds
    ]


def best_threshold(matches: Matches, subset: str, *, grid: Sequence[float] = GRID) -> float:
    """Highest F1 on the subset; of equal ones the lowest.

    Raises BadInput where a threshold cannot be told from the scores.
    """
    at = [index for index, one in enumerate(matches.solutions) if one.subset == subset]
    if not at:
        known = ", ".join(sorted({one.subset for one in matches.solutions}))
        raise BadInput(f"no solution is of subset {subset!r}.", fix=f"use one of {known}")
    low_N, high_N = matches.low_N[at], matches.high_N[at]
    _check_decided(matches, at, grid, subset)
    wrong_N = np.array([matches.solutions[index].label != ALL_RIGHT for index in at])
    match_TN = (low_N < np.array(grid)[:, None]) & (np.array(grid)[:, None] <= high_N)
    f1_T = [_f1(match_N, wrong_N) for match_N in match_TN]
    if math.isnan(max(f1_T)):
        raise BadInput(
            f"subset {subset!r} has solutions of one kind only, so it has no F1.",
            fix="choose the threshold on a subset with and without errors",
        )
    return grid[f1_T.index(max(f1_T))]


def _f1(match_N: Flags, wrong_N: Flags) -> float:
    if wrong_N.all() or not wrong_N.any():
        return math.nan
    error, correct = match_N[wrong_N].mean(), match_N[~wrong_N].mean()
    return float(2 * error * correct / (error + correct)) if error + correct else 0.0


def _check_decided(matches: Matches, at: Sequence[int], grid: Sequence[float], subset: str) -> None:
    undecided = int(np.count_nonzero(matches.cut_N[at] >= min(grid)))
    if undecided:
        raise BadInput(
            f"the scores of {undecided} solution(s) of {subset!r} end before every threshold is "
            "decided, so the best one cannot be found.",
            fix="score all steps up to and including the first wrong one, or give a threshold",
        )
