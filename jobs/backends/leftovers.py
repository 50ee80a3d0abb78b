"""What is left of a replica whose warden was killed, and how does that end?

The kernel kills the server then, but not the server's children: vLLM's engine does not notice, and
keeps its memory for good.

Two signs betray a process of a replica: the mark in the environment it was started with, and the
session that its server began.  It takes both: a daemon leaves the session, and a process that
renames itself, as vLLM's engine does, may overwrite its environment.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

from jobs.backends.process_trees import (
    Process,
    has_variable,
    is_alive,
    is_mine,
    look_up,
    processes,
)
from jobs.backends.replica_records import Record, read_record, this_boot

MARK = "RPRM_REPLICA"
"""Its value is the absolute path of the replica's record."""

PATIENCE_S = 15.0
"""For wardens that are ending their servers, as they do when their controller is gone."""
LOOK_S = 0.05


def kill_leftovers(file: Path, record: Record) -> bool:
    """Kill what is alive of the replica with this record; False if nothing was."""
    found = _find(file, record)
    _kill(found)
    return bool(found)


def sweep(folder: Path) -> None:
    """End what the replicas of earlier controllers left, and drop their records.  What belongs to
    a controller that is alive is its own affair."""
    left = _abandoned(folder)
    until_s = time.monotonic() + PATIENCE_S
    while left and (now_s := time.monotonic()) < until_s + PATIENCE_S:
        left = {file: one for file, one in left.items() if not _is_over(file, one, now_s > until_s)}
        if left:
            time.sleep(LOOK_S)


def _abandoned(folder: Path) -> dict[Path, Record]:
    found = {}
    for file in folder.glob("*.pids"):
        with contextlib.suppress(FileNotFoundError):  # somebody else sweeps too
            found[file] = read_record(file)
    boot = this_boot()
    return {
        file: record
        for file, record in found.items()
        if record.boot != boot or not is_alive(record.controller)
    }


def _is_over(file: Path, record: Record, is_late: bool) -> bool:
    """Nothing of it is left, and its record is gone as well."""
    if record.boot == this_boot() and record.exit_code is None:
        if is_alive(record.warden) and not is_late:
            return False
        if found := _find(file, record):
            _kill(found)
            return False
    file.unlink(missing_ok=True)
    return True


def _find(file: Path, record: Record) -> list[Process]:
    leader = look_up(record.server.pid)
    has_session = leader is None or leader.birth == record.server  # else the pid is another's now
    mark = os.fsencode(f"{MARK}={file.resolve()}")

    def belongs(process: Process) -> bool:
        if process.is_zombie or not is_mine(process.birth.pid):
            return False
        in_session = has_session and process.session == record.server.pid > 0
        is_younger = process.birth.ticks >= record.server.ticks
        return (in_session and is_younger) or has_variable(process.birth.pid, mark)

    return [process for process in processes() if belongs(process)]


def _kill(found: Iterable[Process]) -> None:
    for process in found:
        if is_alive(process.birth):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.birth.pid, signal.SIGKILL)
