"""How does a benchmark's result grow with K?  Every smaller K from one sample of K_max critiques.

The critiques of a step are exchangeable, so any K of the K_max are a sample of size K.  The first
curve takes them in the order drawn; more curves take them in random orders, and their mean is a
steadier estimate of the same expectation (with K = K_max all of them agree).

Steps must carry all K_max critiques, at least up to and including the first wrong step: judge
without early stopping, and not stopping at the first *detected* error, which a smaller K may miss.

Axes: N solutions, S relevant steps of all solutions together, K critiques.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rprm.benchmarks.processbench import Outcome, Prediction, num_relevant, outcome
from rprm.errors import BadInput
from rprm.schema import Critique, Judgement, Solution
from rprm.scoring import ALL_RIGHT, THRESHOLD, Aggregate, belief

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

UNKNOWN = -2
"""Stands for a prediction of None in arrays."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Beliefs:
    """The judged steps of many solutions, as arrays."""

    solutions: tuple[Solution, ...]
    beliefs_SK: Floats
    """NaN where a critique could not be parsed or is missing."""
    starts_N: Ints
    """Row of each solution's first step."""
    step_S: Ints

    @property
    def num_critiques(self) -> int:
        return int(self.beliefs_SK.shape[1])

    @property
    def labels(self) -> Ints:
        return np.array([one.label for one in self.solutions], dtype=np.int64)


def gather(
    solutions: Sequence[Solution],
    judgements: Mapping[str, Judgement],
    *,
    num_critiques: int,
    aggregate: Aggregate = Aggregate.SOFT,
) -> Beliefs:
    """Steps without a judgement are rows of NaN."""
    if not solutions or min(map(num_relevant, solutions)) < 1:
        raise BadInput("a curve over K needs solutions, each with at least one step.")
    rows: list[list[float]] = []
    starts, steps = [], []
    for solution in solutions:
        starts.append(len(rows))
        for step in range(num_relevant(solution)):
            steps.append(step)
            found = judgements.get(f"{solution.id}:{step}")
            rows.append(_row(found, num_critiques, aggregate))
    return Beliefs(
        solutions=tuple(solutions),
        beliefs_SK=np.array(rows, dtype=np.float64).reshape(-1, num_critiques),
        starts_N=np.array(starts, dtype=np.int64),
        step_S=np.array(steps, dtype=np.int64),
    )


def _row(judgement: Judgement | None, num_critiques: int, aggregate: Aggregate) -> list[float]:
    if judgement is None:
        return [np.nan] * num_critiques
    if len(judgement.critiques_K) < num_critiques:
        raise BadInput(
            f"{judgement.case_id} has {len(judgement.critiques_K)} critiques, not {num_critiques}.",
            fix="judge without early stopping, or ask for a curve up to the smaller K",
        )
    return [
        belief(one, aggregate) if isinstance(one, Critique) else np.nan
        for one in judgement.critiques_K[:num_critiques]
    ]


def prediction_table(data: Beliefs, *, threshold: float = THRESHOLD) -> Ints:
    """Column k-1 holds the predictions of the first k critiques; UNKNOWN stands for None."""
    known_SK = ~np.isnan(data.beliefs_SK)
    known = np.where(known_SK, data.beliefs_SK, 0.0)
    # Extended precision, then rounded once: as good as the exact sum that `scoring.mean` takes.
    sums_SK = np.cumsum(known, axis=1, dtype=np.longdouble).astype(np.float64)
    counts_SK = np.cumsum(known_SK, axis=1)
    unknown_SK = counts_SK == 0
    scores_SK = sums_SK / np.maximum(counts_SK, 1)
    stops_SK = unknown_SK | (scores_SK < threshold)
    # One number per step: twice its index, plus 1 where the score is unknown; the smallest stops.
    codes_SK = np.where(stops_SK, 2 * data.step_S[:, None] + unknown_SK, _NEVER)
    first_NK: Ints = np.minimum.reduceat(codes_SK, data.starts_N, axis=0)
    found_NK = np.where(first_NK % 2 == 1, UNKNOWN, first_NK // 2)
    return np.where(first_NK == _NEVER, ALL_RIGHT, found_NK).astype(np.int64)


_NEVER = np.int64(2**62)


def predictions(
    data: Beliefs, *, num_critiques: int, threshold: float = THRESHOLD
) -> dict[str, Prediction]:
    """By solution id, from the first `num_critiques` critiques of each step."""
    column = prediction_table(data, threshold=threshold)[:, num_critiques - 1]
    return {
        solution.id: None if value == UNKNOWN else int(value)
        for solution, value in zip(data.solutions, column, strict=True)
    }


def outcomes(data: Beliefs, *, num_critiques: int, threshold: float = THRESHOLD) -> list[Outcome]:
    found = predictions(data, num_critiques=num_critiques, threshold=threshold)
    return [outcome(solution, found[solution.id]) for solution in data.solutions]


def match_rates(
    data: Beliefs, *, num_orders: int = 20, seed: int = 0, threshold: float = THRESHOLD
) -> Floats:
    """How often each solution is matched at each K: over the order drawn and shuffles of it."""
    labels_N1 = data.labels[:, None]
    rng = np.random.default_rng(seed)
    total_NK = np.zeros((len(data.solutions), data.num_critiques))
    beliefs_SK = data.beliefs_SK
    for _ in range(num_orders):
        shuffled = replace(data, beliefs_SK=beliefs_SK)
        total_NK += prediction_table(shuffled, threshold=threshold) == labels_N1
        beliefs_SK = rng.permuted(data.beliefs_SK, axis=1)
    return total_NK / num_orders


def expected_outcomes(
    data: Beliefs, *, num_orders: int = 20, seed: int = 0, threshold: float = THRESHOLD
) -> dict[int, list[Outcome]]:
    """Per K the outcomes with their match rates, ready for `evaluate` and the bootstrap."""
    rates_NK = match_rates(data, num_orders=num_orders, seed=seed, threshold=threshold)
    return {
        k + 1: [
            replace(outcome(solution, None), match=float(rate))
            for solution, rate in zip(data.solutions, rates_NK[:, k], strict=True)
        ]
        for k in range(data.num_critiques)
    }
