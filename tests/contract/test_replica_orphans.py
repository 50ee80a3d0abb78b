"""Is any process of a local replica left, however its end comes about?"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.backends.base import ArrayWork
from jobs.backends.local import LocalBackend
from jobs.backends.local_replicas import LocalReplicas
from jobs.backends.slots import Machine, Slots
from tests.contract.replica_processes import (
    controller,
    ended,
    family,
    is_running,
    serving,
    start,
    until,
    until_gone,
    warden_of,
)
from tests.contract.tiny_server import ROLES
from tests.toy.entries import entry

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")

MACHINE = Machine(cpus=4, gpus=4)


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    return tmp_path / "logs"


@pytest.fixture
def host(logs: Path) -> Iterator[LocalReplicas]:
    made = LocalReplicas(Slots(MACHINE), logs)
    yield made
    made.close()


@pytest.mark.parametrize("hard", [False, True])
def test_nothing_of_a_stopped_replica_is_left(
    host: LocalReplicas, tmp_path: Path, hard: bool
) -> None:
    start(host, *serving(tmp_path / "a", "offspring"))
    pids = family(tmp_path / "a", *ROLES)
    host.stop("judge-1", hard=hard)
    status = ended(host)
    assert not [role for role, pid in pids.items() if is_running(pid)]
    assert status.exit_code == -(signal.SIGKILL if hard else signal.SIGTERM)


def test_a_stubborn_server_is_ended_after_its_grace(host: LocalReplicas, tmp_path: Path) -> None:
    start(host, *serving(tmp_path / "a", "stubborn", "offspring"), grace_s=0.2)
    pids = family(tmp_path / "a", *ROLES)
    host.stop("judge-1")
    assert ended(host).exit_code == -signal.SIGKILL
    assert not [role for role, pid in pids.items() if is_running(pid)]


def test_a_polite_stop_can_become_a_hard_one(host: LocalReplicas, tmp_path: Path) -> None:
    start(host, *serving(tmp_path / "a", "stubborn"), grace_s=3600.0)
    family(tmp_path / "a", "server")
    host.stop("judge-1")
    host.stop("judge-1", hard=True)
    assert ended(host).exit_code == -signal.SIGKILL


def test_a_server_that_dies_takes_its_offspring_along(host: LocalReplicas, tmp_path: Path) -> None:
    start(host, *serving(tmp_path / "a", "offspring"))
    pids = family(tmp_path / "a", *ROLES)
    os.kill(pids["server"], signal.SIGSEGV)
    status = ended(host)
    assert (status.exit_code, status.stopping) == (-signal.SIGSEGV, False)
    assert status.last_lines[0].startswith("serving on")
    assert not [role for role, pid in pids.items() if is_running(pid)]


def test_closing_ends_a_server_that_was_stopped_in_its_tracks(
    host: LocalReplicas, tmp_path: Path
) -> None:
    start(host, *serving(tmp_path / "a", "offspring"))
    pids = family(tmp_path / "a", *ROLES)
    os.kill(pids["server"], signal.SIGSTOP)
    host.stop("judge-1", hard=True)
    host.close()
    assert not [role for role, pid in pids.items() if is_running(pid)]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_a_killed_warden(
    host: LocalReplicas, tmp_path: Path, number: signal.Signals
) -> None:
    start(host, *serving(tmp_path / "a", "offspring"), grace_s=0.2)
    pids = family(tmp_path / "a", *ROLES)
    os.kill(warden_of(pids["server"]), number)
    assert ended(host).exit_code == -number
    assert not [role for role, pid in pids.items() if is_running(pid)]


def test_a_warden_that_hangs_is_ended_as_well(
    host: LocalReplicas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.backends.local_replicas.LATE_S", 0.1)
    start(host, *serving(tmp_path / "a"), grace_s=0.1)
    pids = family(tmp_path / "a", "server")
    os.kill(warden_of(pids["server"]), signal.SIGSTOP)
    host.stop("judge-1")
    ended(host)
    assert not is_running(pids["server"])


def test_nothing_outlives_a_killed_controller(logs: Path, tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    commands = [serving(folder, "stubborn", "offspring") for folder in folders]
    with controller(logs, commands) as process:
        pids = [pid for folder in folders for pid in family(folder, *ROLES).values()]
        wardens = {warden_of(family(folder, "server")["server"]) for folder in folders}
        process.kill()
        until_gone(*pids, *wardens)


def test_a_replica_that_is_still_starting_does_not_outlive_a_killed_controller(
    logs: Path, tmp_path: Path
) -> None:
    with controller(logs, [serving(tmp_path / "a")] * 3) as process:
        process.kill()
    until(lambda: not any(_marked_with(logs)))


def _marked_with(logs: Path) -> Iterator[Path]:
    """Processes whose environment says that they are of a replica with these logs."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and is_running(int(folder.name)):
            try:
                if str(logs.resolve()).encode() in (folder / "environ").read_bytes():
                    yield folder
            except OSError:
                continue


