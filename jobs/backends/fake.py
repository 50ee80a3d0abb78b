"""What would a backend do?  Runs tasks in this process, with failures by script; for tests.

It ships with the package so that stages and controllers can be tested without processes.  The
contract suite that holds the real backends holds it too.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from jobs.backends.array import Array, task_of
from jobs.backends.base import ArrayStatus, ArrayWork, Entry


class FakeBackend:
    """Each `wait` ends one attempt: by the next scripted exit code, or by running the entry."""

    def __init__(
        self, entry: Entry, *, script: Mapping[tuple[str, int], Sequence[int]] | None = None
    ) -> None:
        """`script` maps (node, shard) to the exit codes of its first attempts."""
        self._entry = entry
        self._script = {key: list(codes) for key, codes in (script or {}).items()}
        self._arrays: dict[str, Array] = {}
        self._draining = False
        self.num_attempts = 0

    def submit(self, work: ArrayWork) -> None:
        if not self._draining:
            self._arrays.setdefault(work.name, Array(work)).take(work, time.monotonic())

    def observe(self) -> Mapping[str, ArrayStatus]:
        return {name: array.status for name, array in self._arrays.items()}

    def wait(self, timeout_s: float) -> None:
        for array in self._arrays.values():
            if array.ready(time.monotonic()):
                self._attempt(array)
                return
        if any(array.status.held for array in self._arrays.values()):
            time.sleep(min(timeout_s, 0.001))  # a pause has to pass

    def cancel(self, name: str) -> None:
        if name in self._arrays:
            self._arrays[name].stop()

    def drain(self, *, hard: bool = False) -> None:
        self._draining = True
        for array in self._arrays.values():
            array.stop()

    def close(self) -> None:
        self.drain(hard=True)

    def _attempt(self, array: Array) -> None:
        self.num_attempts += 1
        attempt = f"fake{self.num_attempts:06d}"
        shard = array.start(attempt)
        scripted = self._script.get((array.work.node, shard))
        task = task_of(array.work, shard, attempt)
        code = scripted.pop(0) if scripted else self._entry(task)
        array.end(shard, code)
