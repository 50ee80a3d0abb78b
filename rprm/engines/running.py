"""What is the state of the samples that run now, and what does one more token do to it?

Axes: B rows, C columns, V vocabulary, U prompts of a prefill, T tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from rprm.engines.base import SamplingParams
from rprm.engines.batching import Shape, Unit
from rprm.engines.drawing import choose, uniforms
from rprm.engines.kv_cache import AlignedCache, Window
from rprm.engines.verdict_tokens import VerdictTokens


@dataclass(slots=True)
class Row:
    """One running sample."""

    request: int
    sample: int
    seed: int
    first: int
    """Column of its first sampled token."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A sample that has run, not yet turned into text."""

    request: int
    sample: int
    token_ids: list[int]
    p_yes_T: list[float]
    """P(Yes) at each of those tokens; empty without a verdict format."""


class RunningBatch:
    """Rows aligned at their newest token: buffers of tokens and beliefs beside the KV cache."""

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
        self.window = Window()
        self.cache = AlignedCache(self.window)
        self.rows: list[Row] = []
        self.device = ending_V.device
        self.tokens_BC = self._buffer(torch.int64)
        self.p_yes_BC = self._buffer(torch.float32)
        self.uniforms_BC = self._buffer(torch.float64)
        self.mask_BC = self._buffer(torch.bool)
        self.start_B = torch.zeros(shape.rows, dtype=torch.int64, device=self.device)
        self.last_B = torch.zeros(shape.rows, dtype=torch.int64, device=self.device)

    def _buffer(self, dtype: torch.dtype) -> torch.Tensor:
        return torch.zeros(self.shape.rows, self.shape.columns, dtype=dtype, device=self.device)

    @property
    def free_rows(self) -> int:
        return self.shape.rows - len(self.rows)

    @torch.inference_mode()
    def join(self, units: Sequence[Unit]) -> None:
        """Prefill the prompts of `units` and draw the first token of each of their samples."""
        from transformers.cache_utils import DynamicCache

        width = max(len(unit.prompt_T) for unit in units)
        self._make_room(width)
        prefilled = DynamicCache()
        logits_UV = prefill(self.model, [unit.prompt_T for unit in units], cache=prefilled)
        self.cache.reserve(prefilled, rows=self.shape.rows, columns=self.shape.columns)
        old = len(self.rows)
        for unit in units:
            self._enter(unit)
        fresh = slice(old, len(self.rows))
        prompts = torch.tensor(
            [index for index, unit in enumerate(units) for _ in unit.samples], device=self.device
        )
        self.window.rows = len(self.rows)
        self.cache.put(fresh, prefilled, prompts)
        self._draw(fresh, logits_UV[prompts])

    def _make_room(self, width: int) -> None:
        """The prompts must fit left of the current column."""
        if not self.rows:
            self.window.first = 0
            self.window.column = width
        elif self.window.column < width:
            raise AssertionError("prompts join longest first")

    def _enter(self, unit: Unit) -> None:
        column, columns = self.window.column, self.shape.columns
        start = column - len(unit.prompt_T)
        low, high = len(self.rows), len(self.rows) + len(unit.samples)
        self.start_B[low:high] = start
        self.last_B[low:high] = column + self.params.max_tokens - 1
        self.mask_BC[low:high, :start] = False
        self.mask_BC[low:high, start:] = True
        self.window.first = min(self.window.first, start)
        for row, sample in enumerate(unit.samples, start=low):
            self.rows.append(Row(unit.request, sample, unit.seed, column))
            if self.params.temperature > 0:
                stretch = uniforms(unit.seed, sample, start=0, count=columns - column)
                self.uniforms_BC[row, column:] = torch.from_numpy(stretch)

    @torch.inference_mode()
    def step(self) -> None:
        """Draw the next token of every row."""
        if self.window.column + 1 >= self.shape.columns:
            self._slide()
        rows, column, window = len(self.rows), self.window.column, self.window
        window.rows = rows
        output = self.model(
            input_ids=self.tokens_BC[:rows, column : column + 1],
            attention_mask=self.mask_BC[:rows, window.first : column + 1],
            position_ids=(column - self.start_B[:rows])[:, None],
            past_key_values=self.cache.view,
            use_cache=True,
        )
        window.column = column + 1
        self._draw(slice(0, rows), output.logits[:, -1])

    def _draw(self, rows: slice, logits_BV: torch.Tensor) -> None:
        column = self.window.column
        if self.verdict is not None:
            yes, no = self.verdict.yes, self.verdict.no
            self.p_yes_BC[rows, column] = torch.sigmoid(
                logits_BV[:, yes].float() - logits_BV[:, no].float()
            )
        self.tokens_BC[rows, column] = choose(
            logits_BV,
            self.uniforms_BC[rows, column],
            temperature=self.params.temperature,
            top_p=self.params.top_p,
        )

    @torch.inference_mode()
    def maybe_finished(self) -> list[int]:
        """Rows whose newest token may be their last: an ending token, or the length limit."""
        rows, column = len(self.rows), self.window.column
        tokens_B = self.tokens_BC[:rows, column]
        ended_B = self.ending_V[tokens_B] | (self.last_B[:rows] <= column)
        found: list[int] = ended_B.nonzero().flatten().tolist()
        return found

    def draft(self, row: int) -> Draft:
        """What row `row` has written so far."""
        record, stop = self.rows[row], self.window.column + 1
        return Draft(
            request=record.request,
            sample=record.sample,
            token_ids=self.tokens_BC[row, record.first : stop].tolist(),
            p_yes_T=[]
            if self.verdict is None
            else self.p_yes_BC[row, record.first : stop].tolist(),
        )

    @torch.inference_mode()
    def leave(self, leaving: Sequence[int]) -> None:
        """Drop rows; the last ones move into their places."""
        gone = set(leaving)
        kept = len(self.rows) - len(gone)
        targets = [row for row in sorted(gone) if row < kept]
        sources = [row for row in range(kept, len(self.rows)) if row not in gone]
        for source, target in zip(sources, targets, strict=True):
            self.rows[target] = self.rows[source]
        del self.rows[kept:]
        if sources:
            self._move(torch.tensor(sources), torch.tensor(targets))
        if self.rows:
            self.window.first = int(self.start_B[:kept].min())

    def _move(self, sources: torch.Tensor, targets: torch.Tensor) -> None:
        sources, targets = sources.to(self.device), targets.to(self.device)
        self.cache.move(sources, targets)
        for buffer in (
            self.tokens_BC,
            self.p_yes_BC,
            self.uniforms_BC,
            self.mask_BC,
            self.start_B,
            self.last_B,
        ):
            buffer[targets] = buffer[sources]

    def _slide(self) -> None:
        """Move everything to the left edge; possible because no row outgrows the columns."""
        offset, column, rows = self.window.first, self.window.column, len(self.rows)
        self.window.rows = rows
        self.cache.resize(columns=self.shape.columns)
        for buffer in (self.tokens_BC, self.p_yes_BC, self.mask_BC):
            buffer[:rows, : column + 1 - offset] = buffer[:rows, offset : column + 1].clone()
        self.mask_BC[:rows, column + 1 - offset :] = True
        self.start_B -= offset
        self.last_B -= offset
        self.window.first, self.window.column = 0, column - offset
        for index, row in enumerate(self.rows):
            row.first -= offset
            if self.params.temperature > 0:
                begin = self.window.column + 1
                stretch = uniforms(
                    row.seed, row.sample, start=begin - row.first, count=self.shape.columns - begin
                )
                self.uniforms_BC[index, begin:] = torch.from_numpy(stretch)


def prefill(model: Any, prompts_U: Sequence[Sequence[int]], *, cache: Any) -> torch.Tensor:
    """Run left-padded prompts; the logits after each prompt's last token."""
    device = model.device
    width = max(len(prompt) for prompt in prompts_U)
    ids = torch.tensor([[0] * (width - len(prompt)) + list(prompt) for prompt in prompts_U])
    pads = torch.tensor([width - len(prompt) for prompt in prompts_U])
    mask = torch.arange(width) >= pads[:, None]
    positions = (torch.arange(width) - pads[:, None]).clamp_(min=0)
    output = model(
        input_ids=ids.to(device),
        attention_mask=mask.to(device),
        position_ids=positions.to(device),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    logits_UV: torch.Tensor = output.logits[:, -1]
    return logits_UV
