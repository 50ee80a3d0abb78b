"""How does a test see the processes of a replica?  By the files they leave, and in /proc."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from jobs.backends.process_trees import look_up
from jobs.backends.replicas import PORT, ReplicaHost, ReplicaStatus, ReplicaWork
from tests.contract.shell import REPOSITORY

AT_MOST_S = 60.0
"""A busy machine may take long; the tests wait for events, never for time to pass."""

SERVER = str(Path(__file__).with_name("tiny_server.py"))


def serving(folder: Path, *traits: str) -> tuple[str, ...]:
    """A command for a replica whose processes leave their files in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return (sys.executable, "-S", SERVER, PORT, str(folder), *traits)


def until(is_so: Callable[[], bool]) -> None:
    end_s = time.monotonic() + AT_MOST_S
    while not is_so():
        assert time.monotonic() < end_s, "it never came to be"
        time.sleep(0.02)


def family(folder: Path, *roles: str) -> dict[str, int]:
    """Waits until a process of every role has left its file; role to pid."""
    until(lambda: all(list(folder.glob(f"{role}-*")) for role in roles))
    found = (path.name.split("-") for path in folder.iterdir())
    return {role: int(pid) for role, pid in found}


def is_running(pid: int) -> bool:
    process = look_up(pid)
    return process is not None and not process.is_zombie


def until_gone(*pids: int) -> None:
    until(lambda: not any(is_running(pid) for pid in pids))


def warden_of(server: int) -> int:
    process = look_up(server)
    assert process is not None
    return process.parent


def start(host: ReplicaHost, *command: str, name: str = "judge-1", **settings: object) -> None:
    work = ReplicaWork(name=name, fleet="judge", command=command, **settings)  # type: ignore[arg-type]
    assert host.start(work)


def ended(host: ReplicaHost, name: str = "judge-1") -> ReplicaStatus:
    until(lambda: host.observe()[name].ended)
    return host.observe()[name]


@contextmanager
def controller(logs: Path, commands: Sequence[Sequence[str]]) -> Iterator[subprocess.Popen[str]]:
    """A controller in a process group of its own, once it has started its replicas."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.contract.replica_controller",
            str(logs),
            json.dumps(commands),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        process_group=0,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        assert process.stdout.readline() == "started\n"
        yield process
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        process.stdin.close()
