"""How does one attempt become processes, and how do they end?

Workers are forked from a server process that imported the heavy modules once, so a shard costs
milliseconds to start while every attempt still has a process, and an exit code, of its own.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import wait as wait_for
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.process import BaseProcess
from pathlib import Path

from jobs.backends.base import Entry, ShardTask
from jobs.backends.slots import Lease, visible_devices
from jobs.spec.exitcodes import DRAINED

HELD_BACK = (signal.SIGINT, signal.SIGTERM)

SERVER_LOST = 255
"""What multiprocessing says of a process whose fork server was killed, so nobody knows its end."""

ORPHAN_CHECK_S = 1.0
"""How often a worker looks whether the server that forked it is still there."""


def fork_context(preload: Sequence[str]) -> ForkServerContext:
    """A context whose server imports `preload` once; a module that cannot be imported is left
    for the worker to report."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads starve the other shard
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # each stage then asks for the threads it leased
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads do not survive a fork
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", *preload])
    return context


class Attempt:
    """The processes of one attempt; a gang fails as one."""

    def __init__(self, task: ShardTask, lease: Lease, *, timeout_s: float = 0.0) -> None:
        self.task = task
        self.lease = lease
        self.deadline_s = time.monotonic() + timeout_s if timeout_s else float("inf")
        self.timed_out = False
        self.asked_s: float | None = None
        self._processes: list[ForkServerProcess] = []

    def start(self, context: ForkServerContext, entry: Entry, processes: int) -> None:
        """Raises EOFError or OSError when the fork server is gone."""
        _start_server()
        for member in _members(self.task, processes, self.lease):
            process = context.Process(target=_main, args=(entry, member), name=member.node)
            process.start()
            self._processes.append(process)

    @property
    def sentinels(self) -> list[int]:
        return [process.sentinel for process in self._processes if process.exitcode is None]

    def exit_code(self) -> int | None:
        """None while it runs; else 0, or the first code that is not."""
        codes = [process.exitcode for process in self._processes]
        failed = [code for code in codes if code]
        if failed and None in codes:  # the others would wait for the lost member for ever
            self.kill()
            return None
        if None in codes:
            return None
        own = [code for code in failed if code not in {-signal.SIGKILL, SERVER_LOST}]
        if SERVER_LOST in failed and not own:
            return -signal.SIGKILL
        return (own or failed or [0])[0]

    def ask_to_leave(self, now_s: float) -> None:
        """SIGTERM, once: a worker stops at its next safe point with exit code 75."""
        if self.asked_s is None:
            self.asked_s = now_s
            for process in self._processes:
                process.terminate()

    def kill(self) -> None:
        for process in self._processes:
            process.kill()

    def close(self) -> None:
        for process in self._processes:
            process.join()
            process.close()


def _members(task: ShardTask, processes: int, lease: Lease) -> list[ShardTask]:
    if processes == 1:
        return [replace(task, gpus=lease.gpus)]
    port = _free_port()
    share = len(lease.gpus) // processes
    return [
        replace(
            task,
            rank=rank,
            world_size=processes,
            master_port=port,
            gpus=lease.gpus[rank * share : (rank + 1) * share],
        )
        for rank in range(processes)
    ]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _start_server() -> None:
    """Unless it runs.  It inherits a mask that holds signals back: a Ctrl-C goes to every process
    of the terminal, and the server would die of it."""
    resource_tracker.ensure_running()  # else the server starts it, and that undoes the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _main(entry: Entry, task: ShardTask) -> None:
    """First lines of every worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the controller's to interpret
    signal.signal(signal.SIGTERM, _leave)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)
    if task.log_path is not None:
        _redirect_output(Path(task.log_path))
    _watch(multiprocessing.parent_process())
    if task.gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible_devices(task.gpus, os.environ)
    if task.world_size > 1:
        os.environ |= _rendezvous(task)
    code = entry(task)
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(code)


def _leave(number: int, frame: object) -> None:
    """Nothing was started yet, so there is nothing to bring to a safe point."""
    os._exit(DRAINED)


def _rendezvous(task: ShardTask) -> dict[str, str]:
    """The environment torch.distributed reads, as torchrun would set it on one node."""
    return {
        "RANK": str(task.rank),
        "LOCAL_RANK": str(task.rank),
        "WORLD_SIZE": str(task.world_size),
        "LOCAL_WORLD_SIZE": str(task.world_size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(task.master_port),
    }


def _redirect_output(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def _watch(parent: BaseProcess | None) -> None:
    """End this process when the controller or the fork server is gone: it could not tell anybody
    how it ended, and a new controller starts attempts of its own."""
    if parent is None:
        return
    server = os.getppid()

    def watch() -> None:
        while os.getppid() == server:
            if wait_for([parent.sentinel], ORPHAN_CHECK_S):
                break
        os._exit(DRAINED)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
