"""How does a file appear in a local folder whole or not at all, even after a power cut?

Written aside, flushed to disk, then renamed or hard-linked into place in one step.  A killed writer
leaves its leftover in `.staging`, where no listing looks and `gc` sweeps.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

STAGING = ".staging"

RACE_AT_MOST_S = 10.0
"""A sweeper of empty folders may remove one just before it is used, but not for ever."""

Fill = Callable[[BinaryIO], object]


def replace_file(root: Path, key: str, fill: Fill, *, durable: bool = True) -> None:
    """Put a file in place of whatever is there; readers see the old bytes or the new ones."""
    staged = _stage(root, fill, durable=durable)
    try:
        _into_place(root / key, lambda target: os.replace(staged, target))
    finally:
        staged.unlink(missing_ok=True)
    if durable:
        _sync_folder((root / key).parent)


def create_file(root: Path, key: str, fill: Fill, *, durable: bool = True) -> bool:
    """Put a file where there is none; False when there is one.  Of many racers, one wins."""
    if os.path.lexists(root / key):
        return False
    staged = _stage(root, fill, durable=True)
    try:
        _into_place(root / key, lambda target: _link(staged, target))
    except FileExistsError:
        return False
    finally:
        staged.unlink(missing_ok=True)
    if durable:
        _sync_folder((root / key).parent)
    return True


def from_bytes(data: bytes) -> Fill:
    return lambda file: file.write(data)


def from_file(path: Path) -> Fill:
    def copy(file: BinaryIO) -> None:
        with path.open("rb") as source:
            shutil.copyfileobj(source, file, 1 << 20)

    return copy


def _stage(root: Path, fill: Fill, *, durable: bool) -> Path:
    folder = root / STAGING
    staged = folder / f"{os.getpid()}-{uuid.uuid4().hex}"
    try:
        file = staged.open("xb")
    except FileNotFoundError:
        folder.mkdir(parents=True, exist_ok=True)
        file = staged.open("xb")
    try:
        with file:
            fill(file)
            file.flush()
            if durable:
                os.fsync(file.fileno())
    except BaseException:
        staged.unlink(missing_ok=True)
        raise
    return staged


def _into_place(target: Path, move: Callable[[Path], object]) -> object:
    end_s = time.monotonic() + RACE_AT_MOST_S
    while True:
        try:
            return move(target)
        except FileNotFoundError:  # no such folder: not yet, or not any more
            if time.monotonic() > end_s:
                raise
        with suppress(FileNotFoundError):  # a parent of it was swept away meanwhile
            target.parent.mkdir(parents=True, exist_ok=True)


def _link(staged: Path, target: Path) -> None:
    try:
        os.link(staged, target)
    except PermissionError as error:  # how Linux says that this kind of disk cannot
        raise OSError(errno.ENOTSUP, "the disk has no hard links") from error


def _sync_folder(folder: Path) -> None:
    """Make the new name itself survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
