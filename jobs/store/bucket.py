"""How does a bucket (S3, GCS, Azure) or this process's memory serve as an object store?"""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import obstore
from obstore import exceptions as obstore_errors
from obstore.store import ObjectStore as Client

from jobs.store.base import Entry, NotFound, check_key
from jobs.store.explaining import explained

PARALLEL_READS = 16
"""Small reads are all waiting; S3 serves thousands per second and prefix."""

LIST_CHUNK = 1000
"""One page of an S3 listing."""


@dataclass(frozen=True, slots=True)
class BucketStore:
    """The client keeps threads of its own: use it after a fork, never before one."""

    url: str
    client: Client

    def get(self, key: str) -> bytes:
        with explained("read", self._where(key)):
            return bytes(obstore.get(self.client, check_key(key)).bytes())

    def get_many(self, keys: Sequence[str]) -> list[bytes]:
        if len(keys) < 2:
            return [self.get(key) for key in keys]
        with ThreadPoolExecutor(min(PARALLEL_READS, len(keys))) as pool:
            return list(pool.map(self.get, keys))

    def put(self, key: str, data: bytes, *, durable: bool = True) -> None:
        with explained("write", self._where(key)):
            obstore.put(self.client, check_key(key), data)

    def create(self, key: str, data: bytes, *, durable: bool = True) -> bool:
        with explained("create", self._where(key)):
            try:
                obstore.put(self.client, check_key(key), data, mode="create")
            except obstore_errors.AlreadyExistsError:
                return False
        return True

    def list(self, prefix: str = "") -> list[Entry]:
        with explained("list", self._where(prefix)):
            listed = obstore.list(self.client, prefix or None, chunk_size=LIST_CHUNK).collect()
        entries = [
            Entry(key=meta["path"], size=meta["size"], modified=meta["last_modified"])
            for meta in listed
        ]
        return sorted(entries, key=lambda entry: entry.key)

    def names(self, folder: str) -> Sequence[str]:
        with explained("list", self._where(folder)):
            found = obstore.list_with_delimiter(self.client, check_key(folder))
        return sorted(meta["path"].rpartition("/")[2] for meta in found["objects"])

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:  # one by one: a bulk delete promises no order
            with explained("delete", self._where(key)):
                try:
                    obstore.delete(self.client, check_key(key))
                except FileNotFoundError:
                    continue

    def exists(self, key: str) -> bool:
        try:
            with explained("look at", self._where(key)):
                obstore.head(self.client, check_key(key))
        except NotFound:
            return False
        return True

    def upload(self, path: Path, key: str) -> None:
        with explained("upload", f"{path} to {self._where(key)}"):
            obstore.put(self.client, check_key(key), path)

    def download(self, key: str, path: Path) -> None:
        with explained("download", f"{self._where(key)} to {path}"):
            stream = obstore.get(self.client, check_key(key)).stream()
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
            try:
                with partial.open("wb") as file:
                    for chunk in stream:
                        file.write(chunk)
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)

    def sha256(self, key: str) -> str:
        with explained("read", self._where(key)):
            digest = hashlib.sha256()
            for chunk in obstore.get(self.client, check_key(key)).stream():
                digest.update(chunk)
        return digest.hexdigest()

    def local_path(self, key: str) -> Path | None:
        return None

    def fetch(self, key_prefix: str, cache: Path) -> Path:
        """Downloaded aside and renamed, so that a folder in the cache is a whole one."""
        target = cache / check_key(key_prefix)
        if target.exists():
            return target
        partial = cache / f".{uuid.uuid4().hex}.part"
        try:
            self._download_all(key_prefix, partial)
            _keep_first(partial, target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
            partial.unlink(missing_ok=True)
        return target

    def check(self) -> None:
        probe = f".probe/{uuid.uuid4().hex}"
        self.put(probe, b"")
        self.delete([probe])

    def _download_all(self, key_prefix: str, target: Path) -> None:
        entries = self.list(key_prefix)
        for entry in entries:
            self.download(entry.key, target / entry.key.removeprefix(f"{key_prefix}/"))
        if not entries:
            self.download(key_prefix, target)

    def _where(self, key: str) -> str:
        return f"{self.url}/{key}"


def _keep_first(partial: Path, target: Path) -> None:
    """Of several processes that fetched the same thing, the first to finish provides it."""
    with explained("write", str(target)):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.rename(target)
        except OSError:
            if not target.exists():
                raise
