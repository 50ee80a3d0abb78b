"""What in the store does nobody need any more?  `garbage` is pure; `collect` lists and deletes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta

from jobs.store import layout
from jobs.store.artifacts import Artifact
from jobs.store.base import Entry, ObjectStore
from jobs.store.durable import STAGING

GRACE = timedelta(days=1)
"""Work of the last day may still be going on, or its campaign may not be known here yet."""

_ADDRESS = re.compile(rb"artifacts/([^/\"\s]+)")

ShardId = tuple[str, int]
"""(address, shard)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Garbage:
    key: str
    size: int
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What to delete, in an order that is safe to stop at any point."""

    items: tuple[Garbage, ...]

    @property
    def num_bytes(self) -> int:
        return sum(item.size for item in self.items)


def collect(
    store: ObjectStore,
    roots: AbstractSet[str],
    *,
    now: datetime,
    grace: timedelta = GRACE,
    dry_run: bool = True,
) -> Plan:
    """Remove what `garbage` finds.  Artifacts that promotions refer to are kept as well."""
    entries = [*store.list(), *store.list(STAGING)]
    wanted = set(roots) | promoted(store, entries)
    plan = garbage(entries, wanted, before=now - grace, winners=_winners(store, entries))
    if not dry_run:
        store.delete(item.key for item in plan.items)
    return plan


def garbage(
    entries: Sequence[Entry],
    roots: AbstractSet[str],
    *,
    before: datetime,
    winners: Mapping[ShardId, str],
) -> Plan:
    """Only what was last touched `before` then.

    `roots` are the addresses that campaigns still want; `winners` the committed attempts of shards
    that several attempts left data for."""
    items: list[Garbage] = []
    by_artifact: dict[str, list[Entry]] = {}
    for entry in entries:
        if (split := layout.split_artifact_key(entry.key)) is not None:
            by_artifact.setdefault(split[0], []).append(entry)
        elif entry.key.startswith(f"{STAGING}/") and entry.modified < before:
            items.append(_item(entry, "left by a writer that was killed"))
    for address, found in sorted(by_artifact.items()):
        if address in roots:
            items += _unfinished(address, found, before, winners)
        elif all(entry.modified < before for entry in found):
            items += _whole(found)
    return Plan(items=tuple(items))


def contested(entries: Sequence[Entry]) -> list[ShardId]:
    """Committed shards with data of more than one attempt: only the record knows which counts."""
    done: set[ShardId] = set()
    attempts: dict[ShardId, set[str]] = {}
    for address, _, key in _shard_keys(entries):
        if key.kind == "done":
            done.add((address, key.shard))
        elif key.kind in ("data", "errors"):
            attempts.setdefault((address, key.shard), set()).add(key.attempt)
    return sorted(shard for shard, names in attempts.items() if len(names) > 1 and shard in done)


def promoted(store: ObjectStore, entries: Sequence[Entry]) -> set[str]:
    """Addresses that decisions in the registry mention."""
    keys = [entry.key for entry in entries if entry.key.startswith(f"{layout.REGISTRY}/")]
    texts = store.get_many(keys)
    return {found.decode() for text in texts for found in _ADDRESS.findall(text)}


def _winners(store: ObjectStore, entries: Sequence[Entry]) -> dict[ShardId, str]:
    return {
        (address, shard): Artifact(store, address).records([shard])[0].attempt
        for address, shard in contested(entries)
    }


def _whole(entries: Sequence[Entry]) -> list[Garbage]:
    """The seal goes first and commit records next: half deleted must never look complete."""

    def rank(entry: Entry) -> tuple[int, str]:
        if entry.key.endswith("/seal.json"):
            return 0, entry.key
        return (1 if entry.key.endswith(".done") else 2), entry.key

    reason = "no campaign wants this artifact"
    return [_item(entry, reason) for entry in sorted(entries, key=rank)]


def _unfinished(
    address: str, entries: Sequence[Entry], before: datetime, winners: Mapping[ShardId, str]
) -> list[Garbage]:
    done = {key.shard for _, _, key in _shard_keys(entries) if key.kind == "done"}
    items = []
    for _, entry, key in _shard_keys(entries):
        if key.kind not in ("data", "errors") or entry.modified >= before:
            continue
        winner = winners.get((address, key.shard), key.attempt)
        if key.shard not in done or key.attempt != winner:
            items.append(_item(entry, "data of an attempt that was never committed"))
    return items + _torn_checkpoints(address, entries, before)


def _torn_checkpoints(address: str, entries: Sequence[Entry], before: datetime) -> list[Garbage]:
    prefix = f"{layout.checkpoints_prefix(address)}/"
    steps: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.key.startswith(prefix):
            steps.setdefault(entry.key.removeprefix(prefix).partition("/")[0], []).append(entry)
    return [
        _item(entry, "part of a checkpoint that was never committed")
        for step, found in sorted(steps.items())
        if not step.endswith(".done") and f"{step}.done" not in steps
        if all(entry.modified < before for entry in found)
        for entry in found
    ]


def _shard_keys(entries: Sequence[Entry]) -> Iterator[tuple[str, Entry, layout.ShardKey]]:
    for entry in entries:
        if (split := layout.split_artifact_key(entry.key)) is None:
            continue
        if (key := layout.parse_shard_key(split[1])) is not None:
            yield split[0], entry, key


def _item(entry: Entry, reason: str) -> Garbage:
    return Garbage(key=entry.key, size=entry.size, reason=reason)
