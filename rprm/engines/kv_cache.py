"""Where do the keys and values of a running batch live?

The prompt of a unit is stored once for all of its samples, right-aligned in the unit's slot.
What the samples write stands in columns aligned at the newest token: one forward pass writes
one column, rows that join later start in a later one, and a row that leaves is overwritten by
the last row.  Columns are numbered without end; they are stored in segments that are added at
the end and dropped at the front, so nothing is concatenated or moved as texts grow.

Segments are small because of memory bandwidth: a row's keys must lie next to the next row's, or
the processor stops prefetching and a decoding step takes several times as long.

Axes: A running rows, U unit slots, N places for samples in a unit, H key-value heads,
P prompt columns, C columns of all segments, W both side by side, D head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from transformers.cache_utils import Cache, CacheLayerMixin


class KeysValues(NamedTuple):
    keys: torch.Tensor
    values: torch.Tensor


def _nothing() -> torch.Tensor:
    return torch.zeros(0, dtype=torch.int64)


@dataclass(slots=True)
class Layout:
    """What the next forward pass sees; shared by all layers."""

    places: int = 1
    """N."""
    rows: int = 0
    units: int = 0
    width: int = 0
    """Columns of the longest prompt now running; they end at the right edge."""
    base: int = 0
    """Number of the first stored column."""
    sizes: list[int] = field(default_factory=list)
    """Columns of each segment."""
    column: int = 0
    """Number of the column the next token is written to."""
    row_of_place: torch.Tensor = field(default_factory=_nothing)
    """U*N rows; a place whose sample has left points anywhere, its result is not used."""
    place_of_row: torch.Tensor = field(default_factory=_nothing)
    prompt_lengths: torch.Tensor = field(default_factory=_nothing)
    """A: length of each row's prompt."""
    first_columns: torch.Tensor = field(default_factory=_nothing)
    """A: column of each row's first sampled token."""
    prompt_bias: torch.Tensor | None = None
    """U 1 1 P: minus infinity left of a prompt that is shorter than the longest."""
    sampled_bias: torch.Tensor = field(default_factory=_nothing)
    """A 1 C: minus infinity left of a row's first token and right of the newest."""
    unrolled: torch.Tensor | None = None
    """A W: where each row's tokens are, for attention that must see them side by side."""

    @property
    def end(self) -> int:
        """Number of the first column that has no storage."""
        return self.base + sum(self.sizes)


