"""How do the metrics of many worker processes become one?  Through files, added up when asked for.

With PROMETHEUS_MULTIPROC_DIR set before it is imported, prometheus_client keeps the metrics of each
process in files of its own, named by its process id.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from prometheus_client import mmap_dict, multiprocess
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from jobs.runtime.processes_alive import is_alive

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""vLLM heeds it as well.  Servers that we start must not inherit it: each would write its metrics
among ours, and answer with those of all."""

PAST = "0"
"""In place of a process id, in the names of files that hold the sums of processes that ended."""

_files: Any = mmap_dict  # neither has types
_merging: Any = multiprocess.MultiProcessCollector


@contextlib.contextmanager
def worker_metrics(folder: Path) -> Iterator[Collector]:
    """Workers whose fork server starts meanwhile keep their metrics in `folder`, which begins
    empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(folder.absolute())
    try:
        yield WorkerCollector(folder)
    finally:
        os.environ.pop(VARIABLE, None)
        if before is not None:
            os.environ[VARIABLE] = before


class WorkerCollector(Collector):
    """The sums of all files; those of processes that ended become one file.

    A campaign has very many workers, and each would leave files to read at every look."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def describe(self) -> Iterable[Metric]:
        """Unknown until workers say it."""
        return ()

    def collect(self) -> Iterable[Metric]:
        with self._lock:
            files = self._readable()
            dead = [path for path in files if _is_of_the_dead(path)]
            for kind in ("counter", "histogram"):
                self._fold(kind, [path for path in dead if path.name.startswith(f"{kind}_")])
            for path in dead:  # gauges hold for the living
                path.unlink()
            left: Iterable[Metric] = _merging.merge([str(path) for path in self._readable()])
            return left

    def _readable(self) -> list[Path]:
        """A process may have been killed right after it made its file."""
        return [path for path in sorted(self._folder.glob("*.db")) if path.stat().st_size > 0]

    def _fold(self, kind: str, dead: Sequence[Path]) -> None:
        if not dead:
            return
        past = self._folder / f"{kind}_{PAST}.db"
        files = [str(path) for path in (past, *dead) if path.exists()]
        aside = past.with_suffix(".aside")
        kept = _files.MmapedDict(str(aside))
        for metric in _merging.merge(files, accumulate=False):
            for sample in metric.samples:
                names, values = list(sample.labels), list(sample.labels.values())
                key = _files.mmap_key(metric.name, sample.name, names, values, metric.documentation)
                kept.write_value(key, sample.value, 0.0)
        kept.close()
        aside.replace(past)


def _is_of_the_dead(path: Path) -> bool:
    owner = path.stem.rpartition("_")[2]
    return owner.isdecimal() and owner != PAST and not is_alive(int(owner))
