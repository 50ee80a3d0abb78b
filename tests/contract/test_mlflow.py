"""Does what a campaign tracks arrive in MLflow once, on SQLite and over HTTP alike?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.store.layout import file_key
from jobs.tracking.mlflow_names import accepted_name
from jobs.tracking.records import Checkpoint, File, Metrics, Promotion
from jobs.tracking.tracker import Status
from tests.contract.mlflow_server import MlflowServer
from tests.contract.tracked_world import DATASETS, T0, World, aliases, points, promotion

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # MLflow's own SQL mappings
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # MLflow keeps SQLite files open
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    running = MlflowServer(tmp_path_factory.mktemp("mlflow-server"))
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'deep' / 'mlflow.db'}"


@pytest.fixture(params=["sqlite", "http"])
def uri(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return str(request.getfixturevalue("database"))
    return str(request.getfixturevalue("server").uri)


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy test machine may be slower than a server we would give up on."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # our own downloads


@pytest.fixture
def world(uri: str, request: pytest.FixtureRequest) -> World:
    return World(uri, accepted_name(request.node.name))


def test_a_stage_becomes_a_run_below_its_attempt(world: World) -> None:
    world.stage("sft-1", *(Metrics(values={"loss": 1 / n}, step=n) for n in range(1, 6)))
    tracker = world.tracker()
    assert tracker.sync(world.store, world.runs).sent == 5
    tracker.finish("FINISHED")

    (parent,) = world.parents().values()
    run = world.run("sft-1")
    assert (parent.info.status, run.info.status) == ("FINISHED", "FINISHED")
    assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert run.data.params == {"seed": "1", "lr": "0.001", "optim.name": "adamw"}
    assert (run.info.start_time, run.info.end_time) == (T0, T0 + 5000)
    assert json.loads(world.text("sft-1", "stage.json"))["params"]["optim"] == {"name": "adamw"}
    history = world.client.get_metric_history(run.info.run_id, "loss")
    assert [(m.step, m.value) for m in history] == [(n, 1 / n) for n in range(1, 6)]


def test_the_resolved_campaign_is_an_artifact_of_the_attempt(world: World) -> None:
    world.stage("sft-1")
    world.tracker().sync(world.store, world.runs)
    (parent,) = world.parents().values()
    path = world.client.download_artifacts(parent.info.run_id, "campaign.json")
    assert json.loads(Path(path).read_text()) == {"metadata": {"name": world.name}}


def test_two_checkpoints_that_share_a_step_are_two_models_with_their_own_metrics(
    world: World,
) -> None:
    uris = [world.checkpoint(40, address) for address in ("sft-1", "sft-2")]
    for address, uri, loss in zip(("sft-1", "sft-2"), uris, (0.5, 0.7), strict=True):
        facts = {"config_sha256": "c" * 64, "template_sha256": "t" * 64}
        made = Checkpoint(uri=uri, step=40, metrics={"val/loss": loss}, facts=facts, time_ms=T0)
        world.stage(address, made)
    world.tracker().sync(world.store, world.runs)

    models = world.models()
    assert {uri: points(models[uri]) for uri in uris} == {
        uris[0]: [("val/loss", 0.5, 40, None)],
        uris[1]: [("val/loss", 0.7, 40, None)],
    }
    model = models[uris[0]]
    assert str(model.status) == "READY"
    assert model.source_run_id == world.run("sft-1").info.run_id
    assert model.tags["rprm.template_sha256"] == "t" * 64
    assert model.tags["rprm.step"] == "40"
    outputs = world.run("sft-1").outputs.model_outputs
    assert [(o.model_id, o.step) for o in outputs] == [(model.model_id, 40)]


@pytest.mark.parametrize("names", ["per benchmark", "all alike"])
def test_metrics_of_four_datasets_in_one_millisecond_all_reach_the_model(
    world: World, names: str
) -> None:
    uri = world.checkpoint(40)
    world.stage("sft-1", Checkpoint(uri=uri, step=40, time_ms=T0))
    for n, dataset in enumerate(DATASETS):
        name = f"processbench/{dataset}/f1" if names == "per benchmark" else "f1"
        identity = {"name": dataset, "digest": "d" * 64}
        values = {name: n / 10}
        record = Metrics(values=values, checkpoint=uri, dataset=identity, time_ms=T0 + 1)
        world.stage("bench-1", record)
    assert world.tracker().sync(world.store, world.runs).problem is None

    model = world.models()[uri]
    assert sorted((value, dataset) for _, value, _, dataset in points(model)) == [
        (n / 10, dataset) for n, dataset in enumerate(DATASETS)
    ]
    inputs = world.run("bench-1").inputs
    assert {item.model_id for item in inputs.model_inputs} == {model.model_id}
    assert {item.dataset.name for item in inputs.dataset_inputs} == set(DATASETS)
    on_omnimath = [{"dataset_name": "omnimath", "dataset_digest": "d" * 36}]
    (best,) = world.client.search_logged_models([world.experiment_id], datasets=on_omnimath)
    assert best.model_id == model.model_id


def test_a_late_record_keeps_the_time_it_was_made(world: World) -> None:
    world.stage("sft-1", Metrics(values={"loss": 1.0}, step=1, time_ms=T0 + 123))
    world.tracker().sync(world.store, world.runs)
    (metric,) = world.client.get_metric_history(world.run("sft-1").info.run_id, "loss")
    assert metric.timestamp == T0 + 123


def test_a_published_model_is_made_on_demand_and_belongs_to_the_run_that_made_it(
    world: World,
) -> None:
    uri = f"{world.store.url}/artifacts/sft-1/files/model"
    world.stage("sft-1")
    world.tracker().sync(world.store, world.runs)
    world.stage("bench-1", Metrics(values={"f1": 0.5}, checkpoint=uri, time_ms=T0))
    world.tracker().sync(world.store, world.runs)
    model = world.models()[uri]
    assert str(model.status) == "READY"
    assert model.source_run_id == world.run("sft-1").info.run_id
    assert points(model) == [("f1", 0.5, 0, None)]


def test_a_published_report_is_an_artifact_and_a_link(world: World) -> None:
    for name in ("report.html", "plots/a.txt", "plots/b.txt"):
        world.store.create(file_key("report-1", name), name.encode())
    world.stage("report-1", File(name="report.html"), File(name="plots"))
    world.tracker().sync(world.store, world.runs)
    assert world.text("report-1", "report.html") == "report.html"
    assert world.text("report-1", "plots/b.txt") == "plots/b.txt"
    link = f"{world.store.url}/{file_key('report-1', 'report.html')}"
    (parent,) = world.parents().values()
    assert world.run("report-1").data.tags["rprm.file.report.html"] == link
    assert parent.data.tags["rprm.file.report.html"] == link


def test_a_large_file_is_only_linked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.tracking.mlflow_delivery.MAX_FILE_BYTES", 10)
    world.store.create(file_key("report-1", "big.bin"), b"x" * 11)
    world.stage("report-1", File(name="big.bin"))
    assert world.tracker().sync(world.store, world.runs).sent == 1
    run = world.run("report-1")
    assert "rprm.file.big.bin" in run.data.tags
    assert [a.path for a in world.client.list_artifacts(run.info.run_id)] == ["stage.json"]


def test_a_promotion_moves_the_alias_and_leaves_an_audit_record(world: World) -> None:
    world.stage("sft-1", *(Checkpoint(uri=world.checkpoint(n), step=n) for n in (10, 20)))
    world.stage("promote-1", promotion(world, 1, 10))
    world.tracker().sync(world.store, world.runs)
    assert aliases(world) == {"champion": "1"}
    world.stage("promote-2", promotion(world, 2, 20), promotion(world, 3, 10, promoted=False))
    world.tracker().sync(world.store, world.runs)

    assert aliases(world) == {"champion": "2", "previous": "1"}
    version = world.versions(world.name)["2"]
    model = world.models()[world.checkpoint(20)]
    assert version.source == f"models:/{model.model_id}"
    assert version.run_id == world.run("sft-1").info.run_id
    assert version.tags["rprm.from_version"] == "1"
    assert version.tags["rprm.checkpoint"] == world.checkpoint(20)
    (link,) = json.loads(model.tags["mlflow.modelVersions"])
    assert (link["name"], str(link["version"])) == (world.name, "2")
    audit = json.loads(world.text("promote-2", f"promotion/{world.name}-00000002.json"))
    assert audit["decision"]["rule"] == {"delta": 0.01}
    kept = json.loads(world.text("promote-2", f"promotion/{world.name}-00000003.json"))
    assert kept["decision"]["promoted"] is False
    assert set(world.versions(world.name)) == {"1", "2"}


def test_decisions_of_one_ledger_are_applied_in_their_order_whatever_stage_holds_them(
    world: World,
) -> None:
    world.stage("promote-2", promotion(world, 2, 20))
    world.stage("promote-1", promotion(world, 1, 10))
    world.tracker().sync(world.store, world.runs)
    assert aliases(world) == {"champion": "2", "previous": "1"}
    assert world.versions(world.name)["2"].version in (2, "2")


def test_a_decision_that_arrives_late_does_not_unseat_a_newer_champion(world: World) -> None:
    world.stage("promote-2", promotion(world, 2, 20))
    world.tracker().sync(world.store, world.runs)
    world.stage("promote-1", promotion(world, 1, 10))
    world.tracker().sync(world.store, world.runs)
    newest = str(world.versions(world.name)["2"].version)
    assert aliases(world)["champion"] == newest


def test_a_restarted_controller_goes_on_with_the_same_run_under_its_own_attempt(
    world: World,
) -> None:
    world.stage("sft-1", Metrics(values={"loss": 1.0}, step=1), status="RUNNING")
    world.stage("gone-1", status="RUNNING")
    world.tracker("1").sync(world.store, world.runs)  # and is killed
    assert world.run("sft-1").info.status == "RUNNING"

    world.runs = []
    world.stage("sft-1", Metrics(values={"loss": 0.5}, step=2), status="RUNNING")
    second = world.tracker("2")
    second.sync(world.store, world.runs)
    world.stage("sft-1")
    second.sync(world.store, world.runs)
    second.finish("FINISHED")

    run = world.run("sft-1")
    history = world.client.get_metric_history(run.info.run_id, "loss")
    assert [metric.step for metric in history] == [1, 2]
    assert run.info.status == "FINISHED"
    statuses = {attempt: p.info.status for attempt, p in world.parents().items()}
    assert statuses == {"1": "KILLED", "2": "FINISHED"}
    assert world.run("gone-1").info.status == "KILLED"


def test_a_failed_stage_that_is_tried_again_runs_and_finishes_again(world: World) -> None:
    statuses: list[Status] = ["RUNNING", "FAILED", "RUNNING", "FAILED", "RUNNING", "FINISHED"]
    seen = []
    tracker = world.tracker()
    for n, status in enumerate(statuses):
        world.stage("sft-1", status=status)
        if n == 3:
            tracker = world.tracker("2")
        tracker.sync(world.store, world.runs)
        seen.append(world.run("sft-1").info.status)
    assert seen == statuses


def test_a_stage_that_still_runs_when_the_attempt_ends_is_marked_killed(world: World) -> None:
    world.stage("sft-1", status="RUNNING")
    tracker = world.tracker()
    tracker.sync(world.store, world.runs)
    assert tracker.finish("KILLED").problem is None
    assert world.run("sft-1").info.status == "KILLED"
    assert world.parents()["1"].info.status == "KILLED"


def test_params_never_change_and_what_drifted_is_a_tag(world: World) -> None:
    world.stage("sft-1", status="RUNNING")
    world.tracker("1").sync(world.store, world.runs)
    changed = replace(world.runs[0], coordinates={"seed": 2}, status="FINISHED")
    world.tracker("2").sync(world.store, [changed])
    run = world.run("sft-1")
    assert run.data.params["seed"] == "1"
    assert run.data.tags["attempt.2.seed"] == "2"


def test_a_reused_artifact_is_delivered_to_the_other_campaign_too(uri: str, world: World) -> None:
    record = Checkpoint(uri=world.checkpoint(5), step=5, metrics={"loss": 0.5}, time_ms=T0)
    world.stage("sft-1", record)
    assert world.tracker().sync(world.store, world.runs).sent == 1
    assert world.tracker("2").sync(world.store, world.runs).sent == 0

    other = World(uri, f"{world.name}-other", world.store)
    other.runs = world.runs
    assert other.tracker().sync(other.store, other.runs).sent == 1
    assert points(other.models()[other.checkpoint(5)]) == [("loss", 0.5, 5, None)]
    assert points(world.models()[world.checkpoint(5)]) == [("loss", 0.5, 5, None)]


def test_a_record_mlflow_refuses_waits_and_holds_up_no_other(world: World) -> None:
    nameless = Promotion(model="no/such:name", sequence=1, decision={"promoted": True}, time_ms=T0)
    world.stage("promote-1", nameless, promotion(world, 1, 10))
    world.stage("sft-1", Metrics(values={"loss@1": 1.0}, time_ms=T0))
    report = world.tracker().sync(world.store, world.runs)
    assert (report.sent, report.waiting) == (2, 1)
    assert report.problem is not None
    assert aliases(world) == {"champion": "1"}
    assert world.run("sft-1").data.metrics == {"loss_1": 1.0}