class StoredLayer(CacheLayerMixin):  # type: ignore[misc]
    """One layer's buffers."""

    is_sliding = False

    def __init__(self, layout: Layout, prompt: KeysValues) -> None:
        super().__init__()
        self.layout = layout
        self.prompt = prompt
        """U H P D each."""
        self.segments: list[KeysValues] = []
        """A H C D each."""
        self.is_initialized = True

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Buffers exist from the start."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        layout = self.layout
        last = self.segments[-1]
        column = layout.column - layout.end  # counted from the right edge
        last.keys[: layout.rows, :, column] = key_states[:, :, 0]
        last.values[: layout.rows, :, column] = value_states[:, :, 0]
        if layout.unrolled is None:
            return key_states, value_states  # grouped attention reads the buffers itself
        return self._unroll(0, layout.unrolled), self._unroll(1, layout.unrolled)

    def running_prompts(self) -> KeysValues:
        layout, start = self.layout, self.prompt.keys.shape[2] - self.layout.width
        return KeysValues(*(part[: layout.units, :, start:] for part in self.prompt))

    def _unroll(self, part: int, index_AW: torch.Tensor) -> torch.Tensor:
        units_A = self.layout.place_of_row // self.layout.places
        sampled = [segment[part][: self.layout.rows] for segment in self.segments]
        whole = torch.cat([self.running_prompts()[part][units_A], *sampled], dim=2)
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

    def __init__(self, layout: Layout, *, rows: int, units: int, prompt: int) -> None:
        self.layout = layout
        self.rows, self.units, self.prompt = rows, units, prompt
        self.layers: list[StoredLayer] = []
        self.view: Cache | None = None
        """What the model gets as past_key_values; the first prefill shows the shapes."""

    def put(self, slot: int, prefilled: Cache, sources: torch.Tensor, *, carried: int) -> None:
        """Store prompts `sources` of a prefill from `slot` on.

        Their last `carried` tokens were sampled and do not belong to the prompt.
        """
        if not self.layers:
            self._allocate(prefilled)
        for mine, theirs in zip(self.layers, prefilled.layers, strict=True):
            for part, new in zip(mine.prompt, (theirs.keys, theirs.values), strict=True):
                width = new.shape[2] - carried
                slots = slice(slot, slot + len(sources))
                part[slots, :, part.shape[2] - width :] = new[sources, :, :width]

    def _allocate(self, prefilled: Cache) -> None:
        self.layers = [
            StoredLayer(
                self.layout,
                KeysValues(
                    *(_blank(like, self.units, self.prompt) for like in (layer.keys, layer.values))
                ),
            )
            for layer in prefilled.layers
        ]
        self.view = Cache(layers=self.layers)

    def put_sampled(self, row: int, prefilled: Cache, *, carried: int) -> None:
        """Give row `row` the keys and values of tokens it had sampled before it was set aside."""
        layout = self.layout
        shift = layout.column - carried  # its token t stands in column shift + t
        for mine, theirs in zip(self.layers, prefilled.layers, strict=True):
            start = layout.base
            for size, segment in zip(layout.sizes, mine.segments, strict=True):
                low, high = max(start, shift), min(start + size, layout.column)
                if low < high:
                    for part, new in zip(segment, (theirs.keys, theirs.values), strict=True):
                        tokens = new[0, :, new.shape[2] - carried :]
                        part[row, :, low - start : high - start] = tokens[
                            :, low - shift : high - shift
                        ]
                start += size

    def grow(self, size: int) -> None:
        """Add a segment of `size` columns."""
        self.layout.sizes.append(size)
        for layer in self.layers:
            layer.segments.append(
                KeysValues(*(_blank(like, self.rows, size) for like in layer.prompt))
            )

    def drop_front(self, first: int) -> None:
        """Forget segments that end at or before column `first`."""
        layout = self.layout
        while layout.sizes and layout.base + layout.sizes[0] <= first:
            layout.base += layout.sizes.pop(0)
            for layer in self.layers:
                layer.segments.pop(0)

    def restart(self, column: int) -> None:
        """Nothing runs: number the columns anew, the current one being `column`."""
        self.layout.base, self.layout.column = 0, column
        self.layout.sizes.clear()
        for layer in self.layers:
            layer.segments.clear()

    def trim(self, rows: int) -> None:
        """Give back the memory of all rows past the first `rows`."""
        self.rows = rows
        for layer in self.layers:
            layer.segments = [
                KeysValues(*(part[:rows].clone() for part in segment)) for segment in layer.segments
            ]

    def move_rows(self, sources: torch.Tensor, targets: torch.Tensor) -> None:
        for layer in self.layers:
            for segment in layer.segments:
                for part in segment:
                    part[targets] = part[sources]

    def move_units(self, sources: torch.Tensor, targets: torch.Tensor) -> None:
        for layer in self.layers:
            for part in layer.prompt:
                part[targets] = part[sources]


def _blank(like: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Zeros, not garbage: a masked NaN would still turn a weighted sum into NaN."""
    _, heads, _, size = like.shape
    return torch.zeros(rows, heads, columns, size, dtype=like.dtype, device=like.device)


def hiding_bias(hidden: torch.Tensor) -> torch.Tensor:
    """Minus infinity where `hidden`, to be added to scores."""
    return torch.zeros(hidden.shape, device=hidden.device).masked_fill_(hidden, -torch.inf)


def prompt_bias(lengths: Sequence[int], device: torch.device) -> torch.Tensor | None:
    """Hide what stands left of each prompt; None when all are equally long."""
    width = max(lengths, default=0)
    if all(length == width for length in lengths):
        return None
    starts = torch.tensor([width - length for length in lengths], device=device)
    return hiding_bias(torch.arange(width, device=device) < starts[:, None])[:, None, None]
