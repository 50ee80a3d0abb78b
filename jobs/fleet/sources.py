"""Which Python has vLLM, and in which form does it read a model's folder?"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from jobs.fleet.vllm_command import ModelSource
from jobs.spec.errors import ConfigError, StoreError

VARIABLE = "RPRM_VLLM"
BESIDE = ".venv-serve"
"""Where `make serve` installs it: vLLM and what trains need different versions of the same."""
GENERIC = frozenset({"TokenizersBackend", "PreTrainedTokenizerFast"})
"""Tokenizers that are what their tokenizer.json says."""
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def python_with_vllm(environment: Mapping[str, str] | None = None) -> str:
    """Raises ConfigError where there is none."""
    named = (os.environ if environment is None else environment).get(VARIABLE)
    if named:
        found = shutil.which(named)
        if found is None:
            raise ConfigError(
                f"{VARIABLE} names {named}, which is no program.",
                fix="give the path of a Python that has vLLM",
            )
        return found
    beside = Path(sys.prefix).parent / BESIDE / "bin" / "python"
    if beside.exists():
        return str(beside)
    if importlib.util.find_spec("vllm") is not None:
        return sys.executable
    raise ConfigError(
        "this campaign has fleets, and no Python with vLLM is known here.",
        fix=f"run `make serve`, or name a Python that has vLLM in {VARIABLE}",
    )


def model_source(model: str, scratch: Path) -> ModelSource:
    """`scratch` takes the tokenizer's own folder where one is needed.  Raises StoreError where it
    cannot be written."""
    folder = Path(model)
    if not folder.is_dir():
        name, _, revision = model.partition("@")
        return ModelSource(model=name, revision=revision or None)
    return ModelSource(model=str(folder.resolve()), tokenizer=_own_tokenizer(folder, scratch))


def _own_tokenizer(folder: Path, scratch: Path) -> Path | None:
    """A generic tokenizer beside a config.json would be read as that model type's own: with other
    ids.  In a folder without a config.json it is read as it is."""
    try:
        said = json.loads((folder / "tokenizer_config.json").read_bytes())
    except (OSError, ValueError):
        return None
    if said.get("tokenizer_class") not in GENERIC or not (folder / TOKENIZER_FILES[0]).exists():
        return None
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        for name in TOKENIZER_FILES:
            if (folder / name).exists():
                shutil.copyfile(folder / name, scratch / name)
    except OSError as error:
        raise StoreError(
            f"the tokenizer of {folder} cannot be copied to {scratch}: {error.strerror}.",
            fix="free space, or mend the folder's permissions",
        ) from error
    return scratch.resolve()
