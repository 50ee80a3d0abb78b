"""Does the controller bring a campaign to its end, whatever fails on the way?

Real stages on a fake backend and a store in memory: no processes, no sleeps.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs.runtime import patience
from jobs.runtime.observing import Observer
from jobs.runtime.retrying import request_cancel, retry_errors, retry_failures
from jobs.runtime.worker import work
from jobs.spec.errors import StorageFull, StoreError
from jobs.store import layout
from jobs.store.artifacts import Artifact
from tests.contract.controlled import World

CHAIN = """
  stages:
    - {name: numbers, run: "tests.toy.stages:Numbers", params: {rows: 12}, shards: 4}
    - {name: twice, run: "tests.toy.stages:Trouble", params: {folder: ".", scale: 2},
       inputs: {rows: numbers}, shards: 3}
    - {name: total, run: "tests.toy.stages:Sum", inputs: {numbers: twice}}
    - {name: aside, run: "tests.toy.stages:Sum", inputs: {numbers: numbers}, params: {offset: 1}}
"""

ALL_SEALED = dict.fromkeys(["numbers", "twice", "total", "aside"], "sealed")
ALL_REUSED = dict.fromkeys(ALL_SEALED, "reused")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The entry sets a handler for SIGTERM, which must not outlive the test."""
    monkeypatch.setattr(patience, "PAUSE_S", 0.0)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


MakeWorld = Callable[[str], World]


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[MakeWorld]:
    made: list[World] = []

    def make(body: str) -> World:
        made.append(World(tmp_path / str(len(made)), body))
        return made[-1]

    yield make
    for world in made:
        world.log.close()


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world(CHAIN)


def test_a_campaign_runs_to_its_end(world: World) -> None:
    outcome = world.run()
    assert outcome.succeeded
    assert outcome.stages == ALL_SEALED
    assert world.rows("twice") == [2 * row for row in range(12)]
    assert world.rows("total") == [132]
    assert world.rows("aside") == [67]
    assert world.seal("numbers").facts == {"rows": 12}


def test_running_a_finished_campaign_again_does_nothing(world: World) -> None:
    world.run()
    backend = world.backend()
    outcome = world.controller(backend).run()
    assert outcome.succeeded
    assert outcome.stages == ALL_REUSED
    assert backend.num_attempts == 0


def test_changing_one_param_runs_exactly_the_stages_below_it(world: World) -> None:
    world.run()
    world.open(CHAIN.replace("scale: 2", "scale: 3"))
    outcome = world.run()
    assert outcome.stages == {**ALL_REUSED, "twice": "sealed", "total": "sealed"}
    assert world.rows("total") == [198]


def test_what_does_not_belong_to_the_address_changes_nothing(world: World) -> None:
    world.run()
    world.open(CHAIN.replace("shards: 3}", "shards: 3, timeout: 5h, retries: {failed: 9}}"))
    assert world.run().stages == ALL_REUSED


@pytest.mark.parametrize(
    ("codes", "ends"),
    [
        ([1, 1, 1], "sealed"),  # three retries are allowed
        ([1, 1, 1, 1], "failed"),  # and not a fourth
        ([75] * 20 + [1, 1, 1], "sealed"),  # to be preempted costs no retry
        ([-9] * 4, "sealed"),  # to be lost draws on the other budget
        ([75] * 51, "failed"),  # which ends too
        ([-11, -11, -11, -11], "failed"),  # crashing is failing
    ],
)
def test_every_cause_has_its_budget(world: World, codes: list[int], ends: str) -> None:
    outcome = world.run({("twice", 1): codes})
    assert outcome.stages["twice"] == ends
    assert len(world.told("attempt_failed")) == len(codes)


def test_a_poisoned_shard_is_not_tried_again_and_the_others_finish(world: World) -> None:
    outcome = world.run({("twice", 0): [65]})
    assert outcome.stages["twice"] == "failed"
    assert "1 of 3 shards given up, 2 committed" in outcome.reasons["twice"]
    assert len(world.told("attempt_failed")) == 1


