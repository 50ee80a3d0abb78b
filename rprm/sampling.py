"""How many critiques must be drawn before the label of a step is certain?  Pure.

Early stopping is lossless: a case stops when no outcome of the critiques still to be drawn could
move the final mean across the threshold.  The final mean is over the critiques that can be
parsed, so of r remaining ones any number m in 0..r may count, each with a belief in [0, 1].  For a
given m the mean lies between that of adding m zeros and of adding m ones; the decision checks every
m with the very function that makes the final score, so rounding cannot part them.  Nothing is
certain while no critique could be parsed, because the score might still be anything or None.
"""

from __future__ import annotations

from collections.abc import Sequence

from rprm.scoring import THRESHOLD, is_error, mean


def decided(
    beliefs: Sequence[float], *, remaining: int, threshold: float = THRESHOLD
) -> bool | None:
    """Is the step right, whatever the remaining critiques say?  None while that is open."""
    if not beliefs:
        return None
    if _all_below(beliefs, remaining, threshold):
        return False
    return True if _none_below(beliefs, remaining, threshold) else None


def _all_below(beliefs: Sequence[float], remaining: int, threshold: float) -> bool:
    return all(_error([*beliefs, *[1.0] * m], threshold) for m in range(remaining, -1, -1))


def _none_below(beliefs: Sequence[float], remaining: int, threshold: float) -> bool:
    return not any(_error([*beliefs, *[0.0] * m], threshold) for m in range(remaining, -1, -1))


def _error(beliefs: Sequence[float], threshold: float) -> bool:
    value = mean(beliefs)
    return value is not None and is_error(value, threshold)


def next_wave(
    beliefs: Sequence[float],
    *,
    remaining: int,
    threshold: float = THRESHOLD,
    min_wave: int = 1,
) -> int:
    """How many critiques to draw next; 0 once the case is decided or nothing remains.

    The smallest number after which a decision is possible at all, so that a wave draws no critique
    that one-by-one drawing would have saved.  `min_wave` trades such critiques for fewer waves.
    """
    if remaining == 0 or decided(beliefs, remaining=remaining, threshold=threshold) is not None:
        return 0
    soonest = next(
        n for n in range(1, remaining + 1) if _may_decide(beliefs, n, remaining - n, threshold)
    )
    return min(remaining, max(soonest, min_wave))


def _may_decide(beliefs: Sequence[float], drawn: int, remaining: int, threshold: float) -> bool:
    """Would `drawn` unanimous critiques settle it?  Unparsable ones never settle more."""
    return remaining == 0 or any(
        decided([*beliefs, *[value] * drawn], remaining=remaining, threshold=threshold) is not None
        for value in (0.0, 1.0)
    )
