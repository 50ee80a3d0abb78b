"""How do the published weights of a process reward model get into this process?

From safetensors alone and without code of a model's repository: the heads that transformers does
not know are small modules of ours with the published names of their weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from rprm.engines.tokenizers import require_folder
from rprm.errors import BadInput
from rprm.peers.base import PeerOptions, check_options

SPREAD = "spread"
HEADS = ("v_head.", "score.")
"""Weights of the heads of other reward models; a causal model has neither."""


def load_weights(model_class: Any, folder: Path, options: PeerOptions) -> Any:
    """A model for inference, every weight of which was in the folder."""
    check_options(options)
    require_weights(folder)
    from safetensors import SafetensorError
    from transformers.utils import logging

    logging.disable_progress_bar()  # workers load often, and their stderr is a log
    torch.set_num_threads(options.threads)
    device = device_of(options.device)
    dtype = "float32" if options.dtype == "auto" and device == "cpu" else options.dtype
    try:
        model, report = model_class.from_pretrained(
            str(folder),
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=dtype,
            device_map="auto" if device == SPREAD else None,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as problem:
        raise BadInput(
            f"The model in {folder} does not load: {problem}",
            fix="check that config.json and the safetensors files belong together.",
        ) from problem
    _require_all(report, folder)
    if device != SPREAD:
        model = model.to(device)
    return model.eval().requires_grad_(False)


def require_weights(folder: Path) -> None:
    require_folder(folder)
    if not (folder / "config.json").is_file():
        raise BadInput(
            f"No config.json in {folder}.", fix="point to a folder in Hugging Face format."
        )
    if not any(folder.glob("*.safetensors")):
        pickles = sorted(path.name for path in folder.glob("*.bin"))
        found = f"only pickled weights ({', '.join(pickles)})" if pickles else "no weights"
        raise BadInput(
            f"There are {found} in {folder}; only safetensors are loaded.",
            fix="take a revision with safetensors, or convert them on a machine you trust"
            " (rprm.peers.converting.convert).",
        )


def require_type(config: Any, wanted: str, folder: Path) -> None:
    if config.model_type != wanted:
        raise BadInput(
            f"The model in {folder} is of type {config.model_type!r}, not {wanted!r}.",
            fix="check which peer the folder holds.",
        )


def device_of(asked: str) -> str:
    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if asked.startswith("cuda") and not torch.cuda.is_available():
        raise BadInput("No GPU is visible to this process.", fix="use device auto or cpu.")
    return asked


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