def test_a_bad_configuration_stops_the_stage_at_once(world: World) -> None:
    backend = world.backend({("twice", 0): [64]})
    outcome = world.controller(backend).run()
    assert outcome.stages["twice"] == "failed"
    assert "refused the configuration" in outcome.reasons["twice"]
    assert backend.num_attempts == 4 + 1 + 1  # numbers, one shard of twice, aside


def test_what_is_below_a_failure_is_skipped_and_what_is_beside_it_goes_on(world: World) -> None:
    outcome = world.run({("twice", 0): [65]})
    assert outcome.stages["total"] == "skipped"
    assert "twice did not succeed" in outcome.reasons["total"]
    assert outcome.stages["aside"] == "sealed"
    assert not outcome.succeeded


def test_a_failed_stage_goes_on_after_a_retry(world: World) -> None:
    world.run({("twice", 0): [65], ("twice", 1): [1]})
    assert world.run().stages["twice"] == "failed"  # the store remembers
    assert retry_failures(world.session, world.session.matching("twice")) == 2
    backend = world.backend()
    assert world.controller(backend).run().succeeded
    assert backend.num_attempts == 2  # the missing shard, and total


BAD_ROWS = CHAIN.replace("scale: 2}", "scale: 2, bad_rows: [4, 5]}")


@pytest.mark.parametrize(
    ("budget", "ends"),
    [
        ("0", "failed"),  # by default no row may fail
        ("0.1", "failed"),  # two of twelve are more than a tenth
        ("0.2", "sealed"),  # and less than a fifth
    ],
)
def test_rows_that_cannot_be_judged_count_against_the_error_budget(
    make_world: MakeWorld, budget: str, ends: str
) -> None:
    body = BAD_ROWS.replace("shards: 3}", f"shards: 3, errorBudget: {budget}}}")
    world = make_world(body)
    outcome = world.run()
    assert outcome.stages["twice"] == ends
    if ends == "failed":
        assert "2 of 12 rows are error rows" in outcome.reasons["twice"]
    else:
        assert world.seal("twice").num_errors == 2
        assert world.rows("twice") == [2 * row for row in range(12) if row not in {4, 5}]


def test_rows_that_failed_are_redone_on_request_with_all_that_read_them(
    make_world: MakeWorld,
) -> None:
    world = make_world(BAD_ROWS.replace("shards: 3}", "shards: 3, errorBudget: 0.5}"))
    world.run()
    told = retry_errors(world.session, world.session.matching("twice"))
    assert told == [
        "twice: 1 shards with error rows",
        "total: made again, since it read what changes",
    ]
    backend = world.backend()
    outcome = world.controller(backend).run()
    assert outcome.stages == {**ALL_REUSED, "twice": "sealed", "total": "sealed"}
    assert backend.num_attempts == 2


def test_a_cancel_request_stops_at_the_next_look(world: World) -> None:
    request_cancel(world.session)
    backend = world.backend()
    outcome = world.controller(backend).run()
    assert outcome.drained
    assert not outcome.succeeded
    assert backend.num_attempts == 0


def test_a_controller_replaced_after_every_tick_does_the_same(
    world: World, make_world: MakeWorld
) -> None:
    script = {("numbers", 1): [1, -9], ("twice", 0): [75, 1], ("total", 0): [1]}
    patient = make_world(CHAIN)
    patient.run(script)
    backend = world.backend(script)
    for _ in range(200):
        snapshot = world.controller(backend).tick()
        if all(state.sealed for state in snapshot.states):
            break
        backend.wait(0.01)
    assert world.digests() == patient.digests()
    assert backend.num_attempts == 4 + 3 + 1 + 1 + 5


def test_backend_and_controller_replaced_after_every_tick_do_the_same(
    world: World, make_world: MakeWorld
) -> None:
    patient = make_world(CHAIN)
    patient.run()
    for _ in range(200):
        backend = world.backend()
        snapshot = world.controller(backend).tick()
        if all(state.sealed for state in snapshot.states):
            break
        backend.wait(0.01)
    assert world.digests() == patient.digests()


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
