"""What is the state of the samples that run now, and what does one more token do to it?

Axes: B rows, U units, V vocabulary, T tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from transformers.cache_utils import DynamicCache

from rprm.engines.base import SamplingParams
from rprm.engines.batching import Limits, Shape, Unit, rows_that_fit
from rprm.engines.drawing import choose
from rprm.engines.forward import decode_step, prefill, start_bias
from rprm.engines.kv_cache import KVStore, Layout
from rprm.engines.rows import Draft, Row, Slot, closing_gaps
from rprm.engines.verdict_tokens import VerdictTokens
from rprm.engines.written import Written


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
            columns=shape.columns,
            prompt=shape.prompt,
        )
        self.written = Written(
            rows=shape.rows,
            columns=shape.columns,
            device=self.device,
            random=params.temperature > 0,
        )
        self.rows: list[Row] = []
        self.slots: list[Slot] = []

    @property
    def free_rows(self) -> int:
        return self.shape.rows - len(self.rows)

    @property
    def free_units(self) -> int:
        return self.shape.units - len(self.slots)

    @torch.inference_mode()
    def join(self, units: Sequence[Unit]) -> None:
        """Prefill the prompts of `units` and draw the next token of each of their samples."""
        carried = len(units[0].carried_T)
        prefilled = DynamicCache()
        logits_UV = prefill(
            self.model, [unit.prompt_T + unit.carried_T for unit in units], cache=prefilled
        )
        if not self.rows:
            self.layout.column = self.layout.first = carried
        elif self.layout.column < carried:
            self._shift(column=carried, columns=self.shape.columns)
        fresh_rows, fresh_slots = len(self.rows), len(self.slots)
        for unit in units:
            self._enter(unit)
        self.store.put(slice(fresh_slots, len(self.slots)), prefilled, carried=carried)
        if carried:
            self.store.put_sampled(fresh_rows, prefilled, carried=carried)
        self._changed()
        owners = [index for index, unit in enumerate(units) for _ in unit.samples]
        self._draw(
            slice(fresh_rows, len(self.rows)), logits_UV[torch.tensor(owners, device=self.device)]
        )

    def _enter(self, unit: Unit) -> None:
        slot = Slot(unit, len(self.slots), len(unit.samples))
        self.slots.append(slot)
        column = self.layout.column
        for place, sample in enumerate(unit.samples):
            row = Row(slot, place, sample, column - len(unit.carried_T))
            self.written.enter(len(self.rows), row, column)
            self.rows.append(row)

    def _changed(self) -> None:
        """Rows have come, gone or moved: say anew what the model sees."""
        layout, rows, places = self.layout, self.rows, self.shape.places
        lengths = [len(slot.unit.prompt_T) for slot in self.slots]
        layout.rows, layout.units = len(rows), len(self.slots)
        layout.width = max(lengths, default=0)
        layout.first = min((row.first for row in rows), default=layout.column)
        place_of_row = [row.slot.index * places + row.place for row in rows]
        row_of_place = [0] * (len(self.slots) * places)
        for index, place in enumerate(place_of_row):
            row_of_place[place] = index
        layout.place_of_row = self._integers(place_of_row)
        layout.row_of_place = self._integers(row_of_place)
        layout.first_columns = self._integers([row.first for row in rows])
        layout.prompt_lengths = self._integers([lengths[row.slot.index] for row in rows])
        layout.sampled_bias = start_bias(layout.first_columns, self.shape.columns)
        layout.prompt_bias = start_bias(layout.width - self._integers(lengths), layout.width)
        self.last_B = layout.first_columns + (self.params.max_tokens - 1)
        self.offset_B = layout.prompt_lengths - layout.first_columns

    def _integers(self, numbers: Sequence[int]) -> torch.Tensor:
        return torch.tensor(numbers, dtype=torch.int64, device=self.device)

    @torch.inference_mode()
    def step(self) -> None:
        """Draw the next token of every row.  A column must be free for it."""
        rows, column = len(self.rows), self.layout.column
        logits_BV = decode_step(
            self.model,
            self.store,
            self.written.tokens_BC[:rows, column : column + 1],
            self.offset_B + column,
        )
        self.layout.column = column + 1
        self._draw(slice(0, rows), logits_BV)

    def _draw(self, rows: slice, logits_BV: torch.Tensor) -> None:
        column, written = self.layout.column, self.written
        if self.verdict is not None:
            yes, no = self.verdict.yes, self.verdict.no
            written.p_yes_BC[rows, column] = torch.sigmoid(
                logits_BV[:, yes].float() - logits_BV[:, no].float()
            )
        written.tokens_BC[rows, column] = choose(
            logits_BV,
            written.uniforms_BC[rows, column],
            temperature=self.params.temperature,
            top_p=self.params.top_p,
        )

    @torch.inference_mode()
    def maybe_finished(self) -> list[int]:
        """Rows whose newest token may be their last: an ending token, or the length limit."""
        rows, column = len(self.rows), self.layout.column
        tokens_B = self.written.tokens_BC[:rows, column]
        ended_B = self.ending_V[tokens_B] | (self.last_B <= column)
        found: list[int] = ended_B.nonzero().flatten().tolist()
        return found

    def draft(self, index: int) -> Draft:
        row, written = self.rows[index], self.written
        so_far = slice(row.first, self.layout.column + 1)
        return Draft(
            request=row.slot.unit.request,
            sample=row.sample,
            token_ids=written.tokens_BC[index, so_far].tolist(),
            p_yes_T=[] if self.verdict is None else written.p_yes_BC[index, so_far].tolist(),
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
        """Have a free column for the next token; returns samples that no longer fit.

        The newest rows are set aside: they lose the least, and come back through the queue.
        """
        columns, used = self.shape.columns, self.layout.column + 1 - self.layout.first
        if self.layout.column + 1 < columns:
            return []
        if 2 * used > columns:
            columns = min(2 * columns, self.shape.most_columns)
        fit = rows_that_fit(self.shape, limits, columns=columns)
        too_many = range(fit, len(self.rows))
        aside = [self._set_aside(index) for index in too_many]
        if aside:
            self.leave(too_many)
        self.shape = replace(self.shape, rows=fit)
        self._shift(column=self.layout.column - self.layout.first, columns=columns)
        return aside

    def _set_aside(self, index: int) -> Unit:
        draft, row = self.draft(index), self.rows[index]
        return replace(
            row.slot.unit,
            samples=range(row.sample, row.sample + 1),
            carried_T=tuple(draft.token_ids),
            carried_p_yes_T=tuple(draft.p_yes_T),
        )

    @torch.inference_mode()
    def _shift(self, *, column: int, columns: int) -> None:
        """Move what is written so that the current column becomes `column` of `columns`."""
        layout = self.layout
        first, used = layout.first, layout.column - layout.first
        to = column - used
        self.store.shift(used=used, to=to, columns=columns)
        for row in self.rows:
            row.first += to - first
        self.written = self.written.shifted(
            self.rows, first=first, used=used + 1, to=to, columns=columns
        )
        self.shape = replace(self.shape, columns=columns)
        layout.column = column
        self._changed()
