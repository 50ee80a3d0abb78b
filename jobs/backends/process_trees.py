"""Which processes are there, and which descend from which?  As /proc tells.

Where there is no /proc, nothing is found.  Imported by every warden, so nothing heavy.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import NamedTuple


class Birth(NamedTuple):
    """Names one process for ever: a pid alone is given to others later."""

    pid: int
    ticks: int
    """Of the clock since boot, when it started."""


class Process(NamedTuple):
    birth: Birth
    parent: int
    session: int
    """The pid of the process that began it, who may be gone."""
    is_zombie: bool


def processes() -> Iterator[Process]:
    """Every process of the machine, zombies too."""
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir("/proc"):
            process = look_up(int(name)) if name.isdigit() else None
            if process is not None:
                yield process


def look_up(pid: int) -> Process | None:
    """None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return None
    fields = text[text.rindex(b")") + 2 :].split()  # a command's name may hold anything
    return Process(
        birth=Birth(pid, int(fields[19])),
        parent=int(fields[1]),
        session=int(fields[3]),
        is_zombie=fields[0] in {b"Z", b"X"},
    )


def own_birth() -> Birth:
    process = look_up(os.getpid())
    return process.birth if process else Birth(os.getpid(), 0)


def is_alive(birth: Birth) -> bool:
    process = look_up(birth.pid)
    return process is not None and process.birth == birth and not process.is_zombie


def descendants(pid: int) -> list[int]:
    """Children, their children and so on, parents first; zombies too."""
    children: dict[int, list[int]] = {}
    for process in processes():
        children.setdefault(process.parent, []).append(process.birth.pid)
    found = [pid]
    for one in found:  # grows while it is walked
        found += children.get(one, [])
    return found[1:]


def has_variable(pid: int, entry: bytes) -> bool:
    """Was it started with this "NAME=value" in its environment?  A process that renames itself may
    have overwritten what /proc shows."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return entry in file.read().split(b"\0")
    except OSError:  # it is gone, or another user's
        return False


def is_mine(pid: int) -> bool:
    try:
        return os.stat(f"/proc/{pid}").st_uid == os.geteuid()
    except OSError:
        return False
