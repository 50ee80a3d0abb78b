"""Which models do the engine tests sample?  Tiny, random and made on the spot."""

from __future__ import annotations

import random
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from rprm.engines.base import Request, VerdictFormat

WORDS = ["<pad>", "<eos>", "<unk>", *(str(digit) for digit in range(10))]
WORDS += ["yes", "no", "correct", "?", "+", "-", "=", "end"]
WORDS += [f"w{index}" for index in range(50 - len(WORDS))]

CHAIN = VerdictFormat(marker="correct ?", yes=" yes", no=" no")


def word_tokenizer() -> PreTrainedTokenizerFast:
    """One token per word, joined by spaces, like the small world's."""
    vocabulary = {word: index for index, word in enumerate(WORDS)}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<eos>", pad_token="<pad>", unk_token="<unk>"
    )


def byte_tokenizer(corpus: list[str], size: int = 300) -> PreTrainedTokenizerFast:
    """Byte-level BPE, like Qwen2's: a token may hold part of a character or of a marker."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=["<eos>"], initial_alphabet=alphabet, show_progress=False
    )
    core.train_from_iterator(corpus, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<eos>")


def save_tiny(
    folder: Path, tokenizer: PreTrainedTokenizerFast, *, hidden: int = 32, positions: int = 512
) -> Path:
    """A random Qwen2 whose logits are far enough apart to be worth sampling."""
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        initializer_range=0.2 if hidden < 64 else 0.08,
        max_position_embeddings=positions,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        pad_token_id=tokenizer.pad_token_id,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def ragged_requests(count: int, *, n: int, longest: int = 30, seed: int = 0) -> list[Request]:
    rng = random.Random(seed)
    return [
        Request(
            id=f"r{index}",
            prompt_T=tuple(rng.randrange(3, len(WORDS)) for _ in range(rng.randint(3, longest))),
            n=n,
            seed=1000 + index,
        )
        for index in range(count)
    ]
