"""Does the controller lose nothing when the store fails, fills up or is damaged?

Real stages on a fake backend and a store in memory: no processes, no sleeps.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jobs.runtime.observing import Observer
from jobs.runtime.retrying import retry_failures
from jobs.runtime.worker import work
from jobs.spec.errors import StorageFull, StoreError
from jobs.store import layout
from jobs.store.artifacts import Artifact
from tests.contract.controlled import World


class Faulty:
    """A store of which one verb fails for a while, for some keys."""

    def __init__(self, inner: object, verb: str, part: str, times: int, error: StoreError) -> None:
        self._inner, self._verb, self._part, self._error = inner, verb, part, error
        self.left = times

    def __getattr__(self, name: str) -> object:
        found = getattr(self._inner, name)
        if name != self._verb:
            return found

        def fail_or_do(key: str, *args: object, **kwargs: object) -> object:
            if self._part in key and self.left > 0:
                self.left -= 1
                raise self._error
            call: Callable[..., object] = found
            return call(key, *args, **kwargs)

        return fail_or_do


FULL = StorageFull("Could not write the store: no space left.", fix="free space there")
DENIED = StoreError("Could not list the store: Permission denied.", fix="give access")

FAULTS = [
    ("create", "spec.json", FULL),  # preparing a stage
    ("create", "seal.json", FULL),  # sealing it
    ("names", "shards", DENIED),  # looking at what is done
    ("get", "seal.json", DENIED),  # looking for seals
    ("exists", "cancel", DENIED),  # looking for a request to stop
]


@pytest.mark.parametrize(("verb", "part", "error"), FAULTS)
def test_a_store_that_fails_for_a_moment_costs_nothing(
    world: World, verb: str, part: str, error: StoreError
) -> None:
    world.store = Faulty(world.store, verb, part, 2, error)  # type: ignore[assignment]
    outcome = world.run()
    assert outcome.succeeded
    assert len(world.told("store_trouble")) == 2


@pytest.mark.parametrize(("verb", "part", "error"), FAULTS)
def test_a_store_that_keeps_failing_is_given_up_with_its_message_and_nothing_is_lost(
    world: World, verb: str, part: str, error: StoreError
) -> None:
    faulty = Faulty(world.store, verb, part, 10**6, error)
    world.store = faulty  # type: ignore[assignment]
    outcome = world.run()
    assert not outcome.succeeded
    assert not outcome.drained
    assert str(error) in outcome.problem
    assert "5 tries" in outcome.problem
    faulty.left = 0
    assert world.run().succeeded
    assert world.rows("total") == [132]


def test_a_full_disk_under_a_worker_is_a_failed_attempt_that_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise FULL

    with monkeypatch.context() as patch:
        patch.setattr("jobs.runtime.worker.commit_output", full)
        outcome = world.run()
    assert outcome.stages["numbers"] == "failed"
    entries = world.store.list(layout.shards_prefix(world.session.by_name["numbers"].address))
    said = [world.store.get(entry.key) for entry in entries if ".failed." in entry.key]
    assert any(b"no space left" in text for text in said)
    retry_failures(world.session, world.session.stages)
    assert world.run().succeeded


def test_a_failure_that_cannot_be_noted_still_counts(world: World) -> None:
    faulty = Faulty(world.store, "create", ".failed.", 10**6, FULL)
    world.store = faulty  # type: ignore[assignment]
    outcome = world.run({("twice", 0): [1] * 4})
    assert outcome.stages["twice"] == "failed"
    assert len(world.told("failure_not_recorded")) == 4


def damage(world: World, node: str, shard: int) -> None:
    """Cut the data file of a committed shard short."""
    artifact = Artifact(world.store, world.session.by_name[node].address)
    (record,) = artifact.records([shard])
    world.store.put(layout.data_key(artifact.address, shard, record.attempt), b"torn")


def test_a_shard_damaged_before_the_seal_runs_again(world: World) -> None:
    backend = world.backend()
    controller = world.controller(backend)
    controller.tick()
    for _ in range(4):
        backend.wait(0.01)
    damage(world, "numbers", 2)
    assert controller.run().succeeded
    (told,) = world.told("shard_damaged")
    assert (told["stage"], tuple(told["shards"])) == ("numbers", (2,))
    assert backend.num_attempts == 4 + 1 + 3 + 1 + 1
    assert world.rows("total") == [132]


def test_a_shard_that_is_damaged_every_time_is_not_made_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def commit_and_tear(task: object) -> int:
        code = work(task)  # type: ignore[arg-type]
        if getattr(task, "node", "") == "numbers":
            damage(world, "numbers", getattr(task, "shard", 0))
        return code

    backend = world.backend()
    monkeypatch.setattr(backend, "_entry", commit_and_tear)
    outcome = world.controller(backend).run()
    assert "is damaged" in outcome.problem


def test_a_forgotten_shard_is_counted_once_again(world: World) -> None:
    world.run()
    observer = Observer(world.store, world.session.stages)
    stage = world.session.by_name["total"]
    Artifact(world.store, stage.address).unseal()
    state = observer.observe({})[2]
    assert state.num_rows == 1
    Artifact(world.store, stage.address).forget([0])
    assert observer.observe({})[2].num_rows == 0
