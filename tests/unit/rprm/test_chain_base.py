"""Is the shipped base model of the small world whole, and does it know its digits?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rprm.data.chain_drills import drill_examples
from rprm.data.chain_tokenizer import chain_tokenizer
from rprm.engines.tokenizers import load_tokenizer
from rprm.models import locate_model
from rprm.prompting import Renderer, load_template

torch = pytest.importorskip("torch")
UNSEEN = 10**6
"""Drills from this row on were not trained on."""


@pytest.fixture(scope="module")
def folder() -> Path:
    return Path(locate_model("builtin:chain_base"))


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    from transformers import Qwen2ForCausalLM

    return Qwen2ForCausalLM.from_pretrained(str(folder)).eval()


def test_its_tokenizer_is_that_of_the_small_world(folder: Path) -> None:
    loaded, made = load_tokenizer(folder), chain_tokenizer()
    assert loaded.get_vocab() == made.get_vocab()
    text = "question : 345 #1 + 210 units 5 + 0 = 5 5 ok correct ? yes"
    assert loaded(text)["input_ids"] == made(text)["input_ids"]
    assert (loaded.eos_token, loaded.pad_token) == (made.eos_token, made.pad_token)


def test_it_is_small_single_precision_safetensors(folder: Path, model: Any) -> None:
    assert model.dtype == torch.float32
    assert (folder / "model.safetensors").stat().st_size < 3_000_000
    assert not [path for path in folder.iterdir() if path.suffix in {".bin", ".pt", ".py"}]


def test_it_writes_unseen_drills_nearly_without_mistakes(model: Any) -> None:
    renderer = Renderer(load_template("chain"), chain_tokenizer())
    right = total = 0
    for drill in drill_examples(0, range(UNSEEN, UNSEEN + 60), renderer):
        ids = torch.tensor([drill.prompt_T + drill.completion_T])
        with torch.no_grad():
            guessed = model(input_ids=ids).logits[0, len(drill.prompt_T) - 1 : -1].argmax(-1)
        right += int((guessed == torch.tensor(drill.completion_T)).sum())
        total += len(drill.completion_T)
    assert right / total > 0.99
