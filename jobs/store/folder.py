"""How does a local folder serve as an object store?

Plain files, without the obstore client that buckets use, for three reasons: its threads do not
survive a fork and local workers are forked, it does not flush to disk before a name appears, and it
hides the error number that tells a full disk from a broken one.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from jobs.spec.errors import StoreError
from jobs.store.base import Entry, NotFound, check_key
from jobs.store.durable import STAGING, create_file, from_bytes, from_file, replace_file
from jobs.store.explaining import explained
from jobs.store.hashing import describe_file


@dataclass(frozen=True, slots=True)
class FolderStore:
    root: Path

    @property
    def url(self) -> str:
        return self.root.as_uri()

    def get(self, key: str) -> bytes:
        path = self._path(key)
        with explained("read", str(path)):
            try:
                return path.read_bytes()
            except (IsADirectoryError, NotADirectoryError) as error:
                raise NotFound(f"{path} is no object.") from error

    def get_many(self, keys: Sequence[str]) -> list[bytes]:
        return [self.get(key) for key in keys]

    def put(self, key: str, data: bytes, *, durable: bool = True) -> None:
        with explained("write", str(self._path(key))):
            replace_file(self.root, key, from_bytes(data), durable=durable)

    def create(self, key: str, data: bytes, *, durable: bool = True) -> bool:
        with explained("create", str(self._path(key))):
            return create_file(self.root, key, from_bytes(data), durable=durable)

    def list(self, prefix: str = "") -> list[Entry]:
        top = self._path(prefix) if prefix else self.root
        with explained("list", str(top)):
            entries = [
                Entry(key=key, size=stat.st_size, modified=_time(stat))
                for key, stat in _walk(str(top), f"{prefix}/" if prefix else "")
            ]
        return sorted(entries, key=lambda entry: entry.key)

    def names(self, folder: str) -> Sequence[str]:
        with explained("list", str(self._path(folder))):
            return sorted(item.name for item in _scan(str(self._path(folder))) if item.is_file())

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            path = self._path(key)
            with explained("delete", str(path)):
                path.unlink(missing_ok=True)
                self._drop_empty_folders(path.parent)

    def exists(self, key: str) -> bool:
        with explained("look at", str(self._path(key))):
            return self._path(key).is_file()

    def upload(self, path: Path, key: str) -> None:
        with explained("copy", f"{path} to {self._path(key)}"):
            replace_file(self.root, key, from_file(path))

    def download(self, key: str, path: Path) -> None:
        if not self.exists(key):
            raise NotFound(f"{self._path(key)} is no object.")
        with explained("copy", f"{self._path(key)} to {path}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path.parent, path.name, from_file(self._path(key)), durable=False)

    def sha256(self, key: str) -> str:
        return describe_file(self._path(key), key).sha256

    def local_path(self, key: str) -> Path | None:
        return self._path(key)

    def fetch(self, key_prefix: str, cache: Path) -> Path:
        path = self._path(key_prefix)
        if not path.exists():
            raise NotFound(f"There is nothing at {path}.", fix="check the name of the file")
        return path

    def check(self) -> None:
        probe = f"{STAGING}/probe-{uuid.uuid4().hex}"
        with explained("write", str(self.root)):
            create_file(self.root, probe, from_bytes(b""))
            (self.root / probe).unlink()
            os.listdir(self.root)

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)

    def _drop_empty_folders(self, folder: Path) -> None:
        while folder != self.root:
            try:
                folder.rmdir()
            except OSError:  # not empty, or a writer just made use of it
                return
            folder = folder.parent


def open_folder(path: Path) -> FolderStore:
    root = path.expanduser().absolute()
    if root.exists() and not root.is_dir():
        raise StoreError(f"The store {root} is a file.", fix="name a folder in spec.store.url")
    return FolderStore(root)


def _scan(folder: str) -> Sequence[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as scan:
            return list(scan)
    except (FileNotFoundError, NotADirectoryError):
        return ()


def _walk(folder: str, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    """Every file below a folder; what vanishes meanwhile was never listed."""
    for item in _scan(folder):
        if item.is_dir():
            if item.name != STAGING or prefix:
                yield from _walk(item.path, f"{prefix}{item.name}/")
            continue
        try:
            yield f"{prefix}{item.name}", item.stat()
        except FileNotFoundError:
            continue


def _time(stat: os.stat_result) -> datetime:
    return datetime.fromtimestamp(stat.st_mtime, tz=UTC)
