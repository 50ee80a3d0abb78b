"""What do the small JSON documents of an artifact say?  Commit records, seals, failures."""

from __future__ import annotations

import builtins
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from jobs.spec.errors import StoreError


@dataclass(frozen=True, kw_only=True, slots=True)
class FileRecord:
    """One published file; a folder is many of them."""

    name: str
    """Relative path inside the artifact's `files/`."""
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CommitRecord:
    """The one attempt of a shard that counts, and what it left."""

    index: int
    attempt: str
    rows: int = 0
    bytes: int = 0
    sha256: str = ""
    """Of the data file; empty when the attempt wrote no rows at all."""
    errors: int = 0
    """Rows that could not be judged."""
    errors_bytes: int = 0
    errors_sha256: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[FileRecord, ...] = ()

    def to_json(self) -> builtins.bytes:
        return dump(asdict(self))

    @classmethod
    def from_json(cls, data: builtins.bytes, *, where: str) -> Self:
        raw = parse(data, where=where)
        with complete(where):
            return cls(**raw | {"files": _files(raw["files"])})


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardRecord:
    """A committed shard as a seal lists it."""

    index: int
    attempt: str
    rows: int
    bytes: int
    sha256: str
    errors: int
    errors_bytes: int
    errors_sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Seal:
    """The artifact is complete: what it is, what it holds and how to prove it."""

    address: str
    node: str
    stage: str
    run: str
    version: str
    params: Mapping[str, Any]
    inputs: Mapping[str, Sequence[str]]
    """Addresses of the upstream artifacts by input name."""
    coordinates: Mapping[str, Any]
    num_rows: int
    num_errors: int
    facts: Mapping[str, Any]
    shards: tuple[ShardRecord, ...]
    files: tuple[FileRecord, ...]

    @property
    def data_digest(self) -> str:
        """Equal for equal rows, whichever attempts made them."""
        return _digest(f"{shard.sha256}\n" for shard in self.shards)

    @property
    def files_digest(self) -> str:
        """Equal for equal published files."""
        return _digest(f"{file.name}\0{file.sha256}\n" for file in self.files)

    def to_json(self) -> bytes:
        return dump(asdict(self) | {"data_digest": self.data_digest})

    @classmethod
    def from_json(cls, data: bytes, *, where: str) -> Self:
        raw = parse(data, where=where)
        with complete(where):
            digest = raw.pop("data_digest")
            shards = tuple(ShardRecord(**shard) for shard in raw["shards"])
            seal = cls(**raw | {"shards": shards, "files": _files(raw["files"])})
        if seal.data_digest != digest:
            raise Damaged(
                f"{where} does not match its own digest.",
                fix="delete it; the stage is sealed again",
            )
        return seal


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """One attempt that did not commit, by its own word or the controller's."""

    code: str
    """What kind of failure, such as "failed" or "timed_out"."""
    attempt: str


class Damaged(StoreError):
    """Something in the store is not what its record says."""

    def __init__(self, message: str = "", *, fix: str = "", shards: tuple[int, ...] = ()) -> None:
        super().__init__(message, fix=fix)
        self.shards = shards
        """Shards to forget and run again, where it is about shards."""


def dump(value: object) -> bytes:
    """JSON with one possible spelling, so that equal values are equal bytes."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, default=_plain)
    return f"{text}\n".encode()


def parse(data: bytes, *, where: str) -> dict[str, Any]:
    try:
        raw = json.loads(data)
    except ValueError as error:
        raise _unreadable(where, error) from error
    if not isinstance(raw, dict):
        raise _unreadable(where, "not a JSON object")
    return raw


@contextmanager
def complete(where: str) -> Iterator[None]:
    """Turn a missing, surplus or misshapen field into Damaged."""
    try:
        yield
    except (KeyError, TypeError, AttributeError) as error:
        raise _unreadable(where, error) from error


def _files(raw: Sequence[Mapping[str, Any]]) -> tuple[FileRecord, ...]:
    return tuple(FileRecord(**file) for file in raw)


def _unreadable(where: str, why: object) -> Damaged:
    return Damaged(
        f"{where} is damaged ({why}).",
        fix="delete it; what it recorded is done again on the next run",
    )


def _digest(lines: Iterator[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode())
    return digest.hexdigest()


def _plain(value: object) -> object:
    """Mappings and numbers that json does not know by type, such as numpy's."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    item = getattr(value, "item", None)
    if callable(item):
        return item()
    raise TypeError(f"{value!r} is not JSON")
