"""Which shard of an array comes next, and how did its attempts end?

A state machine without a clock or a process: time is an argument.  Backends that have no queue of
their own to lean on drive one per array.
"""

from __future__ import annotations

import heapq
import signal
from collections import deque
from dataclasses import replace

from jobs.backends.base import ArrayStatus, ArrayWork, FailedAttempt, ShardTask
from jobs.plan.retry import Cause, cause_of
from jobs.spec import exitcodes


class Array:
    """Shards come in by `take`, start, and end; one that is stopped starts no more."""

    def __init__(self, work: ArrayWork) -> None:
        self.work = work
        self._held: set[int] = set()
        self._queue: deque[int] = deque()
        self._delayed: list[tuple[float, int]] = []
        self._running: dict[int, str] = {}
        self._failed: list[FailedAttempt] = []
        self.status = ArrayStatus(held=self._held, running=self._running, failed=self._failed)

    def take(self, work: ArrayWork, now_s: float) -> None:
        """Queue the shards that are not held yet, each after its delay."""
        self.work = replace(work, shards=())
        for shard in work.shards:
            if shard in self._held:
                continue
            self._held.add(shard)
            delay_s = work.delays_s.get(shard, 0.0)
            if delay_s > 0:
                heapq.heappush(self._delayed, (now_s + delay_s, shard))
            else:
                self._queue.append(shard)

    @property
    def next_s(self) -> float:
        """When the next pause is over; infinite without one."""
        return self._delayed[0][0] if self._delayed else float("inf")

    def ready(self, now_s: float) -> bool:
        """Is there a shard that may start now?"""
        while self._delayed and self._delayed[0][0] <= now_s:
            self._queue.append(heapq.heappop(self._delayed)[1])
        return bool(self._queue)

    def start(self, attempt: str) -> int:
        """Start the shard at the head of the queue; there must be one."""
        shard = self._queue.popleft()
        self._running[shard] = attempt
        return shard

    def end(self, shard: int, exit_code: int, *, timed_out: bool = False) -> None:
        """The running attempt at `shard` ended."""
        attempt = self._running.pop(shard)
        self._held.discard(shard)
        cause = Cause.TIMED_OUT if timed_out else cause_of(exit_code)
        if cause is not None:
            self._failed.append(
                FailedAttempt(
                    shard=shard,
                    attempt=attempt,
                    exit_code=exit_code,
                    cause=cause,
                    message=describe(exit_code, timed_out=timed_out),
                )
            )

    def stop(self) -> None:
        """Let go of everything that does not run."""
        self._queue.clear()
        self._delayed.clear()
        self._held.intersection_update(self._running)


SAID = {
    exitcodes.BAD_CONFIG: "refused its configuration",
    exitcodes.POISONED: "says that its rows fail every time",
    exitcodes.DRAINED: "left at a safe point, as it was asked to",
}


def describe(exit_code: int, *, timed_out: bool = False) -> str:
    """In a person's words, how did the process end?"""
    if timed_out:
        return "ran past the stage's timeout"
    if exit_code >= 0:
        return f"{SAID.get(exit_code, 'failed')} (exit code {exit_code})"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    hint = ", often the kernel's answer to too little memory" if name == "SIGKILL" else ""
    return f"ended by {name}{hint}"


def task_of(work: ArrayWork, shard: int, attempt: str) -> ShardTask:
    """The single-process task of one attempt."""
    return ShardTask(
        store_url=work.store_url,
        store_options=work.store_options,
        address=work.name,
        node=work.node,
        coordinates=work.coordinates,
        shard=shard,
        attempt=attempt,
        cpus=work.cpus,
        served=work.served,
    )
