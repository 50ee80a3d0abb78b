"""Which samples run, and in which row, slot and place?"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from rprm.engines.batching import Unit


@dataclass(slots=True, eq=False)
class Slot:
    """A unit that runs, and where its prompt is stored."""

    unit: Unit
    index: int
    live: int
    """Samples that have not left."""


@dataclass(slots=True, eq=False)
class Row:
    """One running sample."""

    slot: Slot
    place: int
    """Its position among the samples of its unit."""
    sample: int
    first: int
    """Column of its first sampled token."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """What a sample has written so far."""

    request: int
    sample: int
    token_ids: list[int]
    p_yes_T: list[float]
    """P(Yes) at each of those tokens; empty without a verdict format."""


class Moves(NamedTuple):
    sources: list[int]
    targets: list[int]


def closing_gaps(gone: Collection[int], size: int) -> Moves:
    """Which of the last entries move into the gaps, so that what is left stays dense?"""
    left = set(gone)
    kept = size - len(left)
    return Moves(
        sources=[index for index in range(kept, size) if index not in left],
        targets=sorted(index for index in left if index < kept),
    )
