"""Are a peer's weights and tokenizer taken only where they are its own, and safe to read?"""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import normalizers

from rprm.errors import BadInput
from rprm.peers import converting, math_shepherd
from rprm.peers.base import PeerOptions
from rprm.peers.factory import PEERS, make_peer
from tests.contract.peer_models import PEER_FOLDERS, SOLUTIONS, pieces
from tests.contract.peer_recipes import numbers, scores_of, weights_of

NAMES = tuple(PEER_FOLDERS)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch.set_num_threads(1)
    return {name: PEER_FOLDERS[name](tmp_path_factory.mktemp(name)) for name in NAMES}


def test_skyworks_value_head_stays_in_float32(folders: dict[str, Path]) -> None:
    options = PeerOptions(dtype="bfloat16")
    scorer: Any = make_peer("skywork-prm-7b", model=folders["skywork-prm-7b"], options=options)
    weight = scorer.network.head.__self__.v_head.summary.weight
    assert weight.dtype == torch.float32
    assert torch.equal(weight, weights_of(folders["skywork-prm-7b"])["v_head.summary.weight"])


def test_layers_can_be_spread_over_devices(folders: dict[str, Path]) -> None:
    name = "qwen2.5-math-prm-7b"
    (spread,) = scores_of(name, folders[name], SOLUTIONS[:1], device="spread", dtype="float32")
    (plain,) = scores_of(name, folders[name], SOLUTIONS[:1])
    assert numbers(spread) == pytest.approx(numbers(plain), abs=1e-6)


@pytest.mark.parametrize(("name", "other"), list(permutations(NAMES, 2)))
def test_the_weights_of_another_peer_are_not_taken_for_its_own(
    name: str, other: str, folders: dict[str, Path]
) -> None:
    with pytest.raises(BadInput):
        scores_of(name, folders[other], SOLUTIONS[:1])


def test_pickled_weights_are_not_loaded(folders: dict[str, Path], tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((folders["math-shepherd-7b"] / name).read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(BadInput, match=r"pickled weights \(pytorch_model.bin\)"):
        scores_of("math-shepherd-7b", tmp_path, SOLUTIONS[:1])


def test_pickles_are_converted_once_and_then_score_the_same(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    folder, name = folders["skywork-prm-7b"], "skywork-prm-7b"
    for file in folder.glob("*.json"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = {**weights_of(folder)}
    weights["lm_head.shared"] = weights["lm_head.weight"]  # as tied weights are pickled
    torch.save(weights, tmp_path / "pytorch_model.bin")
    converting.convert(tmp_path, tmp_path / "converted")
    (before,) = scores_of(name, folder, SOLUTIONS[:1])
    (after,) = scores_of(name, tmp_path / "converted", SOLUTIONS[:1])
    assert numbers(after) == pytest.approx(numbers(before), abs=1e-6)


def test_a_pickle_that_would_run_code_is_not_converted(tmp_path: Path) -> None:
    torch.save({"weight": Path("x")}, tmp_path / "pytorch_model.bin")
    with pytest.raises(BadInput, match="more than tensors"):
        converting.convert(tmp_path, tmp_path / "converted")


def test_a_tokenizer_that_puts_no_space_in_front_is_no_math_shepherds() -> None:
    tokenizer = pieces()
    assert len(math_shepherd.words_of(tokenizer, where="here")) == 3
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace(" ", "▁")
    with pytest.raises(BadInput, match="a BOS and a space in front"):
        math_shepherd.words_of(tokenizer, where="here")


def test_a_tokenizer_for_sentencepiece_says_what_it_needs(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((folders["math-shepherd-7b"] / name).read_bytes())
    (tmp_path / "tokenizer.model").write_bytes(b"")
    monkeypatch.setattr(math_shepherd, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match="pip install sentencepiece"):
        scores_of("math-shepherd-7b", tmp_path, [])


def test_a_length_beyond_the_models_positions_is_an_error(folders: dict[str, Path]) -> None:
    with pytest.raises(BadInput, match="4096 positions"):
        scores_of("qwen2.5-math-prm-7b", folders["qwen2.5-math-prm-7b"], [], max_length=5000)


def test_every_published_peer_loads_by_its_adapter(folders: dict[str, Path]) -> None:
    by_adapter = {PEERS[name].adapter: folders[name] for name in NAMES}
    for card in PEERS.values():
        scorer = make_peer(card.name, model=by_adapter[card.adapter])
        assert scorer.name == card.name
        assert len(numbers(next(iter(scorer.score(SOLUTIONS[:1]))))) == 3
