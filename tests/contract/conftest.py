"""Which fixtures do the tests of controller and command line share?"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs.runtime import patience
from tests.contract.controlled import CHAIN, MakeWorld, World
from tests.contract.shell import SLOW, TOY, Shell, is_at_work, until


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The entry sets a handler for SIGTERM, which must not outlive the test."""
    monkeypatch.setattr(patience, "PAUSE_S", 0.0)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def make_world(tmp_path: Path, no_pauses: None) -> Iterator[MakeWorld]:
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


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A folder in which the toy campaign ran; tests only look at it."""
    shell = Shell(tmp_path_factory.mktemp("finished"))
    done = shell("run", shell.write(TOY))
    assert done.returncode == 0, done.stdout + done.stderr
    return shell


@pytest.fixture
def running(shell: Shell) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts the slow campaign and returns once its waiting stage is at work."""
    started: list[subprocess.Popen[str]] = []

    def start(stage: str) -> subprocess.Popen[str]:
        process = shell.start("run", shell.write(SLOW.replace("PATIENT", stage), "slow.yaml"))
        started.append(process)
        until(lambda: bool(list((shell.folder / ".rprm/runs/slow/logs").glob("wait/*.log"))))
        until(lambda: is_at_work(shell))
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
