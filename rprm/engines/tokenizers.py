"""Is this folder's tokenizer fit for judging?  It must load offline and have an EOS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rprm.errors import BadInput

Tokenizer = Any
"""A transformers PreTrainedTokenizerFast; the library is untyped at our boundary."""

GENERIC_CLASSES = ("TokenizersBackend", "PreTrainedTokenizerFast")
"""Classes that mean: tokenizer.json says everything."""


def load_tokenizer(path: Path | str, *, trust_remote_code: bool = False) -> Tokenizer:
    """Load from a local folder, without the network.  Raises BadInput with what to change."""
    folder = require_folder(path)
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json")):
        raise BadInput(
            f"No tokenizer in {folder}: neither tokenizer.json nor tokenizer_config.json.",
            fix="save the tokenizer beside the weights (tokenizer.save_pretrained(folder)).",
        )
    try:
        tokenizer = _loader(folder).from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=trust_remote_code
        )
    except (OSError, ValueError, KeyError) as problem:
        raise BadInput(
            f"The tokenizer in {folder} does not load: {problem}",
            fix="save it again with the transformers version in use.",
        ) from problem
    return require_eos(tokenizer, where=str(folder))


def _loader(folder: Path) -> Any:
    """Which class reads this folder?

    AutoTokenizer takes the class of the *model* type where it knows one: a word-level
    tokenizer beside a Qwen2 model would be read as Qwen2's own, and split text differently.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    config = folder / "tokenizer_config.json"
    declared = ""
    if config.is_file() and (folder / "tokenizer.json").is_file():
        declared = json.loads(config.read_text(encoding="utf-8")).get("tokenizer_class") or ""
    return PreTrainedTokenizerFast if declared in GENERIC_CLASSES else AutoTokenizer


def require_folder(path: Path | str) -> Path:
    folder = Path(path)
    if not folder.is_dir():
        raise BadInput(
            f"No model folder at {folder}.",
            fix="give a local folder with config.json, weights as safetensors and a tokenizer.",
        )
    return folder


def require_eos(tokenizer: Tokenizer, *, where: str) -> Tokenizer:
    """A judge that cannot end its text would always run into the token limit."""
    if tokenizer.eos_token_id is None:
        raise BadInput(
            f"The tokenizer in {where} has no EOS token, so a critique could never end.",
            fix='set "eos_token" in tokenizer_config.json to a token of its vocabulary.',
        )
    return tokenizer


def decode(tokenizer: Tokenizer, token_ids: list[int]) -> str:
    """Text without special tokens, and without cosmetic changes to its spaces."""
    text: str = tokenizer.decode(
        token_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return text
