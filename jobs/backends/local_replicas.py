"""How do replicas run on this machine?  Each under a warden, in slots shared with the workers."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Container, Mapping
from dataclasses import replace
from pathlib import Path

import jobs
from jobs.backends.last_lines import last_lines, secrets_of
from jobs.backends.leftovers import MARK, kill_leftovers, sweep
from jobs.backends.local import safe_name
from jobs.backends.process_trees import own_birth
from jobs.backends.replica_records import Record, read_record, this_boot, write_record
from jobs.backends.replicas import PORT, ReplicaStatus, ReplicaWork
from jobs.backends.slots import Lease, Slots, visible_devices
from jobs.backends.warden import CANNOT_RUN, KILL, LEAVE, ORPHAN_GRACE_S
from jobs.spec.errors import ConfigError

HOST = "127.0.0.1"

KNOWN = 50
"""How many of those that ended are told of, apart from the ones not told of yet."""

OURS_ALONE = frozenset({"PROMETHEUS_MULTIPROC_DIR"})
"""Variables that replicas do not inherit: with this one each would tell everybody's metrics."""

LATE_S = 10.0
"""A warden that is still there so long after the grace hangs itself."""
LOOK_S = 0.05

ROOT = str(Path(jobs.__file__).parents[1])
BOOT = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from jobs.backends.warden import main; main(sys.argv[2:])"
)
"""Starts a warden without looking at site-packages, which takes longer than all that it does."""


class LocalReplicas:
    """One controller's, whose `logs` no other controller uses at the same time."""

    def __init__(self, slots: Slots, logs: Path) -> None:
        """What an earlier controller with these logs left is ended first."""
        self._slots = slots
        self._logs = logs
        self._started: set[str] = set()
        self._live: dict[str, _Replica] = {}
        self._statuses: dict[str, ReplicaStatus] = {}
        self._told: list[str] = []
        """Those that had ended by the last look."""
        sweep(logs)

    def start(self, work: ReplicaWork, *, squeeze: bool = False) -> bool:
        self._refuse_what_never_fits(work)
        if work.name in self._started:
            return True
        lease = self._slots.take(cpus=work.cpus, gpus=work.gpus, squeeze=squeeze)
        if lease is None:
            return False
        self._started.add(work.name)
        port = _free_port({replica.port for replica in self._live.values()})
        replica = _Replica(work, lease, self._logs, port)
        self._live[work.name] = replica
        self._statuses[work.name] = ReplicaStatus(
            name=work.name,
            fleet=work.fleet,
            url=f"http://{HOST}:{port}",
            started_at=time.time(),
        )
        try:
            replica.start()
        except OSError as error:  # no file, no memory or no process left: a failed start
            self._end(work.name, CANNOT_RUN, (f"cannot be started: {error}",))
        return True

    def stop(self, name: str, *, hard: bool = False) -> None:
        if name in self._live:
            self._live[name].tell(KILL if hard else LEAVE)
            self._statuses[name] = replace(self._statuses[name], stopping=True)

    def observe(self) -> Mapping[str, ReplicaStatus]:
        for name in self._told[:-KNOWN]:
            del self._statuses[name]
        for name, replica in list(self._live.items()):
            if replica.is_gone():
                self._bury(name)
        self._told = [name for name in self._statuses if name not in self._live]
        return dict(self._statuses)

    def close(self) -> None:
        for name, replica in self._live.items():
            replica.abandon()
            self._statuses[name] = replace(self._statuses[name], stopping=True)
        until_s = time.monotonic() + ORPHAN_GRACE_S + 2 * LATE_S
        for name, replica in list(self._live.items()):
            while not replica.is_gone() and time.monotonic() < until_s:
                replica.wait(LOOK_S)
            self._bury(name)

    def _bury(self, name: str) -> None:
        is_failure = not self._statuses[name].stopping
        replica = self._live[name]
        self._end(name, replica.exit_code(), replica.last_lines() if is_failure else ())

    def _end(self, name: str, exit_code: int, lines: tuple[str, ...]) -> None:
        replica = self._live.pop(name)
        replica.close()
        self._slots.give_back(replica.lease)
        self._statuses[name] = replace(
            self._statuses[name], ended=True, exit_code=exit_code, last_lines=lines
        )

    def _refuse_what_never_fits(self, work: ReplicaWork) -> None:
        if work.gpus > self._slots.machine.gpus:
            raise ConfigError(
                f"a replica of fleet {work.fleet!r} needs {work.gpus} GPUs and this machine has "
                f"{self._slots.machine.gpus}.",
                fix="run this campaign on a cluster, or ask for fewer GPUs in the fleet's "
                "resources.gpus.",
            )


