"""What model can be trained on a laptop?  A randomly initialised Qwen2 of any small shape.

It has the architecture, the files and the loading path of the real 7B judge; only its size and
its weights differ.  Two calls with the same seed write the same bytes.

Load its tokenizer with `PreTrainedTokenizerFast`.  For model_type "qwen2", `AutoTokenizer` of
transformers 5 ignores the declared class and rebuilds Qwen's own pre-tokenizer and NFC
normaliser around the vocabulary, so that a word-level or byte-level tokenizer changes silently.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rprm.errors import BadInput


class SavableTokenizer(Protocol):
    """What the builder needs of a Hugging Face tokenizer."""

    @property
    def eos_token_id(self) -> Any: ...

    @property
    def bos_token_id(self) -> Any: ...

    @property
    def pad_token_id(self) -> Any: ...

    def __len__(self) -> int: ...

    def save_pretrained(self, save_directory: str) -> Any: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class TinyShape:
    hidden: int = 32
    layers: int = 2
    heads: int = 2
    kv_heads: int = 2
    ffn: int = 64
    initializer_range: float = 0.02
    tied_embeddings: bool = True
    max_position_embeddings: int = 2048

    def problems(self) -> list[str]:
        found = [
            f"{name} is {value}, must be positive"
            for name, value in (
                ("hidden", self.hidden),
                ("layers", self.layers),
                ("heads", self.heads),
                ("kv_heads", self.kv_heads),
                ("ffn", self.ffn),
                ("max_position_embeddings", self.max_position_embeddings),
            )
            if value < 1
        ]
        if found:
            return found
        if self.hidden % (2 * self.heads):
            found.append(f"hidden {self.hidden} is no multiple of 2 x heads (2 x {self.heads})")
        if self.heads % self.kv_heads:
            found.append(f"heads {self.heads} is no multiple of kv_heads {self.kv_heads}")
        return found


def build_tiny_qwen2(
    folder: Path, *, tokenizer: SavableTokenizer, shape: TinyShape, seed: int
) -> None:
    """Write config.json, generation_config.json, model.safetensors and the tokenizer's files."""
    if problems := shape.problems():
        raise BadInput(f"No such model: {'; '.join(problems)}.", fix="change the shape")
    if tokenizer.eos_token_id is None:
        raise BadInput(
            "The tokenizer has no end-of-sequence token, so a sample could never end.",
            fix="set eos_token",
        )
    import torch
    import transformers
    from transformers import Qwen2ForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2ForCausalLM(_config(tokenizer, shape))
    folder.mkdir(parents=True, exist_ok=True)
    transformers.logging.disable_progress_bar()  # one file of a few megabytes needs none
    model.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))


def _config(tokenizer: SavableTokenizer, shape: TinyShape) -> Any:
    from transformers import Qwen2Config

    return Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden,
        intermediate_size=shape.ffn,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=shape.max_position_embeddings,
        initializer_range=shape.initializer_range,
        tie_word_embeddings=shape.tied_embeddings,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        use_cache=True,
    )
