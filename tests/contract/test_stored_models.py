"""Does `rprm` find the models that the job system left in its store, under its own key names?"""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.store.artifacts import Artifact
from jobs.store.checkpoints import commit_checkpoint
from jobs.store.commit import Output, commit_output
from jobs.store.objects import open_store
from jobs.tracking import registry
from rprm.errors import BadInput, RprmError
from rprm.finding import find_model
from tests.contract import s3_server


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 4096)
    return folder


@pytest.fixture
def store(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """As the job system leaves it: a sealed artifact with a checkpoint, promoted."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    opened = open_store(str(tmp_path / ".rprm" / "store"))
    artifact = Artifact(opened, "sft-0123456789abcdef")
    artifact.prepare({"stage": "sft", "params": {"template": "chain_direct"}})
    resume = tmp_path / "resume"
    resume.mkdir()
    (resume / "state").write_text("x")
    uri = commit_checkpoint(artifact, 200, model, resume, {}, {})
    registry.append(opened, "r-prm", {"promoted": True, "checkpoint": uri})
    registry.append(opened, "r-prm", {"promoted": False, "checkpoint": "elsewhere"})
    return opened.url


def seal(url: str, address: str, model: Path, options: dict[str, str] | None = None) -> None:
    artifact = Artifact(open_store(url, options), address)
    if not artifact.store.exists(f"artifacts/{address}/spec.json"):
        artifact.prepare({"stage": "sft", "params": {"template": "chain_direct"}})
    commit_output(artifact, 0, "a1", Output(files={"model": model}))
    artifact.seal(1)


def test_an_unfinished_artifact_names_its_checkpoints(store: str) -> None:
    with pytest.raises(BadInput, match=r"is not finished.*committed steps: 200"):
        find_model(f"{store}/artifacts/sft-0123456789abcdef")
    with pytest.raises(BadInput, match=r"no committed checkpoint of step 100.*steps: 200"):
        find_model(f"{store}/artifacts/sft-0123456789abcdef/checkpoints/100")


def test_a_stage_names_its_newest_sealed_model(store: str, model: Path) -> None:
    with pytest.raises(BadInput, match="no model is called 'sft'"):
        find_model("sft")
    seal(store, "sft-0123456789abcdef", model)
    assert find_model("sft").name == "sft-0123456789abcdef"
    seal(store, "sft-fedcba9876543210", model)
    found = find_model("sft", store=store)
    assert found.name == "sft-fedcba9876543210"
    assert found.note == "the newest of 2; also sft-0123456789abcdef"
    assert find_model("sft-0123").name == "sft-0123456789abcdef"
    assert (find_model(f"{store}/artifacts/sft-0123456789abcdef").folder / "config.json").is_file()
    with pytest.raises(BadInput, match=r"did you mean 'sft'\?"):
        find_model("stf")


@pytest.mark.parametrize(
    "name",
    [
        ".rprm/store/artifacts/sft-0123456789abcdef/checkpoints/0000000200",
        "{url}/artifacts/sft-0123456789abcdef/checkpoints/0000000200",  # the uri MLflow shows
        ".rprm/store/artifacts/sft-0123456789abcdef/checkpoints/200/weights",
        "models:/r-prm@champion",
    ],
)
def test_a_checkpoint_is_found_where_the_job_system_left_it(
    store: str, model: Path, name: str
) -> None:
    found = find_model(name.format(url=store))
    assert (found.folder / "model.safetensors").read_bytes() == (
        model / "model.safetensors"
    ).read_bytes()
    assert found.template == "chain_direct"


def test_a_model_on_s3_is_fetched_once_and_whole(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = s3_server.find_server()
    if binary is None:
        pytest.skip(s3_server.ABSENT)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, value in s3_server.KEYS.items():
        monkeypatch.setenv(name, value)
    with s3_server.serve(binary, tmp_path) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        url = f"s3://{s3_server.BUCKET}/rprm"
        seal(url, "sft-1", model, {"endpoint": endpoint})
        found = find_model("sft", store=url)
        assert found.template == "chain_direct"
        assert found.folder.is_relative_to(tmp_path / "cache")
        for file in model.iterdir():
            assert (found.folder / file.name).read_bytes() == file.read_bytes()
        assert find_model(f"{url}/artifacts/sft-1").folder == found.folder
        with pytest.raises(BadInput, match="has no artifact sft-2"):
            find_model(f"{url}/artifacts/sft-2")
    with pytest.raises(RprmError, match=r"Could not read s3://.*Fix: check the url"):
        find_model(f"{url}/artifacts/sft-1")