class _Replica:
    """One server, from its port to its end."""

    def __init__(self, work: ReplicaWork, lease: Lease, logs: Path, port: int) -> None:
        self.lease = lease
        self.port = port
        self._work = work
        self._log = logs / f"{safe_name(work.name)}.log"
        self._file = logs / f"{safe_name(work.name)}.pids"
        self._begun = Record(boot=this_boot(), controller=own_birth())
        self._log_begin = 0
        inherited = {name: value for name, value in os.environ.items() if name not in OURS_ALONE}
        self._environ = {**inherited, **work.env, MARK: str(self._file.resolve())}
        if lease.gpus:
            self._environ["CUDA_VISIBLE_DEVICES"] = visible_devices(lease.gpus, os.environ)
        self._channel: int | None = None
        """To the warden.  No other process may hold it: its end is how the warden learns that
        the controller is gone."""
        self._warden: subprocess.Popen[bytes] | None = None
        self._late_at_s = float("inf")

    def start(self) -> None:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        write_record(self._file, self._begun)
        reader, self._channel = os.pipe()
        try:
            with self._log.open("ab") as log:
                self._log_begin = log.tell()
                self._warden = subprocess.Popen(
                    self._command(reader),
                    env=self._environ,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(reader,),
                    start_new_session=True,
                )
        finally:
            os.close(reader)

    def tell(self, order: bytes) -> None:
        grace_s = 0.0 if order == KILL else self._work.grace_s
        self._expect_end(grace_s)
        if self._channel is not None:
            try:
                os.write(self._channel, order)
            except BrokenPipeError:
                self._hang_up()

    def abandon(self) -> None:
        """As if the controller were gone."""
        self._expect_end(ORPHAN_GRACE_S)
        self._hang_up()

    def is_gone(self) -> bool:
        """With every process.  Does not wait."""
        assert self._warden is not None
        if self._warden.poll() is None:
            if time.monotonic() > self._late_at_s:
                self._warden.kill()
            return False
        record = self._record()
        return record.exit_code is not None or not kill_leftovers(self._file, record)

    def wait(self, at_most_s: float) -> None:
        assert self._warden is not None
        try:
            self._warden.wait(at_most_s)
        except subprocess.TimeoutExpired:
            return

    def exit_code(self) -> int:
        assert self._warden is not None
        code = self._record().exit_code
        if code is None:  # the warden was killed, so nobody knows
            return self._warden.returncode or -signal.SIGKILL
        return code

    def last_lines(self) -> tuple[str, ...]:
        return last_lines(self._log, secrets_of(self._environ), since=self._log_begin)

    def close(self) -> None:
        self._hang_up()
        with contextlib.suppress(OSError):  # one that stays is swept away by the next controller
            self._file.unlink()

    def _record(self) -> Record:
        try:
            return read_record(self._file)
        except FileNotFoundError:  # somebody tidied up
            return self._begun

    def _expect_end(self, grace_s: float) -> None:
        self._late_at_s = min(self._late_at_s, time.monotonic() + grace_s + LATE_S)

    def _hang_up(self) -> None:
        if self._channel is not None:
            os.close(self._channel)
            self._channel = None

    def _command(self, channel: int) -> list[str]:
        warden = [sys.executable, "-I", "-S", "-c", BOOT, ROOT]
        server = [word.replace(PORT, str(self.port)) for word in self._work.command]
        return [*warden, str(channel), str(self._work.grace_s), str(self._file), *server]


def _free_port(taken: Container[int]) -> int:
    """One that nobody listens on and that is not about to be."""
    while True:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port: int = probe.getsockname()[1]
        if port not in taken:
            return port
