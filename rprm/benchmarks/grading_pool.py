"""How are pairs graded by processes that may hang, die or be killed?

A symbolic comparison can take for ever inside one call, eat all memory or bring its interpreter
down, so it runs in a process that can be lost.  Pairs are handed out in chunks, every pair is
answered with a byte of its own, and so a lost process costs at most the pair it was at:

timeout   a process that used `timeout_s` of CPU time for a pair is killed by the kernel; one that
          gave no answer in PATIENCE times that on the clock (stopped, asleep) is killed from here.
          Such a pair is undecided.  CPU time, so that a busy machine gives the same grades
crashed   a pair whose process died otherwise is tried once more, since somebody else may have
          killed it; after the second time it is undecided

Processes are fresh interpreters, never forks of this one, which may have threads.  They live as
long as the pool, because importing a computer algebra system takes about a second.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import rprm
from rprm.benchmarks.grading_verdicts import READY, Verdict
from rprm.errors import RprmError

Pair = tuple[str, str]
TIMEOUT, CRASHED = "timeout", "crashed"
Outcome = Verdict | str
"""A verdict, TIMEOUT or CRASHED."""

MEMORY_BYTES = 2 * 2**30
"""Address space of each process; one that is idle needs 64 MiB."""
CHUNK = 32
CHUNK_BYTES = 48 * 1024
"""A chunk fits into an empty pipe, so handing it out never blocks."""
PATIENCE = 10
STARTING_S = 120.0
"""Time to import the grader, on a machine that is busy with other things."""
MAX_STARTS = 3
"""Processes in a row that may die before they are ready."""
_TRIES = 2


@dataclass(kw_only=True)
class _Worker:
    process: subprocess.Popen[bytes]
    deadline: float
    ready: bool = False
    pending: deque[int] = field(default_factory=deque)
    """Pairs handed out and not answered; the first is the one it is at."""

    @property
    def output(self) -> int:
        assert self.process.stdout is not None
        return self.process.stdout.fileno()


class GradingPool:
    """A context manager; leaving it, in whatever way, ends every process."""

    def __init__(self, grader: str, *, workers: int, timeout_s: float) -> None:
        self._command = [
            *(sys.executable, "-P", "-m", "rprm.benchmarks.grading_worker"),
            *(grader, str(timeout_s), str(MEMORY_BYTES)),
        ]
        self._size = workers
        self._patience_s = PATIENCE * timeout_s
        self._workers: list[_Worker] = []
        self._failed_starts = 0
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the pool

    def __enter__(self) -> GradingPool:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.process.kill()
        while self._workers:
            self._forget(self._workers[0])
        self._stderr.close()

    def grade(self, pairs: Sequence[Pair], on_outcome: Callable[[int, Outcome], None]) -> None:
        """Calls back once per pair, with its index, as soon as it is decided."""
        run = _Run(pairs=pairs, left=deque(range(len(pairs))), on_outcome=on_outcome)
        try:
            while run.num_done < len(pairs):
                self._hand_out(run)
                self._collect(run)
        finally:  # an interrupted run leaves processes with pairs that nobody waits for
            for worker in [one for one in self._workers if one.pending]:
                worker.process.kill()
                self._forget(worker)

    def _hand_out(self, run: _Run) -> None:
        idle = sum(not one.pending for one in self._workers)
        wanted = min(self._size - len(self._workers), run.num_chunks(self._size) - idle)
        for _ in range(wanted):
            self._workers.append(self._start())
        for worker in list(self._workers):
            if worker.ready and not worker.pending and run.left:
                self._hand(worker, run)

    def _hand(self, worker: _Worker, run: _Run) -> None:
        indexes = run.take(self._size)
        worker.pending.extend(indexes)
        worker.deadline = time.monotonic() + self._patience_s
        line = encoded([run.pairs[index] for index in indexes])
        assert worker.process.stdin is not None
        try:
            worker.process.stdin.write(line)
            worker.process.stdin.flush()
        except BrokenPipeError:
            self._lost(worker, run)

    def _start(self) -> _Worker:
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=_environment(),
        )
        return _Worker(process=process, deadline=time.monotonic() + STARTING_S)

    def _collect(self, run: _Run) -> None:
        """Wait for answers, for the end of a process, or for the first deadline."""
        busy = [one for one in self._workers if one.pending or not one.ready]
        with selectors.DefaultSelector() as selector:
            for worker in busy:
                selector.register(worker.output, selectors.EVENT_READ, worker)
            soonest = min((one.deadline for one in busy), default=0.0)
            events = selector.select(max(0.0, soonest - time.monotonic()))
        for key, _ in events:
            self._answered(key.data, run)
        for worker in busy:
            if time.monotonic() > worker.deadline and worker in self._workers:
                self._lost(worker, run, overdue=True)

    def _answered(self, worker: _Worker, run: _Run) -> None:
        answers = os.read(worker.output, 4096)
        if not answers:
            self._lost(worker, run)
        for code in answers:
            if bytes([code]) == READY:
                worker.ready, self._failed_starts = True, 0
            else:
                run.done(worker.pending.popleft(), Verdict(bytes([code])))
        worker.deadline = time.monotonic() + self._patience_s

    def _lost(self, worker: _Worker, run: _Run, *, overdue: bool = False) -> None:
        worker.process.kill()  # changes nothing where it is dead
        status = worker.process.wait()
        self._forget(worker)
        if not worker.ready:
            self._not_started()
        if worker.pending:
            timed_out = overdue or status == -signal.SIGPROF
            run.lost(worker.pending, TIMEOUT if timed_out else CRASHED)

    def _forget(self, worker: _Worker) -> None:
        """Of a process that is dead or dying."""
        worker.process.wait()
        for stream in (worker.process.stdin, worker.process.stdout):
            assert stream is not None
            with suppress(BrokenPipeError):  # what was buffered for it
                stream.close()
        self._workers.remove(worker)

    def _not_started(self) -> None:
        self._failed_starts += 1
        if self._failed_starts < MAX_STARTS:
            return
        self._stderr.seek(0)
        said = self._stderr.read()[-2000:].decode(errors="replace").strip()
        raise RprmError(f"The grading process does not start: {said or 'it says nothing'}.")


@dataclass(kw_only=True)
class _Run:
    """Which pairs are still to be graded."""

    pairs: Sequence[Pair]
    left: deque[int]
    on_outcome: Callable[[int, Outcome], None]
    num_done: int = 0
    tries: Counter[int] = field(default_factory=Counter)

    def num_chunks(self, workers: int) -> int:
        return -(-len(self.left) // self._chunk(workers))

    def _chunk(self, workers: int) -> int:
        """Smaller ones towards the end, so that all processes end together."""
        return max(1, min(CHUNK, len(self.left) // (4 * workers)))

    def take(self, workers: int) -> list[int]:
        most, size, taken = self._chunk(workers), 0, list[int]()
        while self.left and len(taken) < most:
            size += len(encoded([self.pairs[self.left[0]]]))
            if taken and size > CHUNK_BYTES:
                break
            taken.append(self.left.popleft())
        return taken

    def done(self, index: int, outcome: Outcome) -> None:
        self.num_done += 1
        self.on_outcome(index, outcome)

    def lost(self, pending: Iterable[int], cause: str) -> None:
        """Only the first pair was begun."""
        first, *rest = pending
        self.left.extendleft(reversed(rest))
        self.tries[first] += 1
        if cause == CRASHED and self.tries[first] < _TRIES:
            self.left.append(first)
        else:
            self.done(first, cause)


def encoded(pairs: Sequence[Pair]) -> bytes:
    return json.dumps(pairs).encode() + b"\n"


def _environment() -> dict[str, str]:
    """One thread each, and this package wherever it was imported from."""
    root = str(Path(rprm.__file__).parents[1])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
