"""Which records has a sink not received yet?  Appended once, delivered once per sink.

`track/<key>.json` is the record, `track/<key>.sent.<sink>` says that one tracking server holds
it.  An artifact that another campaign reuses is therefore delivered to that campaign's server
too, and a server that was away finds everything waiting.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from jobs.store.layout import sent_key, track_key, track_prefix
from jobs.tracking.records import BadRecord, Record, from_json, key, to_json


class Listed(Protocol):
    @property
    def key(self) -> str: ...

    @property
    def size(self) -> int: ...


class RecordStore(Protocol):
    """What tracking needs of an object store."""

    @property
    def url(self) -> str: ...

    def get(self, key: str) -> bytes: ...

    def get_many(self, keys: Sequence[str]) -> Sequence[bytes]: ...

    def create(self, key: str, data: bytes) -> bool:
        """False when the key was there already; its content then stays as it was."""
        ...

    def list(self, prefix: str) -> Sequence[Listed]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    key: str
    record: Record


@dataclass(frozen=True, kw_only=True, slots=True)
class Pending:
    """What one sink lacks of one artifact."""

    waiting: tuple[Waiting, ...]
    """In the order of their keys."""
    unreadable: tuple[str, ...]
    """Keys whose bytes are no record; they must not hold up the others."""
    sent: frozenset[str]
    """Keys this sink is known to hold."""


def append(store: RecordStore, address: str, record: Record) -> bool:
    """True if the record is new; False if one with its key was there (and stays)."""
    return store.create(track_key(address, key(record)), to_json(record))


def pending(store: RecordStore, address: str, sink: str) -> Pending:
    """Costs one listing, and one read per record that waits."""
    names = [entry.key.rsplit("/", 1)[-1] for entry in store.list(track_prefix(address))]
    keys, sent = _split(names, sink)
    lacking = sorted(keys - sent)
    waiting: list[Waiting] = []
    unreadable: list[str] = []
    found = store.get_many([track_key(address, name) for name in lacking])
    for name, data in zip(lacking, found, strict=True):
        try:
            record = from_json(data)
        except BadRecord:
            unreadable.append(name)
        else:
            waiting.append(Waiting(key=name, record=record))
    return Pending(waiting=tuple(waiting), unreadable=tuple(unreadable), sent=frozenset(sent))


def mark_sent(store: RecordStore, address: str, key: str, sink: str) -> None:
    """Harmless when repeated."""
    store.create(sent_key(address, key, sink), b"")


def _split(names: Iterable[str], sink: str) -> tuple[set[str], set[str]]:
    keys: set[str] = set()
    sent: set[str] = set()
    for name in names:
        if name.endswith(".json"):
            keys.add(name.removesuffix(".json"))
        elif name.endswith(suffix := f".sent.{sink}"):
            sent.add(name.removesuffix(suffix))
    return keys, sent
