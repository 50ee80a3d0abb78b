"""Where do the keys and values of a running batch live?

In buffers allocated once, with all rows aligned at their newest token: column j of every row is
written by the same forward pass.  A row that joins puts its prompt into the columns just left of
the current one, a row that leaves is overwritten by the last row, so the batch stays dense and
nothing is concatenated.  What lies left of a row's start is masked.

Axes: B rows, H key-value heads, C columns, D head size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from transformers.cache_utils import Cache, CacheLayerMixin


@dataclass(slots=True)
class Window:
    """The part of the buffers that the next forward pass sees; shared by all layers."""

    rows: int = 0
    first: int = 0
    """Leftmost column any row uses."""
    column: int = 0
    """The column the next token is written to."""


class AlignedLayer(CacheLayerMixin):  # type: ignore[misc]
    """One layer's buffers, as the model's attention sees them during decoding."""

    is_sliding = False

    def __init__(self, window: Window, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()
        self.window = window
        self.keys = keys
        self.values = values
        self.is_initialized = True

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Buffers exist from the start."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        rows, column = self.window.rows, self.window.column
        self.keys[:rows, :, column] = key_states[:, :, 0]
        self.values[:rows, :, column] = value_states[:, :, 0]
        seen = slice(self.window.first, column + 1)
        return self.keys[:rows, :, seen], self.values[:rows, :, seen]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.get_seq_length() + query_length, 0

    def get_seq_length(self) -> int:
        return self.window.column - self.window.first

    def get_max_length(self) -> int:
        return -1


class AlignedCache:
    """The buffers of all layers, and the moves that keep them dense."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.layers: list[AlignedLayer] = []
        self.view: Cache | None = None
        """What the model gets as past_key_values; made when the first prompt shows the shapes."""

    def reserve(self, prefilled: Cache, *, rows: int, columns: int) -> None:
        """Make room for `rows` x `columns`, keeping what is there.  Shapes come from a prefill."""
        if not self.layers:
            self.layers = [
                AlignedLayer(
                    self.window,
                    _blank(layer.keys, rows, columns),
                    _blank(layer.values, rows, columns),
                )
                for layer in prefilled.layers
            ]
            self.view = Cache(layers=self.layers)

    def put(self, rows: slice, prefilled: Cache, prompts: torch.Tensor) -> None:
        """Copy prompt `prompts[i]` of a left-padded prefill into row `rows[i]`."""
        column = self.window.column
        for mine, theirs in zip(self.layers, prefilled.layers, strict=True):
            width = theirs.keys.shape[2]
            mine.keys[rows, :, column - width : column] = theirs.keys[prompts]
            mine.values[rows, :, column - width : column] = theirs.values[prompts]

    def move(self, sources: torch.Tensor, targets: torch.Tensor) -> None:
        """Overwrite rows `targets` by rows `sources`."""
        seen = slice(self.window.first, self.window.column)
        for layer in self.layers:
            layer.keys[targets, :, seen] = layer.keys[sources, :, seen]
            layer.values[targets, :, seen] = layer.values[sources, :, seen]

    def resize(self, *, columns: int) -> None:
        """Give the buffers `columns` columns and move the used window to the left edge."""
        window = self.window
        width = window.column - window.first
        for layer in self.layers:
            layer.keys = _moved(layer.keys, window, columns, width)
            layer.values = _moved(layer.values, window, columns, width)


def _blank(like: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Zeros, not garbage: a masked NaN would still turn a weighted sum into NaN."""
    _, heads, _, size = like.shape
    return torch.zeros(rows, heads, columns, size, dtype=like.dtype, device=like.device)


def _moved(buffer: torch.Tensor, window: Window, columns: int, width: int) -> torch.Tensor:
    used = buffer[: window.rows, :, window.first : window.column]
    fresh = _blank(buffer, buffer.shape[0], columns)
    fresh[: window.rows, :, :width] = used
    return fresh
