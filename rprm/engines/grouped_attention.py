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
from typing import Any, NamedTuple

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
    kv_heads, places = layer.prompt.keys.shape[1], layout.places
    groups = heads // kv_heads
    query_AHGD = query.reshape(rows, kv_heads, groups, size)
    own = _own(layer, query_AHGD.view(rows * kv_heads, groups, size))
    gathered = query_AHGD.index_select(0, layout.row_of_place)
    shared = _shared(
        layer,
        gathered.view(-1, places, kv_heads, groups, size)
        .transpose(1, 2)
        .reshape(-1, kv_heads, places * groups, size),
    )
    shared_values, shared_mass = (
        part.view(-1, kv_heads, places, groups, part.shape[-1])
        .transpose(1, 2)
        .reshape(-1, kv_heads, groups, part.shape[-1])
        .index_select(0, layout.place_of_row)
        for part in shared
    )
    own_values, own_mass = (part.view(rows, kv_heads, groups, -1) for part in own)
    share = torch.sigmoid(shared_mass - own_mass).to(own_values.dtype)
    return torch.lerp(own_values, shared_values, share).reshape(rows, 1, heads, -1)


class Attended(NamedTuple):
    values: torch.Tensor
    mass: torch.Tensor
    """Logarithm of the softmax's denominator."""


def _own(layer: StoredLayer, query: torch.Tensor) -> Attended:
    """Attention of each row to the tokens it sampled; rows and heads are one axis here."""
    rows = layer.layout.rows
    scores = torch.cat(
        [
            torch.bmm(query, segment.keys[:rows].flatten(0, 1).transpose(1, 2))
            for segment in layer.segments
        ],
        dim=-1,
    ).float()
    scores.view(rows, -1, scores.shape[-1]).add_(layer.layout.sampled_bias)
    weights, mass = _softmax(scores)
    weights = weights.to(query.dtype)
    first, *others = layer.segments
    size = first.keys.shape[2]
    mixed = torch.bmm(weights[..., :size], first.values[:rows].flatten(0, 1))
    for segment in others:
        part = weights[..., size : size + segment.keys.shape[2]]
        mixed.baddbmm_(part, segment.values[:rows].flatten(0, 1))
        size += segment.keys.shape[2]
    return Attended(mixed, mass)


def _shared(layer: StoredLayer, query: torch.Tensor) -> Attended:
    """Attention of all samples of a unit to its prompt at once."""
    prompts = layer.running_prompts()
    scores = torch.matmul(query, prompts.keys.transpose(-1, -2)).float()
    if layer.layout.prompt_bias is not None:
        scores += layer.layout.prompt_bias
    weights, mass = _softmax(scores)
    return Attended(torch.matmul(weights.to(query.dtype), prompts.values), mass)


def _softmax(scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights, and the mass from the largest score and weight: cheaper than a logsumexp."""
    weights = torch.softmax(scores, dim=-1)
    largest = weights.amax(dim=-1, keepdim=True)
    return weights, scores.amax(dim=-1, keepdim=True) - largest.log_()


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
