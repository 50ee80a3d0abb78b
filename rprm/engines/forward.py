"""How is the model called: once for prompts, then once per sampled token?

Axes: U prompts, A rows, P prompt columns, C sampled columns, W both side by side, V vocabulary.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch

from rprm.engines import grouped_attention
from rprm.engines.kv_cache import KVStore, Layout, hiding_bias


def prefill(model: Any, prompts_U: Sequence[Sequence[int]], *, cache: Any) -> torch.Tensor:
    """Run left-padded prompts; the logits after each prompt's last token (U V)."""
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
        **only_last_logits(model),
    )
    logits_UV: torch.Tensor = output.logits[:, -1]
    return logits_UV


def only_last_logits(model: Any) -> dict[str, int]:
    """A prompt's other logits are not read, and with a large vocabulary they fill the memory."""
    known = "logits_to_keep" in inspect.signature(model.forward).parameters
    return {"logits_to_keep": 1} if known else {}


def decode_step(
    model: Any, store: KVStore, tokens_A1: torch.Tensor, positions_A: torch.Tensor
) -> torch.Tensor:
    """Run the newest token of every row; the logits after it (A V)."""
    grouped = is_grouped(model)
    layout = store.layout
    if grouped:
        layout.unrolled, layout.sampled_bias = None, sampled_bias(layout)
        mask = torch.zeros(1, 1, 1, 1, device=tokens_A1.device)  # the buffers carry their own
    else:
        layout.unrolled, mask = unrolled(layout)
    with grouped_attention.reading(store) if grouped else nullcontext():
        output = model(
            input_ids=tokens_A1,
            attention_mask=mask,
            position_ids=positions_A[:, None],
            past_key_values=store.view,
            use_cache=True,
        )
    logits_AV: torch.Tensor = output.logits[:, -1]
    return logits_AV


def is_grouped(model: Any) -> bool:
    return bool(model.config._attn_implementation == grouped_attention.NAME)


def sampled_bias(layout: Layout) -> torch.Tensor:
    """Hide each row's columns before its first token, and all columns not yet written (A 1 C)."""
    columns_C = torch.arange(layout.base, layout.end, device=layout.first_columns.device)
    return hiding_bias((columns_C < layout.first_columns[:, None]) | (columns_C > layout.column))[
        :, None
    ]


def unrolled(layout: Layout) -> tuple[torch.Tensor, torch.Tensor]:
    """Each row's prompt and sampled tokens side by side, padded on the left: index and mask."""
    prompt_A, first_A = layout.prompt_lengths, layout.first_columns
    totals_A = prompt_A + layout.column + 1 - first_A
    width = int(totals_A.max())
    at_AW = torch.arange(width, device=totals_A.device) - (width - totals_A)[:, None]
    in_prompt_AW = at_AW < prompt_A[:, None]
    prompt_AW = layout.width - prompt_A[:, None] + at_AW
    sampled_AW = layout.width + (first_A - layout.base - prompt_A)[:, None] + at_AW
    index_AW = torch.where(in_prompt_AW, prompt_AW, sampled_AW).clamp_(min=0)
    return index_AW, at_AW >= 0
