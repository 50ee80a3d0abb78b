"""What is trained in tests?  A tiny model on random tokens, attempt after attempt."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from rprm.training.collate import Example, Pair
from rprm.training.tiny_model import TinyShape, build_tiny_qwen2
from tests.contract.fake_training_stage import FakeTrainingStage

EOS, PAD, VOCABULARY = 0, 1, 24
NewAttempt = Callable[..., FakeTrainingStage]


def build_init(folder: Path, *, attention_dropout: float = 0.1) -> None:
    """A tiny model with dropout in its attention, so that random states matter."""
    words = {"<eos>": EOS, "<pad>": PAD} | {f"w{i}": i for i in range(2, VOCABULARY)}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="<pad>")),
        eos_token="<eos>",
        pad_token="<pad>",
    )
    build_tiny_qwen2(folder, tokenizer=tokenizer, shape=TinyShape(), seed=0)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps(config | {"attention_dropout": attention_dropout})
    )


def some_ids(rng: random.Random, shortest: int, longest: int) -> tuple[int, ...]:
    return tuple(rng.randrange(2, VOCABULARY) for _ in range(rng.randint(shortest, longest)))


def examples(count: int, seed: int) -> list[Example]:
    rng = random.Random(seed)
    return [
        Example(
            id=f"e{i}",
            prompt_T=some_ids(rng, 3, 9),
            completion_T=(*some_ids(rng, 2, 7), EOS),
        )
        for i in range(count)
    ]


def pairs(count: int, seed: int) -> list[Pair]:
    rng = random.Random(seed)
    return [
        Pair(
            id=f"p{i}",
            prompt_T=some_ids(rng, 3, 9),
            chosen_T=(*some_ids(rng, 2, 7), EOS),
            rejected_T=(*some_ids(rng, 2, 7), EOS),
        )
        for i in range(count)
    ]


def attempts_below(folder: Path) -> NewAttempt:
    """Attempts at one stage: a common store, a scratch folder each."""
    scratches = iter(range(100))

    def make(**faults: Any) -> FakeTrainingStage:
        scratch = folder / f"scratch-{next(scratches)}"
        scratch.mkdir()
        return FakeTrainingStage(store=folder / "store", scratch=scratch, **faults)

    return make
