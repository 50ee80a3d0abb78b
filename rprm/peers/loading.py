"""How do the published weights of a process reward model get into this process?

From safetensors alone and without code of a model's repository: the heads that transformers does
not know are small modules of ours with the published names of their weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from rprm.engines import weights
from rprm.errors import BadInput
from rprm.peers.base import PeerOptions, check_options

SPREAD = "spread"
HEADS = ("v_head.", "score.")
"""Weights of the heads of other reward models; a causal model has neither."""

CONVERT = (
    "take a revision with safetensors, or convert them on a machine you trust"
    " (rprm.peers.converting.convert)."
)


def load_weights(model_class: Any, folder: Path, options: PeerOptions) -> Any:
    """A model for inference, every weight of which was in the folder."""
    check_options(options)
    require_weights(folder)
    torch.set_num_threads(options.threads)
    device = weights.device_of(options.device)
    model, report = weights.from_pretrained(
        model_class,
        folder,
        device=device,
        dtype=options.dtype,
        trust_remote_code=False,
        device_map="auto" if device == SPREAD else None,
        output_loading_info=True,
    )
    _require_all(report, folder)
    if device != SPREAD:
        model = model.to(device)
    return model.eval().requires_grad_(False)


def require_weights(folder: Path) -> None:
    weights.require_weights(folder, fix=CONVERT)


def require_type(folder: Path, wanted: str) -> None:
    from transformers import AutoConfig

    found = AutoConfig.from_pretrained(str(folder), trust_remote_code=False).model_type
    if found != wanted:
        raise BadInput(
            f"The model in {folder} is of type {found!r}, not {wanted!r}.",
            fix="check which peer the folder holds.",
        )


def _require_all(report: Any, folder: Path) -> None:
    """A weight that is missing would be drawn at random, and one of another head left unused."""
    missing = sorted(report["missing_keys"])
    foreign = sorted(key for key in report["unexpected_keys"] if key.startswith(HEADS))
    if missing or foreign:
        what = f"lacks {', '.join(missing[:4])}" if missing else f"also has {', '.join(foreign)}"
        raise BadInput(
            f"The model in {folder} {what}: it is not the peer that was asked for.",
            fix="check the peer's name, and that every shard of its weights is there.",
        )
