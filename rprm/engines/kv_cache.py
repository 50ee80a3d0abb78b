"""Where do the keys and values of a running batch live?

The prompt of a unit is stored once for all of its samples, right-aligned in the unit's slot.
What the samples write stands in buffers aligned at the newest token: column j of every row is
written by the same forward pass, rows that join later start in a later column, and a row that
leaves is overwritten by the last one.  Nothing is ever concatenated token by token.

Axes: A running rows, U unit slots, N places for samples in a unit, H key-value heads,
P prompt columns, C sampled columns, W both side by side, D head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from transformers.cache_utils import Cache, CacheLayerMixin


def _nothing() -> torch.Tensor:
    return torch.zeros(0, dtype=torch.int64)


@dataclass(slots=True)
class Layout:
    """Which part of the buffers the next forward pass sees; shared by all layers."""

    places: int = 1
    """N."""
    rows: int = 0
    units: int = 0
    width: int = 0
    """Columns of the longest prompt now running; they end at the right edge."""
    first: int = 0
    """Leftmost sampled column any row uses."""
    column: int = 0
    """The column the next token is written to."""
    row_of_place: torch.Tensor = field(default_factory=_nothing)
    """U*N rows; a place whose sample has left points anywhere, its result is not used."""
    place_of_row: torch.Tensor = field(default_factory=_nothing)
    prompt_lengths: torch.Tensor = field(default_factory=_nothing)
    """A: length of each row's prompt."""
    first_columns: torch.Tensor = field(default_factory=_nothing)
    """A: column of each row's first sampled token."""
    prompt_bias: torch.Tensor | None = None
    """U 1 1 P: minus infinity left of a prompt that is shorter than the longest."""
    sampled_bias: torch.Tensor | None = None
    """A 1 1 C: minus infinity left of a row's first sampled token, for all columns."""
    unrolled: torch.Tensor | None = None
    """A W: where each row's tokens are, for attention that must see them side by side."""

    def sampled_bias_now(self) -> torch.Tensor | None:
        bias = self.sampled_bias
        return None if bias is None else bias[..., self.first : self.column + 1]


class StoredLayer(CacheLayerMixin):  # type: ignore[misc]
    """One layer's buffers."""

    is_sliding = False

    def __init__(
        self, layout: Layout, prompt: Sequence[torch.Tensor], sampled: Sequence[torch.Tensor]
    ) -> None:
        super().__init__()
        self.layout = layout
        self.prompt = list(prompt)
        """Keys and values, U H P D each."""
        self.sampled = list(sampled)
        """Keys and values, A H C D each."""
        self.is_initialized = True

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Buffers exist from the start."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        layout = self.layout
        for buffer, new in zip(self.sampled, (key_states, value_states), strict=True):
            buffer[: layout.rows, :, layout.column] = new[:, :, 0]
        if layout.unrolled is None:
            return key_states, value_states  # grouped attention reads the buffers itself
        return self._unroll(0, layout.unrolled), self._unroll(1, layout.unrolled)

    def prompt_part(self, part: int) -> torch.Tensor:
        buffer, layout = self.prompt[part], self.layout
        return buffer[: layout.units, :, buffer.shape[2] - layout.width :]

    def sampled_part(self, part: int) -> torch.Tensor:
        layout = self.layout
        return self.sampled[part][: layout.rows, :, layout.first : layout.column + 1]

    def _unroll(self, part: int, index_AW: torch.Tensor) -> torch.Tensor:
        units_A = self.layout.place_of_row // self.layout.places
        whole = torch.cat([self.prompt_part(part)[units_A], self.sampled_part(part)], dim=2)
        _, heads, _, size = whole.shape
        return whole.gather(2, index_AW[:, None, :, None].expand(-1, heads, -1, size))

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.get_seq_length() + query_length, 0

    def get_seq_length(self) -> int:
        unrolled = self.layout.unrolled
        return 0 if unrolled is None else unrolled.shape[1] - 1

    def get_max_length(self) -> int:
        return -1


class KVStore:
    """The buffers of all layers, and the moves that keep them dense."""

    def __init__(self, layout: Layout, *, rows: int, units: int, columns: int, prompt: int) -> None:
        self.layout = layout
        self.sizes = (rows, units, columns, prompt)
        self.layers: list[StoredLayer] = []
        self.view: Cache | None = None
        """What the model gets as past_key_values; the first prefill shows the shapes."""

    def put(self, slots: slice, prefilled: Cache, *, carried: int) -> None:
        """Store freshly computed prompts, the last `carried` tokens of which were sampled."""
        if not self.layers:
            self._allocate(prefilled)
        for mine, theirs in zip(self.layers, prefilled.layers, strict=True):
            for part, new in enumerate((theirs.keys, theirs.values)):
                width = new.shape[2] - carried
                mine.prompt[part][slots, :, mine.prompt[part].shape[2] - width :] = new[
                    :, :, :width
                ]

    def put_sampled(self, row: int, prefilled: Cache, *, carried: int) -> None:
        """Give row `row` the keys and values of tokens it had sampled before it was set aside."""
        column = self.layout.column
        for mine, theirs in zip(self.layers, prefilled.layers, strict=True):
            for part, new in enumerate((theirs.keys, theirs.values)):
                mine.sampled[part][row, :, column - carried : column] = new[0, :, -carried:]

    def _allocate(self, prefilled: Cache) -> None:
        rows, units, columns, prompt = self.sizes
        self.layers = [
            StoredLayer(
                self.layout,
                [_blank(like, units, prompt) for like in (layer.keys, layer.values)],
                [_blank(like, rows, columns) for like in (layer.keys, layer.values)],
            )
            for layer in prefilled.layers
        ]
        self.view = Cache(layers=self.layers)

    def move_rows(self, sources: torch.Tensor, targets: torch.Tensor) -> None:
        seen = slice(self.layout.first, self.layout.column)
        for layer in self.layers:
            for buffer in layer.sampled:
                buffer[targets, :, seen] = buffer[sources, :, seen]

    def move_units(self, sources: torch.Tensor, targets: torch.Tensor) -> None:
        for layer in self.layers:
            for buffer in layer.prompt:
                used = slice(buffer.shape[2] - self.layout.width, None)
                buffer[targets, :, used] = buffer[sources, :, used]

    def shift(self, *, used: int, to: int, columns: int) -> None:
        """Move columns first .. first + `used` to `to`, in buffers of `columns` columns."""
        rows, first = self.layout.rows, self.layout.first
        for layer in self.layers:
            for part, buffer in enumerate(layer.sampled):
                kept = buffer[:rows, :, first : first + used].clone()
                if columns != buffer.shape[2]:
                    layer.sampled[part] = _blank(buffer, buffer.shape[0], columns)
                layer.sampled[part][:rows, :, to : to + used] = kept


def _blank(like: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Zeros, not garbage: a masked NaN would still turn a weighted sum into NaN."""
    _, heads, _, size = like.shape
    return torch.zeros(rows, heads, columns, size, dtype=like.dtype, device=like.device)
