"""How does one new token per row attend, when many rows share a prompt?

All samples of a prompt query its keys in one matrix product, so the keys are read once and not
once per sample; each row attends to its own sampled tokens apart, and the two results are mixed
by their softmax mass.  The numbers are those of ordinary attention up to rounding.

Axes: A rows, U units, N places in a unit, H key-value heads, G query heads per key-value head,
C columns, D head size.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from rprm.engines.kv_cache import KVStore, StoredLayer

NAME = "rprm_grouped"

UNSUPPORTED = ("softcap", "sliding_window", "s_aux", "sinks", "position_bias", "head_mask")
"""Arguments that change what attention computes; with any of them the plain path is used."""

_active: ContextVar[KVStore | None] = ContextVar("grouped_attention_store", default=None)


class UnsupportedAttention(Exception):
    """This model's attention is more than softmax(QK)V."""


@contextmanager
def reading(store: KVStore) -> Iterator[None]:
    """Within this block, single-token queries attend to the buffers of `store`."""
    token = _active.set(store)
    try:
        yield
    finally:
        _active.reset(token)


def attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """The attention function the model calls; outside `reading` it is SDPA."""
    store = _active.get()
    if store is None:
        plain: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, **kwargs
        )
        return plain
    used = [name for name in UNSUPPORTED if kwargs.get(name) is not None]
    if used:
        raise UnsupportedAttention(f"{type(module).__name__} asks for {', '.join(used)}")
    scaling = kwargs.get("scaling")
    layer = store.layers[int(module.layer_idx)]  # type: ignore[arg-type]
    return attend(layer, query * (query.shape[-1] ** -0.5 if scaling is None else scaling)), None


def attend(layer: StoredLayer, query: torch.Tensor) -> torch.Tensor:
    """Attention of one token per row (A, heads, 1, D) -> (A, 1, heads, D)."""
    layout = layer.layout
    rows, heads, _, size = query.shape
    kv_heads = layer.sampled[0].shape[1]
    groups, places = heads // kv_heads, layout.places
    query_AHGD = query.reshape(rows, kv_heads, groups, size)
    own, own_mass = _weighted(
        layer.sampled_part(0), layer.sampled_part(1), query_AHGD, layout.sampled_bias_now()
    )
    gathered = query_AHGD.index_select(0, layout.row_of_place)
    query_UHQD = (
        gathered.view(-1, places, kv_heads, groups, size)
        .transpose(1, 2)
        .reshape(-1, kv_heads, places * groups, size)
    )
    shared, mass = _weighted(
        layer.prompt_part(0), layer.prompt_part(1), query_UHQD, layout.prompt_bias
    )
    shared, mass = (
        tensor.view(-1, kv_heads, places, groups, tensor.shape[-1])
        .transpose(1, 2)
        .reshape(-1, kv_heads, groups, tensor.shape[-1])
        .index_select(0, layout.place_of_row)
        for tensor in (shared, mass)
    )
    mixed = torch.lerp(own, shared, torch.sigmoid(mass - own_mass).to(own.dtype))
    return mixed.reshape(rows, 1, heads, mixed.shape[-1])


def _weighted(
    keys: torch.Tensor, values: torch.Tensor, query: torch.Tensor, bias: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """softmax(QK)V and the logarithm of the softmax's denominator."""
    scores = torch.matmul(query, keys.transpose(-1, -2)).float()
    if bias is not None:
        scores += bias
    mass = scores.logsumexp(dim=-1, keepdim=True)
    weights = (scores - mass).exp_()
    return torch.matmul(weights.to(values.dtype), values), mass


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
