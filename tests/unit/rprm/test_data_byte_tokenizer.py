"""Does the byte tokenizer give every text back, and can a tiny model live beside it?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rprm.data.byte_tokenizer import NUM_BYTES, build_byte_tokenizer, save_byte_tokenizer
from rprm.errors import BadInput
from rprm.training.tiny_model import TinyShape, build_tiny_qwen2


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tokenizer")
    save_byte_tokenizer(folder)
    return PreTrainedTokenizerFast.from_pretrained(str(folder))


TOKENIZER = build_byte_tokenizer()


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8")) | st.sampled_from(["<eos>", " a ,b n't .", "e\u0301"]))
def test_every_text_is_its_bytes_and_comes_back_unchanged(text: str) -> None:
    ids = TOKENIZER.encode(text, add_special_tokens=False)
    assert ids == list(text.encode())
    assert TOKENIZER.decode(ids) == text


def test_a_saved_tokenizer_reads_like_the_one_that_was_saved(tokenizer: Any) -> None:
    text = "Step 1: é <eos>\n\t{x}"
    assert tokenizer(text)["input_ids"] == list(text.encode())
    assert tokenizer.eos_token_id == NUM_BYTES
    assert tokenizer.pad_token_id == NUM_BYTES + 1
    assert tokenizer.bos_token_id is None
    assert len(tokenizer) == NUM_BYTES + 2


def test_a_chat_prompt_is_a_prefix_of_the_chat_with_its_answer(tokenizer: Any) -> None:
    user = {"role": "user", "content": "Is 2 even?"}
    prompt = tokenizer.apply_chat_template([user], tokenize=False, add_generation_prompt=True)
    chat = [user, {"role": "assistant", "content": "Yes"}]
    assert tokenizer.apply_chat_template(chat, tokenize=False).startswith(prompt)


def test_the_same_seed_writes_the_same_model_and_another_seed_another(
    tmp_path: Path, tokenizer: Any
) -> None:
    shape = TinyShape(hidden=16, layers=1, ffn=16)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        build_tiny_qwen2(tmp_path / name, tokenizer=tokenizer, shape=shape, seed=seed)
    weights = {name: (tmp_path / name / "model.safetensors").read_bytes() for name in "abc"}
    assert weights["a"] == weights["b"] != weights["c"]


def test_a_tiny_model_has_the_shape_that_was_asked_for(tmp_path: Path, tokenizer: Any) -> None:
    from transformers import AutoModelForCausalLM

    shape = TinyShape(hidden=16, layers=3, heads=4, kv_heads=2, ffn=24, tied_embeddings=False)
    build_tiny_qwen2(tmp_path, tokenizer=tokenizer, shape=shape, seed=0)
    config = AutoModelForCausalLM.from_pretrained(str(tmp_path)).config
    assert config.model_type == "qwen2"
    assert (config.hidden_size, config.num_hidden_layers, config.intermediate_size) == (16, 3, 24)
    assert (config.num_attention_heads, config.num_key_value_heads) == (4, 2)
    assert (config.vocab_size, config.eos_token_id) == (NUM_BYTES + 2, NUM_BYTES)
    assert not config.tie_word_embeddings


def test_building_a_model_leaves_the_callers_random_numbers_alone(
    tmp_path: Path, tokenizer: Any
) -> None:
    import torch

    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    build_tiny_qwen2(tmp_path, tokenizer=tokenizer, shape=TinyShape(layers=1), seed=9)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        (TinyShape(hidden=30, heads=4), "no multiple of 2 x heads"),  # rotary needs even heads
        (TinyShape(heads=4, kv_heads=3), "no multiple of kv_heads"),
        (TinyShape(layers=0), "layers is 0"),
    ],
)
def test_an_impossible_shape_is_refused(
    tmp_path: Path, tokenizer: Any, shape: TinyShape, says: str
) -> None:
    with pytest.raises(BadInput, match=says):
        build_tiny_qwen2(tmp_path, tokenizer=tokenizer, shape=shape, seed=0)


def test_a_tokenizer_without_an_end_is_refused(tmp_path: Path) -> None:
    endless = build_byte_tokenizer()
    endless.eos_token = None
    with pytest.raises(BadInput, match="set eos_token"):
        build_tiny_qwen2(tmp_path, tokenizer=endless, shape=TinyShape(), seed=0)


def test_importing_the_loaders_does_not_import_torch() -> None:
    modules = "rprm.data.byte_tokenizer, rprm.training.tiny_model, rprm.data.prm800k, rprm.data.hub"
    heavy = "{'torch', 'transformers', 'datasets', 'huggingface_hub'}"
    code = f"import sys, {modules}; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
