"""Is any process of a real vLLM server left once its controller or its warden was killed?"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs.backends.local_replicas import LocalReplicas
from jobs.backends.process_trees import Process, descendants, look_up, processes
from jobs.backends.replicas import PORT, ReplicaWork
from jobs.backends.slots import Machine, Slots
from tests.contract.real_vllm import CHAIN_BASE, LOCK, START_S, TOKENIZER_FILES, python_with_vllm
from tests.contract.replica_processes import controller, is_running, until, until_gone

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * START_S)]

ENVIRON = {
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
}

Ready = Callable[[Path, int], bool]
"""Of the log and the warden's pid: is it time to strike?"""


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, ...]]:
    python = python_with_vllm()
    tokenizer = tmp_path / "tokenizer"
    tokenizer.mkdir()
    for file in TOKENIZER_FILES:
        shutil.copy(CHAIN_BASE / file, tokenizer / file)
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield (
            *(str(python), "-m", "vllm.entrypoints.openai.api_server", "--model", str(CHAIN_BASE)),
            *("--tokenizer", str(tokenizer), "--host", "127.0.0.1", "--port", PORT),
            *("--dtype", "float32", "--enforce-eager", "--max-model-len", "512"),
        )


def loads(log: Path, warden: int) -> bool:
    """The engine is a process of its own by now."""
    return any(b"EngineCore" in _command_of(pid) for pid in descendants(warden))


def serves(log: Path, warden: int) -> bool:
    words = _command_of(warden).split(b"\0")
    port = words[words.index(b"--port") + 1].decode()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _command_of(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _wait_for(ready: Ready, log: Path, warden: int) -> list[Process]:
    """All processes of the replica when it is time, its warden first."""
    end_s = time.monotonic() + START_S
    while not ready(log, warden):
        assert is_running(warden), log.read_text()[-3000:]
        assert time.monotonic() < end_s, log.read_text()[-3000:]
        time.sleep(0.2)
    found = [look_up(pid) for pid in (warden, *descendants(warden))]
    return [process for process in found if process is not None]


def _until_nothing_is_left(of: list[Process]) -> None:
    until_gone(*(process.birth.pid for process in of))
    sessions = {process.session for process in of}
    assert not [one for one in processes() if one.session in sessions and not one.is_zombie]


@pytest.mark.parametrize("ready", [loads, serves])
def test_vllm_does_not_outlive_a_killed_controller(
    command: tuple[str, ...], tmp_path: Path, ready: Ready
) -> None:
    logs = tmp_path / "logs"
    with controller(logs, [command]) as process:
        (warden,) = descendants(process.pid)[:1]
        family = _wait_for(ready, logs / "judge-0.log", warden)
        assert len(family) >= 3, "warden, server and engine"
        process.kill()
        _until_nothing_is_left(family)


def test_vllm_does_not_outlive_a_killed_warden(command: tuple[str, ...], tmp_path: Path) -> None:
    host = LocalReplicas(Slots(Machine(cpus=1)), tmp_path / "logs")
    host.start(ReplicaWork(name="judge-0", fleet="judge", command=command))
    (warden,) = descendants(os.getpid())[:1]
    family = _wait_for(serves, tmp_path / "logs" / "judge-0.log", warden)
    os.kill(warden, signal.SIGKILL)
    until(lambda: host.observe()["judge-0"].ended)
    assert not [one for one in family if is_running(one.birth.pid)]
    _until_nothing_is_left(family)
    host.close()
