"""Do all hosts of replicas keep the one promise?  Each test runs against every one of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs.backends.fake_replicas import FailedStart, FakeReplicas
from jobs.backends.local_replicas import LocalReplicas
from jobs.backends.replicas import ReplicaHost, ReplicaWork
from jobs.backends.slots import Machine, Slots
from jobs.spec.errors import ConfigError
from tests.contract.replica_processes import ended, serving

LAST_WORDS = ("loading", "no such model: r-prm")

FAILING = (sys.executable, "-S", "-c", f"print(*{LAST_WORDS!r}, sep='\\n'); raise SystemExit(3)")

MACHINE = Machine(cpus=2, gpus=2)

MakeWork = Callable[..., ReplicaWork]


def fake(slots: Slots, folder: Path) -> ReplicaHost:
    doomed = FailedStart(last_lines=LAST_WORDS, exit_code=3)
    return FakeReplicas(slots, fails={"doomed": [doomed, doomed]})


def local(slots: Slots, folder: Path) -> ReplicaHost:
    return LocalReplicas(slots, folder / "logs")


@pytest.fixture
def slots() -> Slots:
    return Slots(MACHINE)


@pytest.fixture(params=[fake, local])
def host(request: pytest.FixtureRequest, slots: Slots, tmp_path: Path) -> Iterator[ReplicaHost]:
    make: Callable[[Slots, Path], ReplicaHost] = request.param
    made = make(slots, tmp_path)
    yield made
    made.close()


@pytest.fixture
def work(tmp_path: Path) -> MakeWork:
    """One replica that serves, unless its fleet is doomed."""

    def make(name: str, *, fleet: str = "judge", cpus: int = 1, gpus: int = 0) -> ReplicaWork:
        command = FAILING if fleet == "doomed" else serving(tmp_path / name)
        return ReplicaWork(name=name, fleet=fleet, command=command, cpus=cpus, gpus=gpus)

    return make


def test_a_started_replica_is_told_of_at_once(host: ReplicaHost, work: MakeWork) -> None:
    assert host.start(work("a"))
    status = host.observe()["a"]
    assert (status.name, status.fleet) == ("a", "judge")
    assert (status.ended, status.stopping, status.exit_code) == (False, False, None)
    assert status.url.startswith("http://")
    assert not status.url.endswith("/")
    assert status.started_at > 0


def test_no_two_replicas_have_the_same_url(host: ReplicaHost, work: MakeWork) -> None:
    assert host.start(work("a"))
    assert host.start(work("b"))
    assert len({status.url for status in host.observe().values()}) == 2


def test_a_name_is_started_once(host: ReplicaHost, work: MakeWork) -> None:
    assert host.start(work("a"))
    before = host.observe()["a"]
    assert host.start(work("a"))
    assert host.observe()["a"] == before
    assert host.start(work("b")), "the second start took no slot"


def test_a_name_whose_replica_ended_is_not_started_again(host: ReplicaHost, work: MakeWork) -> None:
    host.start(work("a"))
    host.stop("a", hard=True)
    gone = ended(host, "a")
    assert host.start(work("a"))
    assert host.observe()["a"] == gone


@pytest.mark.parametrize("hard", [False, True])
def test_a_replica_that_is_asked_to_leave_ends_and_that_is_no_failure(
    host: ReplicaHost, work: MakeWork, hard: bool
) -> None:
    host.start(work("a"))
    host.stop("a", hard=hard)
    assert host.observe()["a"].stopping
    status = ended(host, "a")
    assert status.stopping
    assert status.exit_code is not None
    assert status.last_lines == ()


def test_stopping_an_unknown_or_an_ended_replica_is_fine(host: ReplicaHost, work: MakeWork) -> None:
    host.stop("never-was")
    host.start(work("a", fleet="doomed"))
    before = ended(host, "a")
    host.stop("a", hard=True)
    assert host.observe() == {"a": before}


def test_a_replica_that_ends_by_itself_says_why(host: ReplicaHost, work: MakeWork) -> None:
    host.start(work("a", fleet="doomed"))
    status = ended(host, "a")
    assert (status.exit_code, status.stopping) == (3, False)
    assert status.last_lines == LAST_WORDS


def test_one_replicas_end_is_not_anothers(host: ReplicaHost, work: MakeWork) -> None:
    host.start(work("a"))
    host.start(work("b", fleet="doomed"))
    assert ended(host, "b").last_lines
    assert not host.observe()["a"].ended


def test_there_is_room_as_long_as_cpus_are_free_and_again_after_an_end(
    host: ReplicaHost, work: MakeWork
) -> None:
    assert host.start(work("a"))
    assert host.start(work("b"))
    assert not host.start(work("c"))
    assert "c" not in host.observe()
    host.stop("a")
    ended(host, "a")
    assert host.start(work("c"))


def test_the_slots_are_those_of_the_workers_too(
    host: ReplicaHost, work: MakeWork, slots: Slots
) -> None:
    lease = slots.take(cpus=2, gpus=0)
    assert lease is not None
    assert not host.start(work("a"))
    slots.give_back(lease)
    assert host.start(work("a"))


def test_more_cpus_than_the_machine_has_means_all_of_them(
    host: ReplicaHost, work: MakeWork
) -> None:
    assert host.start(work("a", cpus=64))
    assert not host.start(work("b"))


def test_a_first_replica_is_squeezed_in_and_leaves_no_trace_in_the_count(
    host: ReplicaHost, work: MakeWork, slots: Slots
) -> None:
    lease = slots.take(cpus=2, gpus=0)
    assert lease is not None
    assert host.start(work("a", cpus=2), squeeze=True)
    slots.give_back(lease)
    assert not host.start(work("b")), "the squeezed one has its CPUs now"
    host.stop("a", hard=True)
    ended(host, "a")
    assert slots.take(cpus=2, gpus=0) is not None
    assert slots.take(cpus=1, gpus=0) is None


def test_gpus_are_never_squeezed(host: ReplicaHost, work: MakeWork) -> None:
    assert host.start(work("a", gpus=2))
    assert not host.start(work("b", gpus=1), squeeze=True)


def test_more_gpus_than_the_machine_has_is_a_clear_refusal(
    host: ReplicaHost, work: MakeWork
) -> None:
    with pytest.raises(ConfigError, match=r"3 GPUs.*Fix:"):
        host.start(work("a", gpus=3))
    assert not host.observe()


def test_closing_ends_every_replica_and_frees_its_slots(
    host: ReplicaHost, work: MakeWork, slots: Slots
) -> None:
    host.start(work("a", gpus=1))
    host.start(work("b", gpus=1))
    host.close()
    assert all(status.ended and status.stopping for status in host.observe().values())
    assert slots.take(cpus=2, gpus=2) is not None
    host.close()


def test_looking_changes_nothing(host: ReplicaHost, work: MakeWork) -> None:
    host.start(work("a"))
    host.start(work("b", fleet="doomed"))
    ended(host, "b")
    assert host.observe() == host.observe()
