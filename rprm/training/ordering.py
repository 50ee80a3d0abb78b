"""In which order are the examples seen?  A function of the seed and the epoch, of nothing else.

So a resumed training meets the same batches, whatever random numbers were drawn meanwhile.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

BATCHES_SORTED_TOGETHER = 32
"""Enough for batches of near equal lengths, few enough that batches still differ every epoch."""


def epoch_order(
    lengths: Sequence[int], *, batch_size: int, seed: int, epoch: int, by_length: bool
) -> list[int]:
    """Indices of one epoch; with `by_length`, a batch holds examples of similar length."""
    rng = random.Random(f"{seed}/{epoch}")
    order = list(range(len(lengths)))
    rng.shuffle(order)
    if not by_length:
        return order
    window = BATCHES_SORTED_TOGETHER * batch_size
    for start in range(0, len(order), window):
        order[start : start + window] = sorted(
            order[start : start + window], key=lambda index: lengths[index]
        )
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    partial = [batches.pop()] if len(batches[-1]) < batch_size else []
    rng.shuffle(batches)
    return [index for batch in [*batches, *partial] for index in batch]


class EpochSampler:
    """What torch's DataLoader and accelerate ask for indices; `set_epoch` comes before each."""

    def __init__(
        self, lengths: Sequence[int], *, batch_size: int, seed: int, by_length: bool
    ) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.by_length = by_length
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        order = epoch_order(
            self.lengths,
            batch_size=self.batch_size,
            seed=self.seed,
            epoch=self.epoch,
            by_length=self.by_length,
        )
        return iter(order)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch
