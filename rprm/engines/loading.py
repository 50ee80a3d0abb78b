"""Which models can run in this process, and how are they loaded?"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rprm.engines import grouped_attention
from rprm.engines.agreement import disagreement
from rprm.engines.weights import device_of, from_pretrained, require_weights
from rprm.errors import BadInput

PLAIN_LAYERS = {"full_attention", "sliding_attention"}
"""Layer types whose whole memory is keys and values per token."""

CPU_CACHE_BYTES = 1 << 30
"""Keys and values kept at once on a CPU, beside other workers of the same machine."""

GPU_CACHE_SHARE = 0.7
"""Of what is free once the weights are loaded; prefills and logits need the rest."""

PREFILL_TOKENS = {"cpu": 1024}
"""On a CPU more than this leaves its caches, and matrix products take three times as long."""

TOLERANCE = {torch.float32: 0.02}
OTHER_TOLERANCE = 0.2
"""Largest difference of a logit, in standard deviations, that is rounding and not another model."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineOptions:
    """Where and how large the model runs."""

    device: str = "auto"
    """"auto" takes a GPU when there is one."""
    dtype: str = "auto"
    """"auto" is float32 on a CPU and the checkpoint's own type on a GPU."""
    max_rows: int = 512
    """Samples side by side; a tiny model needs hundreds to hide the cost of calling it."""
    max_batch_tokens: int | None = None
    """Tokens whose keys and values are kept at once; None takes what the memory allows."""
    max_prefill_tokens: int | None = None
    """Prompt tokens in one forward pass; None suits the device."""
    trust_remote_code: bool = False


def load_model(path: Path | str, options: EngineOptions) -> Any:
    """Load weights for inference.  Raises BadInput that says what the folder lacks."""
    folder = require_weights(path)
    from transformers import AutoModelForCausalLM

    device = device_of(options.device)
    model = from_pretrained(
        AutoModelForCausalLM,
        folder,
        device=device,
        dtype=options.dtype,
        trust_remote_code=options.trust_remote_code,
    )
    _require_plain_attention(model, folder)
    return choose_attention(model.to(device).eval().requires_grad_(False), folder)


def batch_tokens(model: Any, options: EngineOptions) -> int:
    """How many tokens' keys and values may be kept at once?"""
    if options.max_batch_tokens is not None:
        return options.max_batch_tokens
    config = model.config.get_text_config(decoder=True)
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    per_token = 2 * config.num_hidden_layers * heads * size * model.dtype.itemsize
    budget = CPU_CACHE_BYTES
    if model.device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(model.device)
        budget = int(free * GPU_CACHE_SHARE)
    return max(1, budget // int(per_token))


def prefill_tokens(model: Any, options: EngineOptions) -> int:
    """How many prompt tokens go through the model at once?"""
    return options.max_prefill_tokens or PREFILL_TOKENS.get(model.device.type, 16_384)


def choose_attention(model: Any, folder: Path) -> Any:
    """Let samples of a prompt share its keys, where that gives what the model itself gives."""
    tolerance = TOLERANCE.get(model.dtype, OTHER_TOLERANCE)
    if model.config._attn_implementation == "sdpa" and model._can_set_attn_implementation():
        model.set_attn_implementation(grouped_attention.NAME)
        try:
            if disagreement(model) <= tolerance:
                return model
        except grouped_attention.UnsupportedAttention:
            pass  # softcaps, sinks, sliding windows: these need the model's own attention
        model.set_attn_implementation("sdpa")
    found = disagreement(model)
    if found > tolerance:
        raise BadInput(
            f"The model in {folder} cannot be sampled token by token here: its logits differ by"
            f" {found:.2g} standard deviations from those of a whole pass.",
            fix="serve it with vLLM and use the HTTP engine.",
        )
    return model


def _require_plain_attention(model: Any, folder: Path) -> None:
    others = set(getattr(model.config, "layer_types", None) or ()) - PLAIN_LAYERS
    arguments = inspect.signature(model.forward).parameters
    missing = {"attention_mask", "position_ids", "past_key_values"} - set(arguments)
    if others or missing or getattr(model.config, "is_encoder_decoder", False):
        what = sorted(others) or sorted(missing) or ["an encoder"]
        raise BadInput(
            f"The model in {folder} cannot be batched in process because of {', '.join(what)}.",
            fix="serve it with vLLM and use the HTTP engine.",
        )
