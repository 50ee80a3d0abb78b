"""Does Prometheus hear all that is told of fleets and stages, and nothing that is not known?"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from jobs.backends.base import ArrayStatus
from jobs.fleet.told import Told
from jobs.plan.decide import StageState
from jobs.plan.shards import ShardPlan
from jobs.runtime.controller import Snapshot
from jobs.runtime.metrics import LABELS, REPLICA_STATES, CampaignCollector, stages_of
from tests.unit.jobs.told import HOSTILE, JUDGE, NOW_S, TOLD, tolds

Samples = dict[tuple[str, tuple[str, ...]], float]


def scraped(told: Told | None = None, snapshot: Snapshot | None = None) -> Samples:
    """What Prometheus reads: names and values of labels to values."""
    registry = CollectorRegistry()
    registry.register(
        CampaignCollector(told=lambda: told, stages=lambda: stages_of(snapshot or Snapshot()))
    )
    text = generate_latest(registry).decode()
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


SNAPSHOT = Snapshot(
    states=[
        StageState(name="seed", address="seed-1"),
        StageState(name="judge", address="judge-1", num_shards=4, done=frozenset({0})),
        StageState(name="later", address="later-1"),
    ],
    work={"judge-1": ArrayStatus(held=frozenset(), failed=[], running={0: "a", 1: "b"})},
    outcomes={"seed": "reused"},
    plans={"judge": ShardPlan(num_rows=100, num_shards=4)},
)


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("rprm_fleet_replicas", ("judge", "ready"), 2),
        ("rprm_fleet_replicas", ("judge", "draining"), 0),  # series do not come and go
        ("rprm_fleet_replicas", ("policy[rows=500]", "ready"), 0),
        ("rprm_fleet_wanted_replicas", ("judge",), 3),
        ("rprm_fleet_rows_left", ("judge",), 4120),
        ("rprm_fleet_tokens_per_second", ("judge",), 5000),
        ("rprm_fleet_cold_start_seconds", ("judge",), 58),
        ("rprm_fleet_starts_total", ("judge",), 4),
        ("rprm_fleet_failed_starts_total", ("judge",), 1),
        ("rprm_fleet_lost_total", ("judge",), 1),
        ("rprm_replica_running", ("judge", "judge-0"), 120),
        ("rprm_replica_waiting", ("judge", "judge-0"), 23),
        ("rprm_replica_kv_use_ratio", ("judge", "judge-0"), 0.634),
        ("rprm_replica_tokens_per_second", ("judge", "judge-0"), 4812.4),
        ("rprm_replica_prefix_cache_hit_ratio", ("judge", "judge-0"), 0.917),
        ("rprm_replica_preemptions_total", ("judge", "judge-0"), 2),
        ("rprm_stage_shards", ("judge", "done"), 1),
        ("rprm_stage_shards", ("judge", "running"), 1),  # a late twin of a done shard is not
        ("rprm_stage_shards", ("judge", "left"), 2),
        ("rprm_stage_rows_left", ("judge",), 75),
        ("rprm_stage_rows_left", ("seed",), 0),  # it was found done
    ],
)
def test_what_is_known_is_told(name: str, labels: tuple[str, ...], value: float) -> None:
    assert scraped(TOLD, SNAPSHOT)[name, labels] == value


def test_what_is_not_known_has_no_sample() -> None:
    found = scraped(TOLD, SNAPSHOT)
    assert ("rprm_replica_running", ("judge", "judge-2")) not in found
    assert ("rprm_fleet_cold_start_seconds", ("policy[rows=500]",)) not in found
    assert ("rprm_stage_rows_left", ("later",)) not in found
    assert scraped() == {}


def test_names_and_labels_are_those_that_are_declared() -> None:
    collector = CampaignCollector(told=lambda: TOLD, stages=lambda: stages_of(SNAPSHOT))
    for family in collector.collect():
        assert family.samples
        assert all(set(one.labels) == set(LABELS[family.name]) for one in family.samples)


@given(tolds)
def test_whatever_is_told_can_be_read(told: Told) -> None:
    unique = {fleet.name: fleet for fleet in told.fleets}
    fleets = tuple(
        replace(one, replicas=tuple({of.name: of for of in one.replicas}.values()))
        for one in unique.values()
    )
    found = scraped(replace(told, fleets=fleets))
    for fleet in fleets:
        states = {of.state for of in fleet.replicas} | set(REPLICA_STATES)
        counted = [found["rprm_fleet_replicas", (fleet.name, state)] for state in states]
        assert sum(counted) == len(fleet.replicas)


def test_a_hostile_name_is_one_label() -> None:
    told = Told(at=NOW_S, pid=1, fleets=(replace(JUDGE, name=HOSTILE),))
    assert scraped(told)["rprm_fleet_wanted_replicas", (HOSTILE,)] == 3
