"""Where does a stage's model come from, and what is fetched of one on the Hub?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rprm.errors import BadInput
from rprm.stages.given import Given, given_model
from rprm.stages.io import StageIO
from rprm.stages.params import EngineSizes

HERE = EngineSizes()
SERVED = EngineSizes(url="http://127.0.0.1:8000")


@dataclass(frozen=True, kw_only=True)
class Fleet:
    model: str
    url: str = "file:///run/judge/endpoints.json"
    key_env: str | None = "JUDGE_KEY"


def scripted_io(folder: Path | None = None, fleet: Fleet | None = None) -> StageIO:
    """A stage with one artifact for every input, or with none."""
    artifact = SimpleNamespace(address="sft-1", path=lambda name: folder)
    found = SimpleNamespace(
        stage="search",
        artifacts=lambda name: [] if folder is None else [artifact],
        artifact=lambda name: artifact,
        served=lambda role: fleet,
    )
    return cast("StageIO", cast("Any", found))


def test_an_artifact_goes_by_its_address(tmp_path: Path) -> None:
    found = given_model(scripted_io(tmp_path), None, HERE)
    assert found == Given(folder=str(tmp_path), name="sft-1", engine=HERE)


def test_a_builtin_goes_by_its_name() -> None:
    found = given_model(scripted_io(), "builtin:chain_base", HERE)
    assert found.name == "builtin:chain_base"
    assert Path(found.folder, "config.json").is_file()


@pytest.mark.parametrize(
    ("given", "param", "reason"),
    [
        (None, None, "no model is given as 'judge'"),  # nobody said
        (Path("x"), "y", "two models are given as 'judge'"),  # two say different things
    ],
)
def test_exactly_one_model_is_needed(given: Path | None, param: str | None, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        given_model(scripted_io(given), param, HERE, role="judge")


BEHIND_FLEET = EngineSizes(url=Fleet.url, key_env=Fleet.key_env)


def test_an_artifact_that_a_fleet_runs_keeps_its_tokenizer_and_its_name(tmp_path: Path) -> None:
    fleet = Fleet(model="elsewhere")
    found = given_model(scripted_io(tmp_path, fleet), None, EngineSizes(max_rows=3))
    assert found == Given(folder=str(tmp_path), name="sft-1", engine=BEHIND_FLEET)


def test_a_checkpoint_that_a_fleet_runs_is_where_the_fleet_says(tmp_path: Path) -> None:
    checkpoint = "artifacts/dpo-1/checkpoints/0000000200"
    found = given_model(scripted_io(None, Fleet(model=str(tmp_path))), checkpoint, HERE)
    assert found == Given(folder=str(tmp_path), name=checkpoint, engine=BEHIND_FLEET)


def test_a_fleet_and_a_url_are_two_places() -> None:
    with pytest.raises(BadInput, match=r"engine has a url too. Fix: .* or fleets.judge"):
        given_model(scripted_io(None, Fleet(model="m")), "m", SERVED, role="judge")


@pytest.mark.parametrize(
    ("engine", "fleet", "weights"),
    [
        (HERE, None, True),
        (SERVED, None, False),  # a server has the weights; its client counts tokens
        (HERE, Fleet(model="org/judge@v2"), False),
    ],
)
def test_of_a_hub_model_that_is_served_only_the_tokenizer_is_fetched(
    engine: EngineSizes,
    fleet: Fleet | None,
    weights: bool,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    asked: dict[str, Any] = {}

    def scripted_download(repo: str, **how: Any) -> str:
        asked.update(how, repo=repo)
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", scripted_download)
    found = given_model(scripted_io(None, fleet), "org/judge@v2", engine)
    assert (found.folder, found.name) == (str(tmp_path), "org/judge@v2")
    assert (asked["repo"], asked["revision"]) == ("org/judge", "v2")
    assert ("*.safetensors" in asked["allow_patterns"]) is weights
    assert "*.json" in asked["allow_patterns"]


def test_a_hub_that_cannot_be_reached_is_told_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_network(*_: Any, **__: Any) -> str:
        raise OSError("no route to host")

    monkeypatch.setattr("huggingface_hub.snapshot_download", no_network)
    with pytest.raises(BadInput, match=r"org/judge.*no route to host.*Fix: .*give the folder"):
        given_model(scripted_io(), "org/judge", HERE)