def test_a_new_controller_ends_what_killed_wardens_left(logs: Path, tmp_path: Path) -> None:
    with controller(logs, [serving(tmp_path / "a", "offspring")]) as process:
        pids = family(tmp_path / "a", *ROLES)
        warden = warden_of(pids["server"])
        for pid in (process.pid, warden):  # first the controller, who would see to it
            os.kill(pid, signal.SIGSTOP)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        os.kill(warden, signal.SIGKILL)
    until_gone(warden, pids["server"])
    assert is_running(pids["daemon"])
    LocalReplicas(Slots(MACHINE), logs).close()
    assert not [role for role, pid in pids.items() if is_running(pid)]
    assert not list(logs.glob("*.pids"))


def test_a_new_controller_waits_for_wardens_at_their_work(logs: Path, tmp_path: Path) -> None:
    with controller(logs, [serving(tmp_path / "a", "stubborn")]) as process:
        pids = family(tmp_path / "a", "server")
        process.kill()
        process.wait()
        LocalReplicas(Slots(MACHINE), logs).close()
        assert not is_running(pids["server"])


def test_replicas_of_another_living_controller_are_left_alone(logs: Path, tmp_path: Path) -> None:
    with controller(logs, [serving(tmp_path / "a")]):
        pids = family(tmp_path / "a", "server")
        LocalReplicas(Slots(MACHINE), logs).close()
        assert is_running(pids["server"])
    until_gone(*pids.values())


def test_a_ctrl_c_does_not_reach_the_replicas(logs: Path, tmp_path: Path) -> None:
    with controller(logs, [serving(tmp_path / "a")]) as process:
        pids = family(tmp_path / "a", "server")
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("how many ended?\n")
        process.stdin.flush()
        assert process.stdout.readline() == "0\n"
        assert is_running(pids["server"])
    until_gone(*pids.values())


def test_nobody_but_the_controller_holds_the_line_to_a_warden(
    host: LocalReplicas, tmp_path: Path
) -> None:
    backend = LocalBackend(entry, machine=MACHINE)
    start(host, *serving(tmp_path / "a", "offspring"))
    backend.submit(ArrayWork(name="w", shards=[0], store_url=str(tmp_path), node="sleep:60"))
    backend.observe()
    start(host, *serving(tmp_path / "b"), name="judge-2")
    pids = family(tmp_path / "a", *ROLES)
    family(tmp_path / "b", "server")
    until(lambda: bool(backend.observe()) and bool(list(tmp_path.glob("start-*"))))
    warden = warden_of(pids["server"])
    lines = _pipes(os.getpid()) & _pipes(warden)
    assert lines
    others = {int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit()}
    others -= {os.getpid(), warden}
    assert not [pid for pid in others if lines & _pipes(pid)]
    backend.close()


def _pipes(pid: int) -> set[str]:
    targets = set()
    with contextlib.suppress(OSError):  # the process ended meanwhile
        for file in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):  # or closed the file
                targets.add(os.readlink(f"/proc/{pid}/fd/{file}"))
    return {target for target in targets if target.startswith("pipe:")}
