"""Who sees to it that all processes of a replica end?  Its warden, a small process above it.

The server's descendants are the warden's: whatever they do, orphans among them fall to it
(PR_SET_CHILD_SUBREAPER), and it kills and buries them all before it ends itself.  It listens on a
pipe to the controller: LEAVE and KILL are orders, and the pipe's end says that the controller is
gone, however that happened.  Should the warden be killed, the kernel kills the server
(PR_SET_PDEATHSIG), and what the server leaves is found by `jobs.backends.leftovers`.

It has one thread and imports next to nothing.  Where there is no prctl, it kills the server's
process group, and what has left that group lives on.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from jobs.backends.process_trees import Birth, descendants, look_up, own_birth
from jobs.backends.replica_records import read_record, write_record

LEAVE = b"L"
"""SIGTERM to the server, and after its grace the end of all."""
KILL = b"K"
"""The end of all, at once."""

ORPHAN_GRACE_S = 5.0
"""Between SIGTERM and SIGKILL once the controller is gone."""

LOOK_S = 0.01
"""Between two looks at processes that were killed and are not gone yet."""

CANNOT_RUN = 127
"""A shell's exit code for a command that cannot be started."""

ASKING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
SET_PDEATHSIG, SET_CHILD_SUBREAPER = 1, 36  # of linux/prctl.h


class Warden:
    """Starts one server and ends with the last of its descendants."""

    def __init__(self, channel: int, grace_s: float) -> None:
        """`channel` is the end of the pipe to read."""
        os.set_inheritable(channel, False)
        self._channel = channel
        self._grace_s = grace_s
        self._signals = _pipe_of_signals()
        self._poll = select.poll()
        self._poll.register(channel, select.POLLIN)
        self._poll.register(self._signals, select.POLLIN)
        self._server = 0
        self._exit_code: int | None = None
        self._asked = False
        self._kill_at_s = float("inf")

    def start(self, command: Sequence[str]) -> Birth:
        """The server's."""
        parent = os.getpid()
        signal.pthread_sigmask(signal.SIG_BLOCK, ASKING)  # our handlers are not the server's
        self._server = os.fork()
        if self._server == 0:
            _become(command, parent)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        process = look_up(self._server)
        return process.birth if process else Birth(self._server, 0)

    def watch(self) -> int:
        """Until the server and all its descendants are gone; the server's exit code, negative
        when a signal ended it."""
        while self._bury() and self._exit_code is None:
            if time.monotonic() >= self._kill_at_s:
                self._kill_group()
                _kill_descendants()
            self._attend()
        self._kill_group()
        while self._bury():
            _kill_descendants()
            time.sleep(LOOK_S)
        assert self._exit_code is not None
        return self._exit_code

    def _attend(self) -> None:
        """Sleep until something happens, and do as told."""
        left_s = max(LOOK_S, self._kill_at_s - time.monotonic())
        for file, _ in self._poll.poll(None if left_s == float("inf") else left_s * 1000):
            said = os.read(file, 512)
            if file == self._signals:
                if any(number in said for number in ASKING):
                    self._ask_to_leave(self._grace_s)
            elif not said:
                self._poll.unregister(self._channel)
                self._ask_to_leave(ORPHAN_GRACE_S)
            elif KILL in said:
                self._kill_at_s = 0.0
            else:
                self._ask_to_leave(self._grace_s)

    def _ask_to_leave(self, grace_s: float) -> None:
        self._kill_at_s = min(self._kill_at_s, time.monotonic() + grace_s)
        if not self._asked:
            self._asked = True
            os.kill(self._server, signal.SIGTERM)  # not buried yet, so the pid is still its own

    def _bury(self) -> bool:
        """Whatever ended; False once no child is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self._server:
                self._exit_code = os.waitstatus_to_exitcode(status)

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._server, signal.SIGKILL)


def _kill_descendants() -> None:
    """Others may be born meanwhile, so this is repeated until nobody is left."""
    for pid in descendants(os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _pipe_of_signals() -> int:
    """Their numbers can be read from it; that of a child's end among them."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (*ASKING, signal.SIGCHLD):
        signal.signal(number, _note)
    return reader


def _note(number: int, frame: FrameType | None) -> None:
    """The pipe says it."""


def _become(command: Sequence[str], parent: int) -> NoReturn:
    """In the forked child: turn into the server."""
    os.setsid()
    _prctl(SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(CANNOT_RUN)
    for number in (*ASKING, signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores the last two
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        os.execvp(command[0], list(command))  # noqa: S606  (there is no shell in it)
    except OSError as error:
        os.write(2, f"cannot run {command[0]!r}: {error.strerror}\n".encode())
    os._exit(CANNOT_RUN)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def main(arguments: Sequence[str]) -> None:
    """`CHANNEL GRACE_S RECORD COMMAND...`, where the controller has begun the record."""
    channel, grace_s, record_file, *command = arguments
    _prctl(SET_CHILD_SUBREAPER, 1)
    warden = Warden(int(channel), float(grace_s))
    record = read_record(record_file)._replace(warden=own_birth(), server=warden.start(command))
    write_record(record_file, record)
    write_record(record_file, record._replace(exit_code=warden.watch()))
