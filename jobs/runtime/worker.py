"""What happens in one process of one attempt?  Read the spec, run the stage, commit, exit.

The exit code is all that the outside learns: 0 done, 64 bad configuration, 65 poisoned shard,
75 asked to leave; anything else is a failure that may be tried again.
"""

from __future__ import annotations

import errno
import json
import signal
import tempfile
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import structlog

from jobs.backends.base import ShardTask
from jobs.plan.retry import cause_of
from jobs.runtime.entrypoints import EntryPoint, load
from jobs.runtime.folders import cache_folder
from jobs.runtime.logs import configure_logging
from jobs.runtime.rows import rows_of_shard
from jobs.runtime.stage_io import AttemptIO, Place
from jobs.spec.errors import DrainedError, JobsError
from jobs.spec.exitcodes import DONE, FAILED
from jobs.store.artifacts import Artifact
from jobs.store.commit import Output, commit_output, committed
from jobs.store.objects import ObjectStore, open_store
from jobs.store.tables import ERRORS

log = structlog.get_logger()


class LeaveRequest:
    """Set by SIGTERM; read by the stage at its safe points."""

    def __init__(self) -> None:
        self.made = False
        signal.signal(signal.SIGTERM, self._on_signal)

    def _on_signal(self, number: int, frame: object) -> None:
        self.made = True

    def __call__(self) -> bool:
        return self.made


def work(task: ShardTask) -> int:
    """Do the task and return the exit code of its process."""
    leave = LeaveRequest()
    configure_logging(json_lines=True)
    structlog.contextvars.bind_contextvars(
        node=task.node, shard=task.shard, attempt=task.attempt, rank=task.rank
    )
    try:
        store = open_store(task.store_url, dict(task.store_options))
    except JobsError as error:
        log.error("store_unreachable", error=str(error))
        return FAILED
    try:
        _run(task, store, leave)
    except Exception as error:  # noqa: BLE001 - the process boundary: every error becomes a code
        code = exit_code_of(error)
        log.error("attempt_failed", exit_code=code, error=message_of(error))
        traceback.print_exc()
        _record_failure(task, store, code, error)
        return code
    return DONE


def exit_code_of(error: BaseException) -> int:
    """By the error's own `exit_code`, which the method's and the job system's errors carry."""
    code = getattr(error, "exit_code", FAILED)
    return code if isinstance(code, int) else FAILED


def message_of(error: BaseException) -> str:
    """One line a person can act upon."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"no space left on the disk ({error.filename}). Fix: free space, then run again."
    if isinstance(error, MemoryError):
        return "out of memory. Fix: smaller shards or batches, or a larger resources.memory."
    return f"{type(error).__name__}: {error}"


def _run(task: ShardTask, store: ObjectStore, leave: LeaveRequest) -> None:
    artifact = Artifact(store, task.address)
    if committed(artifact, task.shard) is not None:
        return  # an earlier attempt was first
    spec = artifact.spec()
    entry = load(spec["run"])
    with tempfile.TemporaryDirectory(prefix="rprm-") as scratch:
        io = AttemptIO(
            task=task,
            store=store,
            spec=spec,
            place=Place(scratch=Path(scratch), cache=cache_folder()),
            asked_to_leave=leave,
        )
        table = _results(entry, spec, io, task)
        if task.rank != 0:
            return
        output = Output(
            table=table,
            errors=pa.Table.from_pylist(io.errors, schema=ERRORS),
            facts=io.facts,
            files=io.files,
        )
        record = commit_output(artifact, task.shard, task.attempt, output)
    log.info("shard_committed", rows=record.rows, errors=record.errors, winner=record.attempt)


def _results(
    entry: EntryPoint, spec: Mapping[str, Any], io: AttemptIO, task: ShardTask
) -> pa.Table | None:
    stage = entry.make(spec["params"])
    if entry.kind != "map":
        stage.run(io)
        return io.data
    rows = rows_of_shard(spec, io, task.shard)
    return _collect(stage.run(io, rows), io)


def _collect(tables: Iterable[pa.Table], io: AttemptIO) -> pa.Table | None:
    parts = []
    for table in tables:
        parts.append(table)
        if io.draining:
            raise DrainedError("asked to leave; the shard starts again elsewhere.")
    return pa.concat_tables(parts) if parts else None


def _record_failure(task: ShardTask, store: ObjectStore, code: int, error: Exception) -> None:
    """For `status` and `explain`; the exit code alone decides what happens."""
    body = {
        "exit_code": code,
        "message": message_of(error),
        "traceback": "".join(traceback.format_exception(error))[-4000:],
    }
    cause = cause_of(code)
    if cause is None:
        return
    try:
        Artifact(store, task.address).fail(task.shard, cause.value, task.attempt, json.dumps(body))
    except JobsError as problem:
        log.warning("failure_not_recorded", why=str(problem))
