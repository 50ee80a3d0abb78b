"""How do the ways to choose among N responses grow with N?  Every smaller n from one pool.

The responses of a pool are exchangeable, so any n of the N are a pool of size n, and a point of
the curve is the mean over such subsets.  Members keep their order, and with it the rule for ties.

pass_at_n      exact: 1 - C(N-c, n) / C(N, n) with c right ones (Chen et al. 2021)
best_of_n      exact: the response of rank r is chosen when it is drawn and no better one is,
               with probability C(N-1-r, n-1) / C(N, n)
votes          exact for up to 10 responses (all subsets); else over seeded random subsets
With n = N all of them are the values of the pool itself; a smaller pool stays whole where n
exceeds it.

Axes: N responses, D subsets drawn, A different answers, P problems.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rprm.benchmarks.best_of_n import Aggregator, Pool, evaluate, reward
from rprm.benchmarks.resampling import Floats

Bools = NDArray[np.bool_]

METHODS = ("majority", "best_of_n", "weighted_vote", "pass_at_n")
ALL_SUBSETS = 10
"""Up to so many responses every subset is looked at: 1023 of them."""
NUM_DRAWN = 200
"""Random subsets of each size, of larger pools."""
_EVERY = 16
"""Up to this n every point is given; beyond it powers of two, and N itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """Percentages with n responses, averaged over subsets of the benchmark without weights."""

    n: int
    values: Mapping[str, float]


def pass_at_k(num_samples: int, num_right: int, k: int) -> float:
    """The chance that k of the samples, drawn without replacement, hold a right one."""
    miss = 1.0
    for drawn in range(min(k, num_samples)):
        miss *= max(num_samples - num_right - drawn, 0) / (num_samples - drawn)
    return 1.0 - miss


def best_at_k(right_by_rank_N: Sequence[float], k: int) -> float:
    """The chance that the best of k samples is right; the responses are given best first."""
    num_samples = len(right_by_rank_N)
    k = min(k, num_samples)
    chance, total = k / num_samples, 0.0
    for rank, right in enumerate(right_by_rank_N):
        total += chance * right
        if rank + 1 < num_samples:
            chance *= (num_samples - rank - k) / (num_samples - 1 - rank)
    return total


def curve(pools: Sequence[Pool], *, aggregator: Aggregator, seed: int = 0) -> list[Point]:
    """Votes are left out where no response carries an answer."""
    whole = evaluate(pools, aggregator=aggregator)
    methods = [method for method in METHODS if method in whole.average]
    sizes = points(whole.n)
    by_subset: dict[str, list[dict[str, Floats]]] = {}
    for pool, result in zip(pools, whole.problems, strict=True):
        values = {name: np.full(len(sizes), result.correct[name]) for name in methods}
        inner = [at for at, n in enumerate(sizes) if n < len(pool.responses_N)]
        if inner:
            for name, found in _inner(pool, aggregator, [sizes[at] for at in inner], seed).items():
                if name in values:
                    values[name][inner] = found
        by_subset.setdefault(pool.subset, []).append(values)
    means = {
        name: np.mean([np.mean([one[name] for one in of], axis=0) for of in by_subset.values()], 0)
        for name in methods
    }
    return [
        Point(n=n, values={name: 100 * float(means[name][at]) for name in methods})
        for at, n in enumerate(sizes)
    ]


def points(largest: int) -> list[int]:
    powers = [2**power for power in range(largest.bit_length()) if 2**power > _EVERY]
    return sorted({*range(1, min(_EVERY, largest) + 1), *powers, largest})


def _inner(
    pool: Pool, aggregator: Aggregator, sizes: Sequence[int], seed: int
) -> dict[str, list[float]]:
    """Of the sizes below the pool's own."""
    responses = pool.responses_N
    right_N = [float(one.correct is True) for one in responses]
    rewards_N = [reward(one.scores, aggregator) for one in responses]
    ranked = sorted(range(len(responses)), key=lambda index: _rank(rewards_N[index], index))
    right_by_rank = [right_N[index] for index in ranked]
    num_right = int(sum(right_N))
    answers_N = [one.answer for one in responses]
    return {
        "pass_at_n": [pass_at_k(len(responses), num_right, n) for n in sizes],
        "best_of_n": [best_at_k(right_by_rank, n) for n in sizes],
        "majority": _votes(answers_N, [1.0] * len(responses), right_N, sizes, seed),
        "weighted_vote": _votes(answers_N, rewards_N, right_N, sizes, seed),
    }


def _rank(value: float | None, index: int) -> tuple[bool, float, int]:
    """Best first, equals in their order, those without a reward last."""
    return (value is None, 0.0 if value is None else -value, index)


def _votes(
    answers_N: Sequence[str | None],
    weights_N: Sequence[float | None],
    right_N: Sequence[float],
    sizes: Sequence[int],
    seed: int,
) -> list[float]:
    """The mean over subsets of each size of whether the winning answer is right."""
    known = list(dict.fromkeys(answer for answer in answers_N if answer is not None))
    if not known:
        return [0.0] * len(sizes)
    gives_NA = np.array([[answer == one for one in known] for answer in answers_N])
    judged_NA = gives_NA & np.array([value is not None for value in weights_N])[:, None]
    weights = np.array([value or 0.0 for value in weights_N])
    means = []
    for size in sizes:
        drawn_DN = _subsets(len(answers_N), size, seed)
        first_DA = _first_member(drawn_DN, gives_NA)
        sums_DA = drawn_DN.astype(np.float64) @ (judged_NA * weights[:, None])
        sums_DA[~((drawn_DN.astype(np.float64) @ judged_NA) > 0)] = -np.inf
        winner_D = _winner(sums_DA, first_DA)
        chosen_D = first_DA[np.arange(len(drawn_DN)), winner_D]
        right_D = np.append(right_N, 0.0)[chosen_D]  # no answer drawn: one past the end, wrong
        means.append(float(right_D.mean()))
    return means


def _first_member(drawn_DN: Bools, gives_NA: Bools) -> NDArray[np.int64]:
    """Index of the first response drawn that gives each answer; N where none does."""
    num = drawn_DN.shape[1]
    columns = []
    for gives_N in gives_NA.T:
        members = np.flatnonzero(gives_N)
        drawn = drawn_DN[:, members]
        columns.append(np.where(drawn.any(axis=1), members[drawn.argmax(axis=1)], num))
    return np.stack(columns, axis=1).astype(np.int64)


def _winner(sums_DA: Floats, first_DA: NDArray[np.int64]) -> NDArray[np.int64]:
    """The largest sum; of equal ones the answer seen first, drawn ones before others."""
    tied_DA = sums_DA == sums_DA.max(axis=1, keepdims=True)
    never = np.iinfo(np.int64).max
    winner_D: NDArray[np.int64] = np.where(tied_DA, first_DA, never).argmin(axis=1)
    return winner_D


@lru_cache(maxsize=256)
def _subsets(num: int, size: int, seed: int) -> Bools:
    """All subsets of a size where they are few, else random ones; problems share them."""
    if num <= ALL_SUBSETS:
        codes = np.arange(1, 2**num)
        bits = (codes[:, None] >> np.arange(num)) & 1
        chosen: Bools = bits[bits.sum(axis=1) == size].astype(np.bool_)
        return chosen
    rng = np.random.default_rng((seed, num, size))
    orders = rng.random((NUM_DRAWN, num)).argsort(axis=1)
    drawn: Bools = orders < size
    return drawn
