"""What does an engine say of folders, files and requests it cannot use?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from rprm.engines.base import Completion, Refused, Request, SamplingParams
from rprm.engines.factory import make_engine
from rprm.engines.recorded import RecordedEngine, write_samples
from rprm.engines.transformers import TransformersEngine
from rprm.errors import BadInput
from tests.unit.rprm.engine_models import CHAIN, ragged_requests, save_tiny, word_tokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_tiny(tmp_path / "model", word_tokenizer())


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"No model folder at .*nowhere"):
        make_engine(tmp_path / "nowhere", threads=1)


def test_an_address_is_not_taken_for_a_folder() -> None:
    with pytest.raises(BadInput, match="http://judge serves token ids, and nobody said"):
        make_engine("http://judge", threads=1)
    with pytest.raises(BadInput, match="'hf://judge' names no replicas"):
        make_engine("hf://judge", threads=1)


def test_a_folder_without_config_is_named(folder: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(BadInput, match=r"No config.json"):
        make_engine(folder, threads=1)


def test_pickled_weights_are_never_loaded(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(BadInput, match=r"only pickled weights \(pytorch_model.bin\)"):
        make_engine(folder, threads=1)


def test_a_damaged_weight_file_is_bad_input(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(BadInput, match="does not load"):
        make_engine(folder, threads=1)


def test_a_tokenizer_without_an_end_token_is_refused_with_the_fix(folder: Path) -> None:
    config = json.loads((folder / "tokenizer_config.json").read_text())
    del config["eos_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(BadInput, match=r'no EOS token.*Fix: set "eos_token"'):
        make_engine(folder, threads=1)


def test_a_folder_without_a_tokenizer_is_named(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()
    with pytest.raises(BadInput, match="No tokenizer in"):
        make_engine(folder, threads=1)


def test_token_ids_outside_the_vocabulary_are_bad_input(folder: Path) -> None:
    request = Request(id="a", prompt_T=(5, 50), n=1, seed=0)
    with pytest.raises(BadInput, match="outside the 50"):
        list(TransformersEngine(folder, threads=1).sample([request], SamplingParams(max_tokens=3)))


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        (SamplingParams(max_tokens=0), "max_tokens is 0"),
        (SamplingParams(temperature=-1), "temperature is -1"),
        (SamplingParams(top_p=0), "top_p is 0"),
        (SamplingParams(stop=("",)), "stop string is empty"),
    ],
)
def test_meaningless_parameters_are_bad_input(
    folder: Path, params: SamplingParams, complaint: str
) -> None:
    with pytest.raises(BadInput, match=complaint):
        list(TransformersEngine(folder, threads=1).sample([], params))


def test_an_empty_prompt_is_refused(folder: Path) -> None:
    engine = TransformersEngine(folder, threads=1)
    request = Request(id="a", prompt_T=(), n=1, seed=0)
    (answer,) = engine.sample([request], SamplingParams(max_tokens=3))
    assert isinstance(answer, Refused)
    assert answer.cause == "empty_prompt"


def test_recorded_samples_replay_as_they_were(folder: Path, tmp_path: Path) -> None:
    requests = ragged_requests(5, n=3)
    params = SamplingParams(max_tokens=12, verdict=CHAIN)
    live = list(TransformersEngine(folder, threads=1).sample(requests, params))
    path = tmp_path / "critiques.jsonl"
    write_samples(path, [answer for answer in live if isinstance(answer, Completion)])
    replayed = list(make_engine(f"recorded:{path}", threads=1).sample(requests, params))
    assert sorted(replayed, key=lambda answer: answer.id) == sorted(live, key=lambda a: a.id)


def test_what_was_not_recorded_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    path.write_text('{"id": "a", "text": "fine"}\n')
    asked = [Request(id=name, prompt_T=(1,), n=2, seed=0) for name in ("a", "b")]
    for answer in RecordedEngine(path).sample(asked, SamplingParams()):
        assert isinstance(answer, Refused)
        assert answer.cause == "not_recorded"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a JSON object"),
        ('{"id": "a"}', "has no 'text'"),
        ('{"id": "a", "text": "t", "p_yes": 2}', "has p_yes 2"),
        ('{"id": "a", "text": "t", "finish": "tired"}', "has finish 'tired'"),
        ('{"id": "a", "text": "t", "sample": "x"}', "has sample 'x'"),
        ('{"id": "a", "text": "t", "token_ids": [true, "x"]}', "has token_ids"),
    ],
)
def test_a_bad_recorded_line_is_named(tmp_path: Path, line: str, complaint: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"id": "z", "text": "fine"}\n' + line + "\n")
    with pytest.raises(BadInput, match=f"bad.jsonl:2 {complaint}"):
        RecordedEngine(path)
