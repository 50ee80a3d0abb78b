"""How many tokens would lossless early stopping have saved on critiques that were all drawn?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rprm.sampling import next_wave
from rprm.schema import Critique, Unparsed
from rprm.scoring import THRESHOLD, Aggregate, beliefs, is_error, mean

Critiques = Sequence[Critique | Unparsed]


@dataclass(frozen=True, kw_only=True, slots=True)
class Savings:
    tokens: int
    """Of all critiques that were drawn."""
    tokens_needed: int
    """Of those drawn before the label was certain."""
    labels_changed: int
    """Steps whose label would have been another one: 0, or the stopping is not lossless."""

    @property
    def saved(self) -> float:
        """Share of the tokens that need not have been drawn."""
        return 1 - self.tokens_needed / self.tokens if self.tokens else 0.0


def replay(
    cases: Iterable[Critiques],
    *,
    threshold: float = THRESHOLD,
    aggregate: Aggregate = Aggregate.SOFT,
) -> Savings:
    """Walk through each case's critiques in the order drawn, stopping as the judge would."""
    tokens = needed = changed = 0
    for critiques_K in cases:
        num = _num_needed(critiques_K, threshold, aggregate)
        tokens += sum(one.num_tokens for one in critiques_K)
        needed += sum(one.num_tokens for one in critiques_K[:num])
        early = _label(critiques_K[:num], threshold, aggregate)
        changed += early != _label(critiques_K, threshold, aggregate)
    return Savings(tokens=tokens, tokens_needed=needed, labels_changed=changed)


def _num_needed(critiques_K: Critiques, threshold: float, aggregate: Aggregate) -> int:
    drawn = 0
    while True:
        wave = next_wave(
            beliefs(critiques_K[:drawn], aggregate),
            remaining=len(critiques_K) - drawn,
            threshold=threshold,
            min_wave=1,
        )
        if wave == 0:
            return drawn
        drawn += wave


def _label(critiques_K: Critiques, threshold: float, aggregate: Aggregate) -> bool | None:
    value = mean(beliefs(critiques_K, aggregate))
    return None if value is None else is_error(value, threshold)
