"""Do all backends keep the one promise?  Every test of the first part runs against each of them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs.backends.base import ArrayStatus, ArrayWork, Backend
from jobs.backends.fake import FakeBackend
from jobs.backends.local import LocalBackend
from jobs.backends.slots import Machine
from jobs.plan.retry import Cause
from jobs.spec.errors import ConfigError
from tests.toy.entries import entry

AT_MOST_S = 60.0
"""A busy machine may take long; the tests wait for events, never for time to pass."""

MACHINE = Machine(cpus=2, gpus=2)

BACKENDS: list[Callable[[], Backend]] = [
    lambda: FakeBackend(entry),
    lambda: LocalBackend(entry, machine=MACHINE, grace_s=0.5, preload=["tests.toy.entries"]),
]


@pytest.fixture(params=BACKENDS, ids=["fake", "local"])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    made: Backend = request.param()
    yield made
    made.close()


@pytest.fixture
def local() -> Iterator[LocalBackend]:
    made = LocalBackend(entry, machine=MACHINE, grace_s=0.5, preload=["tests.toy.entries"])
    yield made
    made.close()


def array(folder: Path, node: str, *shards: int, **settings: object) -> ArrayWork:
    fields = {"name": node.replace(":", "-"), "store_url": str(folder), **settings}
    return ArrayWork(shards=shards, node=node, **fields)  # type: ignore[arg-type]


def until(backend: Backend, is_so: Callable[[dict[str, ArrayStatus]], bool]) -> ArrayStatus:
    """Drive the backend until something holds; the status of the first array."""
    end_s = time.monotonic() + AT_MOST_S
    while True:
        seen = dict(backend.observe())
        if is_so(seen):
            return next(iter(seen.values()))
        assert time.monotonic() < end_s, f"it never came to be: {seen}"
        backend.wait(0.05)


def until_idle(backend: Backend) -> ArrayStatus:
    return until(backend, lambda seen: not any(status.held for status in seen.values()))


def until_started(backend: Backend, folder: Path, count: int = 1) -> None:
    until(backend, lambda seen: len(list(folder.glob("start-*"))) >= count)


def attempts(folder: Path) -> list[int]:
    return sorted(int(path.name.split("-")[1]) for path in folder.glob("start-*"))


def test_every_shard_runs_once(backend: Backend, tmp_path: Path) -> None:
    backend.submit(array(tmp_path, "exit:0", 0, 1, 2, 3, 4))
    status = until_idle(backend)
    assert attempts(tmp_path) == [0, 1, 2, 3, 4]
    assert not status.running
    assert list(status.failed) == []


def test_a_shard_taken_twice_runs_once(backend: Backend, tmp_path: Path) -> None:
    backend.submit(array(tmp_path, "exit:0", 0, 1, 2))
    backend.submit(array(tmp_path, "exit:0", 1, 2, 3))
    until_idle(backend)
    assert attempts(tmp_path) == [0, 1, 2, 3]


def test_a_shard_that_ended_may_be_taken_again(backend: Backend, tmp_path: Path) -> None:
    work = array(tmp_path, "exit:1,0", 0)
    backend.submit(work)
    assert len(until_idle(backend).failed) == 1
    backend.submit(work)
    assert len(until_idle(backend).failed) == 1
    assert attempts(tmp_path) == [0, 0]


def test_what_is_taken_is_held_until_it_ends(backend: Backend, tmp_path: Path) -> None:
    backend.submit(array(tmp_path, "exit:0", 3, 5))
    status = next(iter(backend.observe().values()))
    assert set(status.held) == {3, 5}
    assert set(status.running) <= {3, 5}
    assert set(until_idle(backend).held) == set()


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (1, Cause.FAILED),  # the command's own fault
        (3, Cause.FAILED),  # any code without a name
        (64, Cause.BAD_CONFIG),  # trying again cannot help
        (65, Cause.POISONED),  # these rows fail every time
        (75, Cause.PREEMPTED),  # left at a safe point
    ],
)
def test_exit_codes_are_causes(backend: Backend, tmp_path: Path, code: int, cause: Cause) -> None:
    backend.submit(array(tmp_path, f"exit:{code}", 7))
    (failed,) = until_idle(backend).failed
    assert (failed.shard, failed.exit_code, failed.cause) == (7, code, cause)
    assert failed.message


def test_one_shards_failure_is_not_anothers(backend: Backend, tmp_path: Path) -> None:
    backend.submit(array(tmp_path, "exit:1", 0))
    backend.submit(array(tmp_path, "exit:0", 1))
    until_idle(backend)
    seen = backend.observe()
    assert [len(seen[name].failed) for name in ("exit-1", "exit-0")] == [1, 0]


def test_a_delayed_shard_waits_its_time_and_holds_up_no_other(
    backend: Backend, tmp_path: Path
) -> None:
    began_s = time.monotonic()
    backend.submit(array(tmp_path, "exit:0", 0, 1, delays_s={0: 0.3}))
    until(backend, lambda seen: attempts(tmp_path) == [1])
    assert set(backend.observe()["exit-0"].held) >= {0}
    until_idle(backend)
    assert attempts(tmp_path) == [0, 1]
    assert time.monotonic() - began_s >= 0.3


def test_cancelling_an_unknown_name_is_fine(backend: Backend) -> None:
    backend.cancel("never-was")
    assert not backend.observe()


def test_cancelled_work_that_did_not_start_never_does(backend: Backend, tmp_path: Path) -> None:
    backend.submit(array(tmp_path, "exit:0", 0, delays_s={0: 3600.0}))
    backend.cancel("exit-0")
    until_idle(backend)
    assert attempts(tmp_path) == []


def test_a_drained_backend_takes_nothing_more(backend: Backend, tmp_path: Path) -> None:
    backend.drain()
    backend.submit(array(tmp_path, "exit:0", 0))
    until_idle(backend) if backend.observe() else None
    assert attempts(tmp_path) == []


def test_closing_twice_is_fine(backend: Backend, tmp_path: Path) -> None:
    backend.submit(array(tmp_path, "exit:0", 0))
    backend.close()
    backend.close()
    assert all(not status.running for status in backend.observe().values())


@pytest.mark.parametrize(
    ("number", "cause"),
    [
        (signal.SIGKILL, Cause.LOST),  # from outside, or too little memory
        (signal.SIGSEGV, Cause.FAILED),  # a command's own crash
    ],
)
def test_a_signal_is_a_cause(
    local: LocalBackend, tmp_path: Path, number: signal.Signals, cause: Cause
) -> None:
    local.submit(array(tmp_path, f"signal:{int(number)}", 0))
    (failed,) = until_idle(local).failed
    assert (failed.exit_code, failed.cause) == (-number, cause)
    assert number.name in failed.message


def test_a_cancelled_worker_leaves_at_a_safe_point(local: LocalBackend, tmp_path: Path) -> None:
    local.submit(array(tmp_path, "sleep:60", 0, 1, 2))
    until_started(local, tmp_path, 2)
    local.cancel("sleep-60")
    status = until_idle(local)
    assert {failed.cause for failed in status.failed} == {Cause.PREEMPTED}
    assert 2 not in attempts(tmp_path)


def test_a_drain_lets_workers_reach_a_safe_point(local: LocalBackend, tmp_path: Path) -> None:
    local.submit(array(tmp_path, "sleep:60", 0))
    until_started(local, tmp_path)
    local.drain()
    (failed,) = until_idle(local).failed
    assert failed.exit_code == 75
    assert len(list(tmp_path.glob("end-*"))) == 1


def test_a_hard_drain_ends_workers_at_once(local: LocalBackend, tmp_path: Path) -> None:
    local.submit(array(tmp_path, "stubborn", 0))
    until_started(local, tmp_path)
    local.drain(hard=True)
    (failed,) = until_idle(local).failed
    assert failed.exit_code == -signal.SIGKILL


def test_a_stubborn_worker_is_ended_after_the_grace_period(
    local: LocalBackend, tmp_path: Path
) -> None:
    local.submit(array(tmp_path, "stubborn", 0))
    until_started(local, tmp_path)
    began_s = time.monotonic()
    local.drain()
    (failed,) = until_idle(local).failed
    assert failed.cause is Cause.LOST
    assert time.monotonic() - began_s >= 0.5


@pytest.mark.parametrize("node", ["sleep:60", "stubborn"])
def test_an_attempt_that_runs_too_long_timed_out(
    local: LocalBackend, tmp_path: Path, node: str
) -> None:
    local.submit(array(tmp_path, node, 0, timeout_s=0.2))
    (failed,) = until_idle(local).failed
    assert failed.cause is Cause.TIMED_OUT
    assert "timeout" in failed.message


def test_a_worker_that_leaves_when_cancelled_did_not_time_out(
    local: LocalBackend, tmp_path: Path
) -> None:
    local.submit(array(tmp_path, "sleep:60", 0, timeout_s=3600.0))
    until_started(local, tmp_path)
    local.cancel("sleep-60")
    (failed,) = until_idle(local).failed
    assert failed.cause is Cause.PREEMPTED


def test_all_processes_of_a_gang_run(local: LocalBackend, tmp_path: Path) -> None:
    local.submit(array(tmp_path, "exit:0", 0, processes=3))
    status = until_idle(local)
    assert list(status.failed) == []
    ranks = sorted(path.name.split("-")[2] for path in tmp_path.glob("end-*"))
    assert ranks == ["r0", "r1", "r2"]


def test_one_failing_rank_ends_the_gang(local: LocalBackend, tmp_path: Path) -> None:
    local.submit(array(tmp_path, "fail-rank:1", 0, processes=2))
    (failed,) = until_idle(local).failed
    assert (failed.exit_code, failed.cause) == (1, Cause.FAILED)


def test_there_are_never_more_attempts_than_slots(local: LocalBackend, tmp_path: Path) -> None:
    local.submit(array(tmp_path, "pause:0.05", *range(6)))
    most = 0

    def is_over(seen: dict[str, ArrayStatus]) -> bool:
        nonlocal most
        most = max(most, sum(len(status.running) for status in seen.values()))
        return not any(status.held for status in seen.values())

    until(local, is_over)
    assert most == MACHINE.cpus


def test_more_gpus_than_the_machine_has_is_a_clear_refusal(
    local: LocalBackend, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="needs 4 GPUs and this machine has 2"):
        local.submit(array(tmp_path, "exit:0", 0, gpus=2, processes=2))


def test_a_killed_fork_server_costs_an_attempt_and_nothing_else(
    local: LocalBackend, tmp_path: Path
) -> None:
    local.submit(array(tmp_path, "sleep:60", 0))
    until_started(local, tmp_path)
    os.kill(_server_pid(), signal.SIGKILL)
    (failed,) = until_idle(local).failed
    assert failed.cause is Cause.LOST
    while 1 not in attempts(tmp_path):  # a start may still meet the dying server
        local.submit(array(tmp_path, "exit:0", 1))
        until_idle(local)
    assert {failed.cause for failed in local.observe()["exit-0"].failed} <= {Cause.LOST}


def test_worker_output_goes_to_a_file_of_its_attempt(tmp_path: Path) -> None:
    backend = LocalBackend(_speak, machine=MACHINE, logs=tmp_path / "logs")
    backend.submit(array(tmp_path, "say[x=1,y=a]", 4))
    until_idle(backend)
    backend.close()
    (log,) = (tmp_path / "logs" / "say_x_1_y_a").glob("00004-*.log")
    assert log.read_text() == "hello from shard 4\n"


def _speak(task: object) -> int:
    print("hello from shard", getattr(task, "shard", None))
    return 0


def _server_pid() -> int:
    from multiprocessing import forkserver

    pid = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    assert isinstance(pid, int)
    return pid
