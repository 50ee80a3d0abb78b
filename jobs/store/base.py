"""What can every object store do?  The same verbs on a local folder and in a bucket."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from jobs.spec.errors import StoreError

MAX_SEGMENT_BYTES = 255
"""What the usual file systems allow for one name."""


class NotFound(StoreError):
    """There is no object of that key."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One object of a listing."""

    key: str
    size: int
    modified: datetime


class ObjectStore(Protocol):
    """Keys are relative paths with "/"; an object is there whole or not at all.

    Everything raises StoreError that says what, where and the fix."""

    @property
    def url(self) -> str:
        """Absolute, so that a uri built from it means the same in every process."""
        ...

    def get(self, key: str) -> bytes:
        """Raises NotFound."""
        ...

    def get_many(self, keys: Sequence[str]) -> list[bytes]:
        """The objects in the order of `keys`; raises NotFound if any is missing."""
        ...

    def put(self, key: str, data: bytes, *, durable: bool = True) -> None:
        """Write or replace.  A power cut may lose or tear what is not `durable`."""
        ...

    def create(self, key: str, data: bytes, *, durable: bool = True) -> bool:
        """Write only if nothing has that key: True for exactly one of many racers.

        A power cut may undo what is not `durable`, but never tear it."""
        ...

    def list(self, prefix: str = "") -> list[Entry]:
        """Everything below the folder `prefix`, sorted by key, from one listing."""
        ...

    def names(self, folder: str) -> Sequence[str]:
        """Names of the objects directly in a folder: one listing, and cheaper than `list`."""
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Remove in the given order; what is already gone is fine."""
        ...

    def exists(self, key: str) -> bool: ...

    def upload(self, path: Path, key: str) -> None:
        """Copy one local file into the store without holding it in memory."""
        ...

    def download(self, key: str, path: Path) -> None:
        """Copy one object to a local file; raises NotFound."""
        ...

    def sha256(self, key: str) -> str:
        """Of the object's bytes, streamed; raises NotFound."""
        ...

    def local_path(self, key: str) -> Path | None:
        """Where the object or folder is on this machine; None for remote stores."""
        ...

    def fetch(self, key_prefix: str, cache: Path) -> Path:
        """A local copy of one object or of a folder of them; the original in local stores."""
        ...

    def check(self) -> None:
        """Raise StoreError now if the store cannot be read and written."""
        ...


def check_key(key: str) -> str:
    """The key itself, if every store can hold it."""
    for part in key.split("/"):
        if part in ("", ".", "..") or not part.isprintable() or "\\" in part:
            raise StoreError(
                f"{key!r} cannot be a key of the object store.",
                fix="use a relative path of printable names, without '.', '..' or '\\'",
            )
        if len(part.encode()) > MAX_SEGMENT_BYTES:
            raise StoreError(f"{key[:80]!r}… is too long.", fix="use shorter file names")
    return key
