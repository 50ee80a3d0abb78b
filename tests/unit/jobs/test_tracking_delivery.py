"""In which order, under which names and at which times do records reach MLflow?"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.store.objects import open_store
from jobs.tracking import outbox
from jobs.tracking.mlflow import FINISHED_MARK, MlflowTracker, tracker_for
from jobs.tracking.mlflow_delivery import MAX_RECORDS, deliveries
from jobs.tracking.mlflow_models import Point, dataset_of, free_time, model_name
from jobs.tracking.mlflow_names import accepted_name, accepted_values
from jobs.tracking.mlflow_promotion import outranks
from jobs.tracking.mlflow_runs import MAX_PARAMS, drift, flat_params
from jobs.tracking.mlflow_session import lent_environment
from jobs.tracking.outbox import Waiting
from jobs.tracking.records import Checkpoint, File, Metrics, Promotion, Record, key
from jobs.tracking.sinks import sink_of
from jobs.tracking.tracker import NullTracker, StageRun, SyncReport


def wait(*records: Record) -> list[Waiting]:
    return [Waiting(key=key(record), record=record) for record in records]


def order(waiting: Mapping[str, list[Waiting]]) -> list[tuple[str, list[Record]]]:
    return [(d.address, [item.record for item in d.waiting]) for d in deliveries(waiting)]


def test_checkpoints_of_every_stage_come_before_the_metrics_that_name_them() -> None:
    measured = Metrics(values={"f1": 1.0}, checkpoint="u")
    checkpoint = Checkpoint(uri="u", step=1)
    assert order({"bench": wait(measured), "sft": wait(checkpoint)}) == [
        ("sft", [checkpoint]),
        ("bench", [measured]),
    ]


def test_decisions_are_applied_in_the_order_of_their_ledger_across_stages() -> None:
    second, first = (Promotion(model="m", sequence=n, decision={}) for n in (2, 1))
    other = Promotion(model="a", sequence=7, decision={})
    ordered = order({"promote-a": wait(second, other), "promote-b": wait(first)})
    assert [record for _, (record,) in ordered] == [other, first, second]


def test_metrics_of_the_run_share_calls_and_metrics_of_models_do_not() -> None:
    plain = [Metrics(values={"loss": 1.0}, step=n) for n in range(MAX_RECORDS + 1)]
    measured = [Metrics(values={"f1": 1.0}, step=n, checkpoint="u") for n in range(2)]
    sizes = [len(records) for _, records in order({"sft": wait(*plain, *measured)})]
    assert sorted(sizes) == [1, 1, 1, MAX_RECORDS]


@given(st.lists(st.sampled_from("cmfp")), st.randoms())
def test_nothing_is_lost_or_doubled_by_ordering(kinds: list[str], random: object) -> None:
    made: dict[str, Record] = {
        "c": Checkpoint(uri="u", step=1),
        "m": Metrics(values={}),
        "f": File(name="x"),
        "p": Promotion(model="m", sequence=1, decision={}),
    }
    waiting = {f"stage-{n}": wait(made[kind]) for n, kind in enumerate(kinds)}
    delivered = order(waiting)
    assert sorted(address for address, _ in delivered) == sorted(waiting)


def point(value: float = 0.5, *, dataset: str = "math", name: str = "f1") -> Point:
    return Point(name=name, value=value, step=1, run_id="r", dataset=(dataset, "d"))


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        ({}, 100),  # nothing there
        ({100: [point()]}, 100),  # itself, from an earlier delivery
        ({100: [point(name="other")]}, 100),  # another metric takes no place
        ({100: [point(dataset="gsm8k")]}, 101),  # the same name on other data
        ({100: [point(dataset="a")], 101: [point(dataset="b")]}, 102),  # and again
        ({100: [point(dataset="a")], 101: [point()]}, 101),  # itself, moved by an earlier delivery
    ],
)
def test_a_metric_takes_the_first_free_millisecond(
    held: Mapping[int, list[Point]], expected: int
) -> None:
    assert free_time(held, [point()], 100) == expected


@given(st.lists(st.sampled_from("abcdef"), unique=True, min_size=1), st.integers(0, 5))
def test_datasets_measured_in_one_millisecond_all_find_a_place_and_keep_it(
    datasets: list[str], crashed_after: int
) -> None:
    held: dict[int, list[Point]] = {}
    places: dict[str, int] = {}
    for name in [*datasets[:crashed_after], *datasets]:
        mine = point(dataset=name)
        time_ms = free_time(held, [mine], 100)
        assert places.setdefault(name, time_ms) == time_ms
        if mine not in held.setdefault(time_ms, []):
            held[time_ms].append(mine)
    assert sorted(places.values()) == list(range(100, 100 + len(datasets)))


@pytest.mark.parametrize(
    ("name", "accepted"),
    [
        ("processbench/math/f1", "processbench/math/f1"),  # good as it is
        ("f1@10", "f1_10"),  # a refused character
        ("/a//b/../c/", "a/c"),  # no path MLflow would take
        ("..", "_"),  # nothing left of it
        ("", "_"),  # nothing to begin with
        ("x" * 999, "x" * 200),  # too long
    ],
)
def test_an_odd_name_becomes_one_mlflow_takes(name: str, accepted: str) -> None:
    assert accepted_name(name) == accepted


@given(st.dictionaries(st.text(max_size=8), st.floats(allow_nan=False)))
def test_no_value_is_lost_when_odd_names_become_equal(values: dict[str, float]) -> None:
    assert sorted(accepted_values(values).values()) == sorted(values.values())


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("s3://b/artifacts/sft-1f/checkpoints/0000000040", "sft-1f-step-40"),  # a checkpoint
        ("/w/artifacts/sft-1f/files/model", "sft-1f-files-model"),  # a published model
        ("hf://Qwen/Qwen2.5-7B", "hf-Qwen-Qwen2-5-7B"),  # a model from elsewhere
        ("'%:", "model"),  # nothing MLflow takes
    ],
)
def test_a_model_is_named_after_what_made_it(uri: str, name: str) -> None:
    assert model_name(uri) == name


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"rprm.ledger": "s", "rprm.sequence": "3"}, True),  # a later decision was applied first
        ({"rprm.ledger": "s", "rprm.sequence": "1"}, False),  # an earlier one makes way
        ({"rprm.ledger": "t", "rprm.sequence": "9"}, False),  # another ledger does not compare
        ({}, False),  # set by a person
    ],
)
def test_a_late_decision_does_not_unseat_a_newer_champion(
    tags: Mapping[str, str], expected: bool
) -> None:
    assert outranks(tags, ledger="s", sequence=2) is expected


def test_digests_are_cut_to_the_width_of_mlflows_column() -> None:
    record = Metrics(values={}, dataset={"name": "math", "digest": "f" * 64})
    assert dataset_of(record) == ("math", "f" * 36)
    assert dataset_of(Metrics(values={}, dataset={"name": "math"})) == ("math", "unknown")


def stage(**changes: object) -> StageRun:
    fields: dict[str, object] = {
        "node": "sft[seed=1]",
        "address": "sft-1f",
        "params": {"lr": 1e-3, "optim": {"name": "adamw", "betas": [0.9, 0.99]}, "seed": 1},
        "coordinates": {"seed": 1},
        "run": "rprm.stages.sft:Sft",
        "status": "FINISHED",
        "started_ms": 1,
    }
    return StageRun(**{**fields, **changes})  # type: ignore[arg-type]


def test_params_are_flat_text_with_the_coordinates_first() -> None:
    assert list(flat_params(stage()).items()) == [
        ("seed", "1"),
        ("lr", "0.001"),
        ("optim.name", "adamw"),
        ("optim.betas", "[0.9, 0.99]"),
    ]


def test_a_long_list_of_params_is_cut() -> None:
    many = {f"p{n}": "x" * 9999 for n in range(99)}
    flat = flat_params(stage(params=many))
    assert len(flat) == MAX_PARAMS
    assert max(len(value) for value in flat.values()) <= 500


def test_only_what_differs_is_drift() -> None:
    assert drift({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"}) == {"b": "3"}


def test_tracking_is_off_when_the_uri_says_none() -> None:
    made = tracker_for("none", experiment="q", campaign="q", attempt=1, config={})
    assert isinstance(made, NullTracker)


def test_a_finished_campaign_is_left_alone_without_a_look_at_the_server() -> None:
    uri = "http://127.0.0.1:9"  # nobody answers there
    store = open_store("memory://")
    outbox.append(store, "sft-1f", record := File(name="report.html"))
    for name in (key(record), FINISHED_MARK):
        outbox.mark_sent(store, "sft-1f", name, sink_of(uri, "q"))
    tracker = MlflowTracker(uri=uri, experiment="q", campaign="q", attempt=1, config={})
    assert tracker.sync(store, [stage(reused=True)]) == SyncReport()
    assert tracker.finish("FINISHED") == SyncReport()


def test_importing_the_tracker_does_not_import_mlflow() -> None:
    code = "import sys, jobs.tracking.mlflow; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_environment_is_only_lent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    before = dict(os.environ)
    with lent_environment("http://a"):
        assert os.environ["MLFLOW_TRACKING_URI"] == "http://a"
        assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"  # a person's choice stands
    assert dict(os.environ) == before
