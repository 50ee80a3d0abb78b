"""How do shards run on this machine?  A pool of processes over its CPUs and GPUs."""

from __future__ import annotations

import signal
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from multiprocessing.connection import wait as wait_for
from pathlib import Path

from jobs.backends.array import Array, task_of
from jobs.backends.base import ArrayStatus, ArrayWork, Entry, ShardTask
from jobs.backends.processes import Attempt, fork_context
from jobs.backends.slots import Lease, Machine, Slots
from jobs.spec.errors import ConfigError

GRACE_S = 30.0
"""Between asking a worker to leave and ending it; a training step and a checkpoint fit in."""


class LocalBackend:
    """Arrays are served in the order of their submission, as far as slots allow."""

    def __init__(
        self,
        entry: Entry,
        *,
        machine: Machine,
        logs: Path | None = None,
        preload: Sequence[str] = (),
        grace_s: float = GRACE_S,
    ) -> None:
        self._entry = entry
        self.slots = Slots(machine)
        """Shared with whatever else takes CPUs and GPUs of this machine."""
        self._logs = logs
        self._context = fork_context(preload)
        self._grace_s = grace_s
        self._arrays: dict[str, Array] = {}
        self._attempts: dict[tuple[str, int], Attempt] = {}
        """Running attempts by array and shard."""
        self._draining = False

    def submit(self, work: ArrayWork) -> None:
        self._refuse_what_never_fits(work)
        if not self._draining:
            self._arrays.setdefault(work.name, Array(work)).take(work, time.monotonic())

    def observe(self) -> Mapping[str, ArrayStatus]:
        self._reap()
        self._start()
        return {name: array.status for name, array in self._arrays.items()}

    def wait(self, timeout_s: float) -> None:
        next_s = min((array.next_s for array in self._arrays.values()), default=float("inf"))
        pause_s = max(0.0, min(timeout_s, next_s - time.monotonic()))
        sentinels = [
            sentinel for attempt in self._attempts.values() for sentinel in attempt.sentinels
        ]
        if sentinels:
            wait_for(sentinels, pause_s)
        else:
            time.sleep(pause_s)

    def cancel(self, name: str) -> None:
        if name not in self._arrays:
            return
        self._arrays[name].stop()
        now_s = time.monotonic()
        for (owner, _), attempt in self._attempts.items():
            if owner == name:
                attempt.ask_to_leave(now_s)

    def drain(self, *, hard: bool = False) -> None:
        self._draining = True
        for name in self._arrays:
            self.cancel(name)
        if hard:
            for attempt in self._attempts.values():
                attempt.kill()

    def close(self) -> None:
        self.drain(hard=True)
        for attempt in self._attempts.values():
            attempt.close()
        self._attempts.clear()

    def _reap(self) -> None:
        now_s = time.monotonic()
        for (name, shard), attempt in list(self._attempts.items()):
            code = attempt.exit_code()
            if code is None:
                self._enforce(attempt, now_s)
                continue
            attempt.close()
            self.slots.give_back(attempt.lease)
            del self._attempts[name, shard]
            self._arrays[name].end(shard, code, timed_out=attempt.timed_out and code != 0)

    def _enforce(self, attempt: Attempt, now_s: float) -> None:
        if now_s > attempt.deadline_s and attempt.asked_s is None:
            attempt.timed_out = True
            attempt.ask_to_leave(now_s)
        if attempt.asked_s is not None and now_s > attempt.asked_s + self._grace_s:
            attempt.kill()

    def _start(self) -> None:
        for array in self._arrays.values():
            while array.ready(time.monotonic()) and self._start_one(array):
                pass

    def _start_one(self, array: Array) -> bool:
        work = array.work
        lease = self.slots.take(
            cpus=work.cpus,
            gpus=work.gpus,
            processes=work.processes,
            calls_fleet=work.calls_fleet,
        )
        if lease is None:
            return False
        name = uuid.uuid4().hex[:8]
        shard = array.start(name)
        attempt = Attempt(self._task(work, shard, name, lease), lease, timeout_s=work.timeout_s)
        try:
            attempt.start(self._context, self._entry, work.processes)
        except (EOFError, OSError):  # the server was killed; a later start brings up another
            attempt.kill()
            attempt.close()
            self.slots.give_back(lease)
            array.end(shard, -signal.SIGKILL)
            return True
        self._attempts[work.name, shard] = attempt
        return True

    def _task(self, work: ArrayWork, shard: int, name: str, lease: Lease) -> ShardTask:
        task = replace(task_of(work, shard, name), cpus=max(1, lease.cpus // work.processes))
        if self._logs is None:
            return task
        path = self._logs / safe_name(work.node) / f"{shard:05d}-{name}.log"
        return replace(task, log_path=str(path))

    def _refuse_what_never_fits(self, work: ArrayWork) -> None:
        need, have = work.gpus * work.processes, self.slots.machine.gpus
        if need > have:
            raise ConfigError(
                f"stage {work.node!r} needs {need} GPUs and this machine has {have}.",
                fix="run this campaign on a cluster, or set resources.gpus to 0 for the stage.",
            )


def safe_name(node: str) -> str:
    """A node's name as a folder; node names hold characters that shells and URLs mind."""
    return "".join(char if char.isalnum() or char in "-_.@" else "_" for char in node).rstrip("_")
