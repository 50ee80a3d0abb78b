"""Which folder does a model's name lead to, and what is said when it leads nowhere?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rprm import finding
from rprm.data.chain_tokenizer import chain_tokenizer
from rprm.errors import BadInput
from rprm.finding import FoundModel, find_model, template_for
from rprm.models import is_small_world, locate_model, max_positions, model_digest
from rprm.sealed import Location, location_of


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder without a store, and without a tracking server."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def make_model(folder: Path, **config: object) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def refusal(name: str, store: str | None = None) -> str:
    with pytest.raises(BadInput) as caught:
        find_model(name, store=store)
    return str(caught.value)


def test_names_that_are_not_builtin_are_left_alone() -> None:
    assert locate_model("Qwen/Qwen2.5-Math-7B") == "Qwen/Qwen2.5-Math-7B"


def test_a_mistyped_builtin_is_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rprm.models.builtin_names", lambda: ["chain_base"])
    with pytest.raises(BadInput, match="did you mean builtin:chain_base"):
        locate_model("builtin:chain_bas")


def test_the_digest_follows_the_weights(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    before = model_digest(str(folder))
    (folder / "model.safetensors").write_bytes(b"other")
    assert model_digest(str(folder)) != before
    assert model_digest("org/name") == "org/name"


def test_a_checkpoint_of_a_store_pins_itself(tmp_path: Path) -> None:
    name = "artifacts/dpo-1/checkpoints/0000000200"
    make_model(tmp_path / name)
    assert model_digest(name) == name


@pytest.mark.parametrize(
    "inside",
    [
        "",  # the model folder itself
        "weights",  # a checkpoint
        "files/model",  # an artifact that was copied out of its store
    ],
)
def test_a_folder_may_be_the_model_or_hold_it(tmp_path: Path, inside: str) -> None:
    folder = make_model(tmp_path / "m" / inside)
    assert find_model(str(tmp_path / "m")).folder == folder
    assert find_model((tmp_path / "m").as_uri()).folder == folder


def test_a_mistyped_folder_is_guessed(tmp_path: Path) -> None:
    make_model(tmp_path / "judge")
    assert f"did you mean '{tmp_path}/judge'" in refusal(f"{tmp_path}/jugde")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "name is empty"),
        ("nothing-here", "no model is called 'nothing-here'"),
        ("ftp://x/y", "not a place of a model in a store"),
        ("models:/r-prm", "write models:/NAME@champion"),
        ("models:/r-prm@champion", "no registry knows"),
        (".", "no config.json in it"),
    ],
)
def test_a_name_that_leads_nowhere_says_what_to_give(name: str, said: str) -> None:
    assert said in refusal(name)


def test_a_store_that_was_asked_for_must_exist(tmp_path: Path) -> None:
    assert "No store at" in refusal("sft", store=str(tmp_path / "none"))


def test_a_hub_id_is_fetched_only_where_no_folder_could_be_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []

    def fetch(name: str) -> FoundModel:
        fetched.append(name)
        return FoundModel(name=name, folder=tmp_path)

    monkeypatch.setattr(finding, "_from_hub", fetch)
    find_model("org/name@main")
    find_model("hf://org/name")
    (tmp_path / "models").mkdir()
    assert "no model is called" in refusal("models/jugde")
    assert fetched == ["org/name@main", "hf://org/name"]


@pytest.mark.parametrize(
    ("text", "root", "address", "inside"),
    [
        (".rprm/store/artifacts/sft-1", ".rprm/store", "sft-1", ""),
        ("artifacts/sft-1/", ".", "sft-1", ""),
        (
            "file:///s/artifacts/a-1/checkpoints/0000000200",
            "file:///s",
            "a-1",
            "checkpoints/0000000200",
        ),
        ("s3://b/p/artifacts/a-1/files/model", "s3://b/p", "a-1", "files/model"),
    ],
)
def test_a_place_in_a_store_is_taken_apart(text: str, root: str, address: str, inside: str) -> None:
    assert location_of(text) == Location(root=root, address=address, inside=inside)


@pytest.mark.parametrize("text", ["models/artifacts-1", "sft", "my-artifacts/x"])
def test_other_paths_are_no_place_in_a_store(text: str) -> None:
    assert location_of(text) is None


def test_the_small_world_is_known_by_its_words(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    assert not is_small_world(folder)
    chain_tokenizer().save_pretrained(str(folder))
    assert is_small_world(folder)
    (folder / "tokenizer.json").write_text("no json")
    assert not is_small_world(folder)


def test_the_template_is_that_of_training_where_it_is_known(tmp_path: Path) -> None:
    assert template_for(FoundModel(name="x", folder=tmp_path, template="mine")) == "mine"
    assert template_for(FoundModel(name="x", folder=tmp_path)) == "rprm"
    chain_tokenizer().save_pretrained(str(tmp_path))
    assert template_for(FoundModel(name="x", folder=tmp_path)) == "chain"


def test_positions_come_from_the_configuration(tmp_path: Path) -> None:
    assert max_positions(make_model(tmp_path / "a", max_position_embeddings=512)) == 512
    assert max_positions(make_model(tmp_path / "b")) is None
    assert max_positions(tmp_path / "c") is None
