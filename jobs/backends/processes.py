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
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import wait as wait_for
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

from jobs.backends.base import Entry, ShardTask
from jobs.backends.slots import Lease


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

    def __init__(
        self,
        context: ForkServerContext,
        entry: Entry,
        task: ShardTask,
        processes: int,
        lease: Lease,
    ) -> None:
        self.task = task
        self.lease = lease
        self.timed_out = False
        self.asked_s: float | None = None
        self._processes = [
            context.Process(target=_main, args=(entry, member), daemon=False, name=task.node)
            for member in _members(task, processes, lease)
        ]
        for process in self._processes:
            process.start()

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
        own = [code for code in failed if code != -signal.SIGKILL]
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


def _main(entry: Entry, task: ShardTask) -> None:
    """First lines of every worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the controller's to interpret
    if task.log_path is not None:
        _redirect_output(Path(task.log_path))
    _leave_with(multiprocessing.parent_process())
    if task.gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(str(device) for device in task.gpus)
    if task.world_size > 1:
        os.environ |= _rendezvous(task)
    code = entry(task)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # no atexit work: what counts is committed, and libraries hang in theirs


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


def _leave_with(parent: BaseProcess | None) -> None:
    """End this process when the controller is gone: a new one will start its own attempts."""
    if parent is None:
        return

    def watch() -> None:
        wait_for([parent.sentinel])
        os._exit(75)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
