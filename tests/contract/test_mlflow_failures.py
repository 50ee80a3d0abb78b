"""What is left when the controller is killed, or MLflow is broken, away or rude?"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from jobs.spec.errors import StoreError
from jobs.store.base import ObjectStore
from jobs.store.layout import file_key
from jobs.tracking.mlflow_names import accepted_name
from jobs.tracking.mlflow_session import Session, open_session
from jobs.tracking.records import Checkpoint, File, Metrics
from tests.contract.mlflow_server import MlflowServer, free_port
from tests.contract.tracked_world import DATASETS, T0, World, aliases, points, promotion

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # MLflow's own SQL mappings
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # MLflow keeps SQLite files open
]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


class Dying(BaseException):
    """The controller is killed here."""


class DyingClient:
    """An MLflow client whose process dies right after the n-th change reached the server."""

    CHANGES = ("create_", "set_", "log_", "finalize_", "update_")

    def __init__(self, client: Any, lives: list[int]) -> None:
        self._client = client
        self._lives = lives

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if not name.startswith(self.CHANGES):
            return method

        def call(*args: Any, **kwargs: Any) -> Any:
            result = method(*args, **kwargs)
            self._lives[0] -= 1
            if self._lives[0] == 0:
                raise Dying
            return result

        return call


@pytest.mark.slow
def test_a_kill_after_any_change_neither_loses_nor_doubles_anything(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(database, "killed-everywhere")
    uri = world.checkpoint(40)
    world.stage("sft-1", Checkpoint(uri=uri, step=40, metrics={"loss": 0.5}, time_ms=T0))
    for dataset in DATASETS[:2]:
        identity = {"name": dataset, "digest": "1"}
        record = Metrics(values={"f1": 0.5}, checkpoint=uri, dataset=identity, time_ms=T0)
        world.stage("bench-1", record)
    world.store.create(file_key("report-1", "report.html"), b"<html>")
    world.stage("report-1", File(name="report.html"), Metrics(values={"rows": 9.0}, time_ms=T0))
    world.stage("promote-1", promotion(world, 1, 20), promotion(world, 2, 40))

    lives = [0]
    real = open_session

    def mortal(uri: str, experiment: str) -> Session:
        session = real(uri, experiment)
        return Session(
            client=DyingClient(session.client, lives), experiment_id=session.experiment_id
        )

    monkeypatch.setattr("jobs.tracking.mlflow.open_session", mortal)
    deaths = 0
    while True:
        lives[0] = 1 + deaths % 7  # every change is the last one some time, old or new
        try:
            world.tracker().sync(world.store, world.runs)
            break
        except Dying:
            deaths += 1
        assert deaths < 300
    monkeypatch.setattr("jobs.tracking.mlflow.open_session", real)
    assert world.tracker().sync(world.store, world.runs).waiting == 0
    assert deaths > 20

    assert len(world.all_runs()) == 5
    models = world.models()
    assert set(models) == {uri, world.checkpoint(20)}
    assert points(models[uri]) == [
        ("f1", 0.5, 0, DATASETS[0]),
        ("f1", 0.5, 0, DATASETS[1]),
        ("loss", 0.5, 40, None),
    ]
    assert len(world.run("sft-1").outputs.model_outputs) == 1
    assert set(world.versions(world.name)) == {"1", "2"}
    assert len(world.client.search_model_versions(f"name = '{world.name}'")) == 2
    assert aliases(world) == {"champion": "2", "previous": "1"}
    rows = world.client.get_metric_history(world.run("report-1").info.run_id, "rows")
    assert len(rows) == 1


class ForgetfulStore:
    """A store that dies when a record is to be marked as sent."""

    def __init__(self, inner: ObjectStore) -> None:
        self.url = inner.url
        self.get = inner.get
        self.get_many = inner.get_many
        self.list = inner.list
        self._inner = inner

    def create(self, key: str, data: bytes) -> bool:
        if ".sent." in key:
            raise StoreError("killed between the write and the mark")
        return self._inner.create(key, data)


def test_a_record_that_was_written_but_not_marked_is_not_doubled(database: str) -> None:
    world = World(database, "unmarked")
    uri = world.checkpoint(5)
    world.stage("sft-1", Checkpoint(uri=uri, step=5, metrics={"loss": 0.5}, time_ms=T0))
    for _ in range(3):
        with pytest.raises(StoreError, match="killed between"):
            world.tracker().sync(ForgetfulStore(world.store), world.runs)
    assert world.tracker().sync(world.store, world.runs).sent == 1
    assert points(world.models()[uri]) == [("loss", 0.5, 5, None)]
    assert len(world.run("sft-1").outputs.model_outputs) == 1


def test_records_wait_while_the_server_is_away_and_are_delivered_once(tmp_path: Path) -> None:
    server = MlflowServer(tmp_path)
    world = World(server.uri, "away")
    world.stage("sft-1", Checkpoint(uri=world.checkpoint(5), step=5, metrics={"loss": 0.5}))
    tracker = world.tracker()
    before = tracker.sync(world.store, world.runs)
    assert (before.sent, before.waiting) == (0, 1)
    assert before.problem is not None
    assert "Connection refused" in before.problem
    try:
        server.start()
        assert tracker.sync(world.store, world.runs).sent == 1
        assert tracker.sync(world.store, world.runs).sent == 0
        assert points(world.models()[world.checkpoint(5)]) == [("loss", 0.5, 5, None)]
        assert world.run("sft-1").info.status == "FINISHED"
    finally:
        server.stop()
    world.stage("sft-2", Metrics(values={"loss": 1.0}))
    after = tracker.sync(world.store, world.runs)
    assert (after.sent, after.waiting) == (0, 1)
    assert tracker.finish("FINISHED").problem is not None


def problem(uri: str) -> str:
    world = World(uri, "broken")
    world.stage("sft-1", Metrics(values={"loss": 1.0}))
    report = world.tracker().sync(world.store, world.runs)
    assert (report.sent, report.waiting) == (0, 1)
    assert report.problem is not None
    assert "Fix:" in report.problem
    return report.problem


def broken(folder: Path) -> Sequence[tuple[str, str]]:
    (folder / "text.db").write_text("this is no database" * 99)
    (folder / "file").write_text("")
    closed = free_port()
    return [
        (f"http://user:hunter2@127.0.0.1:{closed}", "Connection refused"),  # nobody there
        (f"postgresql://user:hunter2@127.0.0.1:{closed}/db", "Connection refused"),
        (f"sqlite:///{folder}/text.db", "not a database"),  # not ours
        (f"sqlite:///{folder}/file/mlflow.db", "cannot be written"),  # a file for a folder
        (f"sqlite:///{folder}", "cannot be written"),  # a folder for a file
        ("mlruns", "no tracking uri"),  # MLflow's old way
        ("htp://host", "no tracking uri"),  # a typing error
        ("", "no tracking uri"),  # nothing
    ]


@pytest.mark.parametrize("case", range(8))
def test_a_broken_server_is_a_sentence_with_the_fix_and_without_the_password(
    tmp_path: Path, case: int
) -> None:
    uri, expected = broken(tmp_path)[case]
    said = problem(uri)
    assert expected in said
    assert "hunter2" not in said


def test_a_server_that_failed_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(f"http://127.0.0.1:{free_port()}", "resting")
    world.stage("sft-1", Metrics(values={"loss": 1.0}), status="RUNNING")
    tracker = world.tracker()
    first = tracker.sync(world.store, world.runs)
    monkeypatch.setattr(
        "jobs.tracking.mlflow.open_session", lambda *_: pytest.fail("knocked again")
    )
    assert tracker.sync(world.store, world.runs) == first
    monkeypatch.undo()
    world.stage("sft-1")  # nothing runs any more, so this is the last chance
    assert tracker.sync(world.store, world.runs).problem is not None


def test_mlflow_prints_nothing_and_phones_nobody(tmp_path: Path) -> None:
    code = f"""
from jobs.store.objects import open_store
from jobs.tracking.mlflow import MlflowTracker
from jobs.tracking.tracker import StageRun
run = StageRun(node="a", address="a-1", params={{}}, coordinates={{}}, run="x:Y",
               status="FINISHED", started_ms=1)
t = MlflowTracker(uri="sqlite:///{tmp_path}/m.db", experiment="q", campaign="q", attempt=1,
                  config={{}})
assert t.sync(open_store("memory://"), [run]).problem is None
assert t.finish("FINISHED").problem is None
from mlflow.telemetry.client import get_telemetry_client
assert get_telemetry_client() is None
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.db", "mlflow-artifacts"]


@pytest.mark.parametrize(
    "name", ["processbench/math/f1", "f1@10", "/a//b/../c/", "..", "", "é/ß", "a\nb", "x" * 999]
)
def test_mlflow_takes_every_name_we_make(name: str) -> None:
    from mlflow.utils.validation import _validate_metric_name, _validate_tag_name

    _validate_metric_name(accepted_name(name))
    _validate_tag_name(accepted_name(name))
