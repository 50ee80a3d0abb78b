"""What is the state of the samples that run now, and what does one more token do to it?

Axes: B rows, U units, V vocabulary, T tokens.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from transformers.cache_utils import DynamicCache

from rprm.engines.base import SamplingParams
from rprm.engines.batching import Limits, Room, Shape, Unit, next_size, rows_that_fit
from rprm.engines.drawing import choose
from rprm.engines.forward import decode_step, prefill
from rprm.engines.kv_cache import KVStore, Layout, prompt_bias
from rprm.engines.rows import Draft, Row, Slot, closing_gaps
from rprm.engines.verdict_tokens import VerdictTokens
from rprm.engines.written import Written

COLUMNS_PER_SEGMENT = {"cpu": 16}
"""Small enough for a processor's prefetching; elsewhere few large ones need fewer kernels."""


class RunningBatch:
    """Dense rows aligned at their newest token."""

    def __init__(
        self,
        model: Any,
        params: SamplingParams,
        verdict: VerdictTokens | None,
        ending_V: torch.Tensor,
        shape: Shape,
    ) -> None:
        self.model, self.params, self.verdict, self.ending_V = model, params, verdict, ending_V
        self.shape = shape
        self.device = ending_V.device
        self.layout = Layout(places=shape.places)
        self.store = KVStore(
            self.layout,
            rows=shape.rows,
            units=shape.units,
            prompt=shape.prompt,
        )
        self.written = Written(rows=shape.rows, device=self.device, random=params.temperature > 0)
        self.step_columns = COLUMNS_PER_SEGMENT.get(self.device.type, 128)
        self.rows: list[Row] = []
        self.slots: list[Slot] = []

    def room(self, *, prefill_tokens: int) -> Room:
        return Room(
            rows=self.shape.rows - len(self.rows),
            units=self.shape.units - len(self.slots),
            carried=self.layout.column - self.layout.base if self.rows else sys.maxsize,
            prefill_tokens=prefill_tokens,
        )

    @torch.inference_mode()
    def join(self, units: Sequence[Unit]) -> None:
        """Prefill the prompts of `units` and draw the next token of each of their samples."""
        carried = len(units[0].carried_T)
        texts = [unit.prompt_T + unit.carried_T for unit in units]
        distinct = {text: index for index, text in enumerate(dict.fromkeys(texts))}
        prefilled = DynamicCache()
        logits_UV = prefill(self.model, list(distinct), cache=prefilled)
        sources = [distinct[text] for text in texts]
        if not self.rows:
            self.store.restart(carried)
            self.written.restart()
        fresh_rows, fresh_slots = len(self.rows), len(self.slots)
        for unit in units:
            self._enter(unit)
        self.store.put(fresh_slots, prefilled, self._integers(sources), carried=carried)
        if carried:
            if self.layout.end < carried:
                self.store.grow(carried)
            self.store.put_sampled(fresh_rows, prefilled, carried=carried)
        self._changed()
        owners = [source for source, unit in zip(sources, units, strict=True) for _ in unit.samples]
        self._draw(slice(fresh_rows, len(self.rows)), logits_UV[self._integers(owners)])

    def _enter(self, unit: Unit) -> None:
        slot = Slot(unit, len(self.slots), len(unit.samples))
        self.slots.append(slot)
        column = self.layout.column
        for place, sample in enumerate(unit.samples):
            self.rows.append(Row(slot, place, sample, column - len(unit.carried_T)))
            self.written.enter(self.rows, column)

    def _changed(self) -> None:
        """Rows have come, gone or moved: say anew what the model sees."""
        layout, rows, places = self.layout, self.rows, self.shape.places
        lengths = [len(slot.unit.prompt_T) for slot in self.slots]
        layout.rows, layout.units = len(rows), len(self.slots)
        layout.width = max(lengths, default=0)
        place_of_row = [row.slot.index * places + row.place for row in rows]
        row_of_place = [0] * (len(self.slots) * places)
        for index, place in enumerate(place_of_row):
            row_of_place[place] = index
        layout.place_of_row = self._integers(place_of_row)
        layout.row_of_place = self._integers(row_of_place)
        layout.first_columns = self._integers([row.first for row in rows])
        layout.prompt_lengths = self._integers([lengths[row.slot.index] for row in rows])
        layout.prompt_bias = prompt_bias(lengths, self.device)
        self.last_B = layout.first_columns + (self.params.max_tokens - 1)
        self.offset_B = layout.prompt_lengths - layout.first_columns

    def _integers(self, numbers: Sequence[int]) -> torch.Tensor:
        return torch.tensor(numbers, dtype=torch.int64, device=self.device)

    @torch.inference_mode()
    def step(self) -> None:
        """Draw the next token of every row; `make_room` first."""
        logits_BV = self.logits()
        self.layout.column += 1
        self._draw(slice(0, len(self.rows)), logits_BV)

    @torch.inference_mode()
    def logits(self) -> torch.Tensor:
        """Run the newest token of every row."""
        column = self.layout.column
        newest = self.written.tokens(slice(0, len(self.rows)), column)
        return decode_step(self.model, self.store, newest, self.offset_B + column)

    def _draw(self, rows: slice, logits_BV: torch.Tensor) -> None:
        column, written = self.layout.column, self.written
        written.cover(self.rows, column)
        if self.verdict is not None:
            yes, no = self.verdict.yes, self.verdict.no
            p_yes_B = torch.sigmoid(logits_BV[:, yes].float() - logits_BV[:, no].float())
            written.put_p_yes(rows, column, p_yes_B)
        drawn_B = choose(
            logits_BV,
            written.uniforms(rows, column),
            temperature=self.params.temperature,
            top_p=self.params.top_p,
        )
        written.put_tokens(rows, column, drawn_B)

    @torch.inference_mode()
    def maybe_finished(self) -> list[int]:
        """Rows whose newest token may be their last: an ending token, or the length limit."""
        rows, column = len(self.rows), self.layout.column
        tokens_B = self.written.tokens(slice(0, rows), column).squeeze(1)
        ended_B = self.ending_V[tokens_B] | (self.last_B <= column)
        found: list[int] = ended_B.nonzero().flatten().tolist()
        return found

    def draft(self, index: int) -> Draft:
        row = self.rows[index]
        token_ids, p_yes_T = self.written.so_far(index, row.first, self.layout.column + 1)
        return Draft(
            request=row.slot.unit.request,
            sample=row.sample,
            token_ids=token_ids,
            p_yes_T=[] if self.verdict is None else p_yes_T,
        )

    @torch.inference_mode()
    def leave(self, leaving: Sequence[int]) -> None:
        """Drop rows; the last ones move into their places."""
        for index in leaving:
            self.rows[index].slot.live -= 1
        moves = closing_gaps(leaving, len(self.rows))
        for source, target in zip(moves.sources, moves.targets, strict=True):
            self.rows[target] = self.rows[source]
        del self.rows[len(self.rows) - len(leaving) :]
        if moves.sources:
            sources, targets = self._integers(moves.sources), self._integers(moves.targets)
            self.store.move_rows(sources, targets)
            self.written.move(sources, targets)
        self._free_slots()
        self._changed()

    def _free_slots(self) -> None:
        empty = [slot.index for slot in self.slots if slot.live == 0]
        moves = closing_gaps(empty, len(self.slots))
        for source, target in zip(moves.sources, moves.targets, strict=True):
            self.slots[target] = self.slots[source]
            self.slots[target].index = target
        del self.slots[len(self.slots) - len(empty) :]
        if moves.sources:
            self.store.move_units(self._integers(moves.sources), self._integers(moves.targets))

    def make_room(self, limits: Limits) -> list[Unit]:
        """Store one more column if the next step needs it; returns samples that no longer fit.

        The newest rows are set aside: they lose the least, and come back through the queue.
        """
        layout = self.layout
        if layout.column < layout.end:
            return []
        self.store.drop_front(min(row.first for row in self.rows))
        used = layout.end - layout.base
        size = next_size(used, step=self.step_columns)
        fit = rows_that_fit(self.shape, limits, columns=used + size)
        aside = [self._set_aside(index) for index in range(fit, len(self.rows))]
        if aside:
            self.leave(range(fit, len(self.rows)))
        if fit < self.shape.rows:
            self.shape = replace(self.shape, rows=fit)
            self.store.trim(fit)
        self.store.grow(size)
        return aside

    def _set_aside(self, index: int) -> Unit:
        draft, row = self.draft(index), self.rows[index]
        return replace(
            row.slot.unit,
            samples=range(row.sample, row.sample + 1),
            carried_T=tuple(draft.token_ids),
            carried_p_yes_T=tuple(draft.p_yes_T),
        )
