"""How do weights from disk get into this process?  From safetensors alone, without the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from rprm.engines.tokenizers import require_folder
from rprm.errors import BadInput

CONVERT = "convert them with model.save_pretrained(folder) on a machine you trust."


def require_weights(path: Path | str, *, fix: str = CONVERT) -> Path:
    """The folder; `fix` is what to do about pickled weights."""
    folder = require_folder(path)
    if not (folder / "config.json").is_file():
        raise BadInput(
            f"No config.json in {folder}.",
            fix="point to a folder in Hugging Face format (model.save_pretrained makes one).",
        )
    if not any(folder.glob("*.safetensors")):
        pickles = sorted(path.name for path in folder.glob("*.bin"))
        found = f"only pickled weights ({', '.join(pickles)})" if pickles else "no weights"
        raise BadInput(f"There are {found} in {folder}; only safetensors are loaded.", fix=fix)
    return folder


def device_of(asked: str) -> str:
    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if asked.startswith("cuda") and not torch.cuda.is_available():
        raise BadInput("No GPU is visible to this process.", fix="use device auto or cpu.")
    return asked


def from_pretrained(
    model_class: Any, folder: Path, *, device: str, dtype: str, **options: Any
) -> Any:
    """What `model_class.from_pretrained` makes; "auto" is float32 on a CPU, else as stored."""
    from safetensors import SafetensorError
    from transformers.utils import logging

    logging.disable_progress_bar()  # workers load often, and their stderr is a log
    try:
        return model_class.from_pretrained(
            str(folder),
            local_files_only=True,
            use_safetensors=True,
            dtype="float32" if dtype == "auto" and device == "cpu" else dtype,
            **options,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as problem:
        raise BadInput(
            f"The model in {folder} does not load: {problem}",
            fix="check that config.json and the safetensors files belong together.",
        ) from problem
