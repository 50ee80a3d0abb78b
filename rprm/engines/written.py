"""What have the running rows written, and which random numbers come next?

Buffers with the columns of the KV store: one column of all rows is drawn together.

Axes: B rows, C columns from `base` on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from rprm.engines.drawing import uniforms
from rprm.engines.rows import Row

COLUMNS = 64


class SoFar(NamedTuple):
    token_ids: list[int]
    p_yes_T: list[float]


class Written:
    """Tokens, beliefs and uniform numbers of all rows."""

    def __init__(self, *, rows: int, device: torch.device, random: bool) -> None:
        self.random = random
        self.base = 0
        """Column number of the buffers' first column."""
        self.tokens_BC = torch.zeros(rows, COLUMNS, dtype=torch.int64, device=device)
        self.p_yes_BC = torch.zeros(rows, COLUMNS, dtype=torch.float32, device=device)
        self.uniforms_BC = torch.zeros(rows, COLUMNS, dtype=torch.float64, device=device)

    def tokens(self, rows: slice, column: int) -> torch.Tensor:
        at = column - self.base
        return self.tokens_BC[rows, at : at + 1]

    def uniforms(self, rows: slice, column: int) -> torch.Tensor:
        return self.uniforms_BC[rows, column - self.base]

    def put_tokens(self, rows: slice, column: int, tokens_B: torch.Tensor) -> None:
        self.tokens_BC[rows, column - self.base] = tokens_B

    def put_p_yes(self, rows: slice, column: int, p_yes_B: torch.Tensor) -> None:
        self.p_yes_BC[rows, column - self.base] = p_yes_B

    def so_far(self, index: int, first: int, end: int) -> SoFar:
        columns = slice(first - self.base, end - self.base)
        return SoFar(
            self.tokens_BC[index, columns].tolist(), self.p_yes_BC[index, columns].tolist()
        )

    def move(self, sources: torch.Tensor, targets: torch.Tensor) -> None:
        for buffer in (self.tokens_BC, self.p_yes_BC, self.uniforms_BC):
            buffer[targets] = buffer[sources]

    def restart(self) -> None:
        """No row runs; column numbers begin at 0 again."""
        self.base = 0

    def enter(self, rows: Sequence[Row], column: int) -> None:
        """Prepare for the last of `rows`, whose next token goes to `column`."""
        self.cover(rows, column)
        index, row = len(rows) - 1, rows[-1]
        self._number(index, row, column)
        unit = row.slot.unit
        back = slice(row.first - self.base, column - self.base)
        if unit.carried_T:
            self.tokens_BC[index, back] = torch.tensor(unit.carried_T).to(self.tokens_BC)
        if unit.carried_p_yes_T:
            self.p_yes_BC[index, back] = torch.tensor(unit.carried_p_yes_T).to(self.p_yes_BC)

    def cover(self, rows: Sequence[Row], column: int) -> None:
        """Have `column` in the buffers, and what `rows` have written so far."""
        if column - self.base < self.tokens_BC.shape[1]:
            return
        first = min(row.first for row in rows)
        used = column - first
        width = max(COLUMNS, 2 * used)
        kept = slice(first - self.base, column - self.base)
        for name in ("tokens_BC", "p_yes_BC", "uniforms_BC"):
            old = getattr(self, name)
            new = torch.zeros(old.shape[0], width, dtype=old.dtype, device=old.device)
            new[:, : old[:, kept].shape[1]] = old[:, kept]
            setattr(self, name, new)
        self.base = first
        for index, row in enumerate(rows):
            self._number(index, row, column)

    def _number(self, index: int, row: Row, column: int) -> None:
        """Uniforms of this row from `column` on."""
        if self.random:
            numbers = uniforms(
                row.slot.unit.seed,
                row.sample,
                start=column - row.first,
                count=self.base + self.uniforms_BC.shape[1] - column,
            )
            self.uniforms_BC[index, column - self.base :] = torch.from_numpy(numbers)
