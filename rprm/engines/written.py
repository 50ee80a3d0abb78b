"""What have the running rows written, and which random numbers come next?

Buffers aligned like the sampled part of the KV store: column j of every row is drawn together.

Axes: B rows, C columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from rprm.engines.drawing import uniforms
from rprm.engines.rows import Row


class Written:
    """Tokens, beliefs and uniform numbers of all rows."""

    def __init__(self, *, rows: int, columns: int, device: torch.device, random: bool) -> None:
        self.random = random
        self.tokens_BC = torch.zeros(rows, columns, dtype=torch.int64, device=device)
        self.p_yes_BC = torch.zeros(rows, columns, dtype=torch.float32, device=device)
        self.uniforms_BC = torch.zeros(rows, columns, dtype=torch.float64, device=device)

    @property
    def columns(self) -> int:
        return self.tokens_BC.shape[1]

    def enter(self, index: int, row: Row, column: int) -> None:
        """Give a new row its numbers, and back what it had written before it was set aside."""
        self._number(index, row, column)
        unit = row.slot.unit
        if unit.carried_T:
            self.tokens_BC[index, row.first : column] = torch.tensor(unit.carried_T)
        if unit.carried_p_yes_T:
            self.p_yes_BC[index, row.first : column] = torch.tensor(unit.carried_p_yes_T)

    def _number(self, index: int, row: Row, column: int) -> None:
        """Uniforms from `column` on."""
        if self.random and column < self.columns:
            numbers = uniforms(
                row.slot.unit.seed,
                row.sample,
                start=column - row.first,
                count=self.columns - column,
            )
            self.uniforms_BC[index, column:] = torch.from_numpy(numbers)

    def move(self, sources: torch.Tensor, targets: torch.Tensor) -> None:
        for buffer in (self.tokens_BC, self.p_yes_BC, self.uniforms_BC):
            buffer[targets] = buffer[sources]

    def shifted(
        self, rows: Sequence[Row], *, first: int, used: int, to: int, columns: int
    ) -> Written:
        """The same rows with columns `first` .. `first + used` moved to `to`.

        `rows` say where their first tokens will be.
        """
        moved = Written(
            rows=self.tokens_BC.shape[0],
            columns=columns,
            device=self.tokens_BC.device,
            random=self.random,
        )
        old, new = slice(first, first + used), slice(to, to + used)
        moved.tokens_BC[:, new] = self.tokens_BC[:, old]
        moved.p_yes_BC[:, new] = self.p_yes_BC[:, old]
        for index, row in enumerate(rows):
            moved._number(index, row, to + used)
        return moved
