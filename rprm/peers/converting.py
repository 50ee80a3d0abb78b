"""How do weights that were published as pickles become safetensors?  Once, by hand.

torch reads them with `weights_only`, which builds tensors and containers and runs no other code.
Nothing that judges calls this: a campaign loads safetensors alone.
"""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

from rprm.errors import BadInput

KEPT = ("*.json", "*.txt", "*.jinja", "*.model")
"""Configuration and tokenizer; no code."""


def convert(folder: Path, target: Path) -> list[Path]:
    """Write the model in `folder` to `target` with its weights as safetensors; its files.

    A folder that exists is never written into.
    """
    pickles = sorted(folder.glob("pytorch_model*.bin"))
    if not pickles:
        raise BadInput(f"No pytorch_model*.bin in {folder}.", fix="name the folder that holds it.")
    if target.exists():
        raise BadInput(f"{target} exists.", fix="name a new folder.")
    target.mkdir(parents=True)
    index: dict[str, str] = {}
    total = 0
    for number, file in enumerate(pickles, start=1):
        name = f"model-{number:05d}-of-{len(pickles):05d}.safetensors"
        weights = _separate(_read(file))
        save_file(weights, target / name, metadata={"format": "pt"})
        index |= dict.fromkeys(weights, name)
        total += sum(tensor.nbytes for tensor in weights.values())
    body = {"metadata": {"total_size": total}, "weight_map": index}
    (target / "model.safetensors.index.json").write_text(json.dumps(body, sort_keys=True))
    for pattern in KEPT:
        for file in folder.glob(pattern):
            if not file.name.endswith(".index.json"):
                shutil.copyfile(file, target / file.name)
    return sorted(target.iterdir())


def _read(file: Path) -> Mapping[str, torch.Tensor]:
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as problem:
        line = (str(problem).splitlines() or ["it is empty"])[0]
        raise BadInput(
            f"{file} holds more than tensors, or is cut off: {line[:300]}",
            fix="fetch it again, and compare its sha256 with the Hub's.",
        ) from problem
    if not isinstance(found, Mapping):
        raise BadInput(f"{file} holds no weights by name.", fix="name a model's own weights.")
    return found


def _separate(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Each tensor in memory of its own: safetensors keeps none that are shared."""
    return {name: tensor.detach().clone().contiguous() for name, tensor in weights.items()}
