"""Which partial solutions are carried on?  Pure: expansions in, beams out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from rprm.benchmarks.best_of_n import Aggregator, reward
from rprm.engines.base import Refused

DIGITS = 4
"""Significant digits in which two scores must differ to be told apart.  An engine's rounding
depends on what is batched beside a prompt; a choice must not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Beam:
    """A partial solution, or a finished one."""

    steps: tuple[str, ...] = ()
    scores_S: tuple[float | None, ...] = ()
    """One per step; None where it has none."""
    finished: bool = False
    num_tokens: int = 0
    """Of its own text."""
    tries: int = 0
    """How often in a row none of its candidates was usable."""

    def grown(self, text: str, score: float | None, *, finished: bool, num_tokens: int) -> Beam:
        return Beam(
            steps=(*self.steps, text),
            scores_S=(*self.scores_S, score),
            finished=finished,
            num_tokens=self.num_tokens + num_tokens,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Expansion:
    """What became of one beam in one round."""

    beam: Beam
    children: tuple[Beam, ...] = ()
    """In the order sampled; none where no candidate was usable, or all were refused."""
    refused: Refused | None = None
    """Why it can never be carried on."""
    num_samples: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool:
    """All beams of a problem between two rounds."""

    live: tuple[Beam, ...] = (Beam(),)
    finished: tuple[Beam, ...] = ()
    refused: tuple[tuple[Beam, Refused], ...] = ()
    """Beams that could not be carried on, and why."""

    def after(self, expansions: Sequence[Expansion], *, beams: int, aggregator: Aggregator) -> Pool:
        """The best children take the places that finished and waiting beams leave free.

        A beam without a usable candidate keeps its place and is tried again.
        """
        waiting = [
            replace(one.beam, tries=one.beam.tries + 1)
            for one in expansions
            if not one.children and one.refused is None
        ]
        children = [child for one in expansions for child in one.children]
        places = beams - len(self.finished) - len(waiting)
        kept = best(children, places, aggregator)
        return Pool(
            live=(*waiting, *(one for one in kept if not one.finished)),
            finished=(*self.finished, *(one for one in kept if one.finished)),
            refused=(
                *self.refused,
                *((one.beam, one.refused) for one in expansions if one.refused is not None),
            ),
        )

    def answer(self, aggregator: Aggregator) -> Beam:
        """The best finished beam; else the best there is, which has no final answer."""
        partial = self.live or tuple(beam for beam, _ in self.refused)
        return best(self.finished or partial, 1, aggregator)[0]


def best(beams: Iterable[Beam], count: int, aggregator: Aggregator) -> list[Beam]:
    """Best first; the first of equals."""
    ranked = sorted(beams, key=lambda beam: rank(beam.scores_S, aggregator), reverse=True)
    return ranked[:count]


def rank(scores_S: Sequence[float | None], aggregator: Aggregator) -> tuple[int, float, float]:
    """Beams with fewer steps that lack a score come first, then those worth more.

    Of equals the one with the better last step: so one beam chooses what greedy search does, also
    where a poor earlier step hides the difference.
    """
    known = [score for score in scores_S if score is not None]
    last = scores_S[-1] if scores_S else None
    return (
        len(known) - len(scores_S),
        told_apart(reward(known, aggregator) or 0.0),
        told_apart(last or 0.0),
    )


def told_apart(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
