"""What score do K critiques give a step, and which step of a solution is the first error?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum

from rprm.schema import Critique, Unparsed, Verdict

THRESHOLD = 0.5
"""A step scored below it is wrong; exactly on it is right (the paper's rule)."""

ALL_RIGHT = -1
"""The index of the first error of a solution without one, as `Solution.label` has it."""


class Aggregate(StrEnum):
    SOFT = "soft"  # mean of P(Yes)/(P(Yes)+P(No)); the paper's formula
    HARD = "hard"  # fraction of Yes verdicts; what the published PRMBench table used


def belief(critique: Critique, aggregate: Aggregate = Aggregate.SOFT) -> float:
    """How far one critique believes the step; a verdict counts 0 or 1 where P(Yes) is unknown."""
    if aggregate is Aggregate.SOFT and critique.p_yes is not None:
        return critique.p_yes
    return 1.0 if critique.verdict is Verdict.YES else 0.0


def beliefs(
    critiques_K: Sequence[Critique | Unparsed], aggregate: Aggregate = Aggregate.SOFT
) -> list[float]:
    """Of the critiques that could be parsed, in their order."""
    return [belief(one, aggregate) for one in critiques_K if isinstance(one, Critique)]


def mean(beliefs_K: Sequence[float]) -> float | None:
    """Correctly rounded, so it depends on no order, and raising a belief never lowers it."""
    return math.fsum(beliefs_K) / len(beliefs_K) if beliefs_K else None


def score(
    critiques_K: Sequence[Critique | Unparsed], aggregate: Aggregate = Aggregate.SOFT
) -> float | None:
    """Mean belief over the critiques that could be parsed; None when none could."""
    return mean(beliefs(critiques_K, aggregate))


def num_unparsed(critiques_K: Sequence[Critique | Unparsed]) -> int:
    return sum(isinstance(one, Unparsed) for one in critiques_K)


def is_error(score: float, threshold: float = THRESHOLD) -> bool:
    return score < threshold


def first_error(scores_S: Sequence[float | None], *, threshold: float = THRESHOLD) -> int | None:
    """Index of the first step below the threshold; ALL_RIGHT if there is none.

    None when a step without a score comes first: whether the error is there is not known.
    """
    for step, value in enumerate(scores_S):
        if value is None:
            return None
        if is_error(value, threshold):
            return step
    return ALL_RIGHT
