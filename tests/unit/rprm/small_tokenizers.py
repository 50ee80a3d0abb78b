"""Which real tokenizers, small enough to be read, do the tests of prompts use?"""

from __future__ import annotations

from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MERGES = [(":", "Ġ"), ("Ġ", "Y"), ("e", "s"), ("ĠY", "es"), ("Ġ", "N"), ("ĠN", "o"), ("l", "y")]
"""The first crosses the border between a prompt that ends in ":" and an answer."""


def byte_level(**options: Any) -> Any:
    """A byte-level BPE with `MERGES`; ids 0..255 are bytes, then the merges."""
    tokens = sorted(pre_tokenizers.ByteLevel.alphabet()) + [a + b for a, b in MERGES]
    vocabulary = {token: id for id, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=MERGES))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **options)


def chatml(**options: Any) -> Any:
    """Like Qwen2.5's: no BOS, and a turn ends with the EOS token."""
    given = {
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "additional_special_tokens": ["<|im_start|>"],
        **options,
    }
    tokenizer = byte_level(**given)
    tokenizer.chat_template = CHATML
    return tokenizer
