"""What does a stage leave, and how is it read?  A content-addressed folder, sealed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from jobs.spec.errors import StoreError
from jobs.store import layout
from jobs.store.base import Entry, NotFound, ObjectStore
from jobs.store.hashing import describe_file, files_below, sha256_of
from jobs.store.records import (
    CommitRecord,
    Damaged,
    Failure,
    FileRecord,
    Seal,
    ShardRecord,
    dump,
    parse,
)
from jobs.store.sealing import seal_of
from jobs.store.tables import ERRORS, concatenate, from_parquet

IDENTITY = ("run", "version", "params", "inputs", "digests", "num_rows", "num_shards")
"""Keys of a spec that the address stands for; the rest may differ between two campaigns."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArtifactState:
    """One observation of an artifact."""

    sealed: bool
    done: frozenset[int]
    """Shards with a commit record."""
    failures: Mapping[int, tuple[Failure, ...]]
    """Per shard, of shards done and not done."""


@dataclass(frozen=True, slots=True)
class Artifact:
    store: ObjectStore
    address: str

    @property
    def url(self) -> str:
        return f"{self.store.url}/{layout.artifact_prefix(self.address)}"

    def prepare(self, spec: Mapping[str, Any]) -> None:
        """Write spec.json once.  Who finds another identity under this address must not go on."""
        if self.store.create(layout.spec_key(self.address), dump(spec)):
            return
        found = self.spec()
        wanted = parse(dump(spec), where="the spec of this stage")
        changed = [key for key in IDENTITY if found.get(key) != wanted.get(key)]
        if changed:
            raise StoreError(
                f"{self.url} was prepared with another {', '.join(changed)}.",
                fix="raise the `version` of the stage's class, so that it gets a new address",
            )

    def spec(self) -> dict[str, Any]:
        key = layout.spec_key(self.address)
        return parse(self.store.get(key), where=f"{self.store.url}/{key}")

    def observe(self) -> ArtifactState:
        """One listing however many shards there are, and one look for the seal."""
        done: set[int] = set()
        failures: dict[int, list[Failure]] = {}
        for name in self.store.names(layout.shards_prefix(self.address)):
            key = layout.parse_shard_key(f"shards/{name}")
            if key is not None and key.kind == "done":
                done.add(key.shard)
            elif key is not None and key.kind == "failed":
                failure = Failure(code=key.code, attempt=key.attempt)
                failures.setdefault(key.shard, []).append(failure)
        return ArtifactState(
            sealed=self.store.exists(layout.seal_key(self.address)),
            done=frozenset(done),
            failures={shard: tuple(found) for shard, found in failures.items()},
        )

    def fail(self, shard: int, code: str, attempt: str, detail: str = "") -> bool:
        """Note that an attempt failed; False when that was noted before."""
        key = layout.failed_key(self.address, shard, code, attempt)
        return self.store.create(key, detail.encode())

    def records(self, shards: Sequence[int]) -> list[CommitRecord]:
        """Commit records of these shards; raises NotFound if one is not committed."""
        keys = [layout.done_key(self.address, shard) for shard in shards]
        read = self.store.get_many(keys)
        return [
            CommitRecord.from_json(data, where=f"{self.store.url}/{key}")
            for key, data in zip(keys, read, strict=True)
        ]

    def seal(self, num_shards: int) -> Seal:
        """Prove that every shard is committed and every file is there, then say so for good."""
        if (sealed := self.read_seal()) is not None:
            return sealed
        entries = self.store.list(layout.artifact_prefix(self.address))
        done = sorted(
            key.shard
            for key in map(self._shard_key, entries)
            if key is not None and key.kind == "done"
        )
        sizes = {entry.key: entry.size for entry in entries}
        made = seal_of(
            self.address,
            spec=self.spec(),
            records=self.records(done),
            num_shards=num_shards,
            sizes=sizes,
        )
        self.store.create(layout.seal_key(self.address), made.to_json())
        return made

    def unseal(self) -> None:
        """Open the artifact again, to redo shards of it."""
        self.store.delete([layout.seal_key(self.address)])

    def forget(self, shards: Sequence[int]) -> None:
        """Unseal, and make these shards run again as if they had never run."""
        self.unseal()
        self.store.delete(layout.done_key(self.address, shard) for shard in shards)
        gone = set(shards)
        rest = [
            entry.key
            for entry in self.store.list(layout.shards_prefix(self.address))
            if (key := self._shard_key(entry)) is not None and key.shard in gone
        ]
        self.store.delete(rest)

    def read_seal(self) -> Seal | None:
        key = layout.seal_key(self.address)
        try:
            data = self.store.get(key)
        except NotFound:
            return None
        return Seal.from_json(data, where=f"{self.store.url}/{key}")

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All data rows in row order; every file is checked against its record."""
        found = [
            from_parquet(self._verified(shard, errors=False), columns, where=self.url)
            for shard in self._sealed().shards
            if shard.bytes
        ]
        return concatenate(found, columns)

    def rows(self, start: int, stop: int) -> pa.Table:
        """Data rows start..stop, reading only the files that hold them."""
        found: list[pa.Table] = []
        for shard, low, high in _spans(self._sealed().shards, start, stop):
            part = from_parquet(self._verified(shard, errors=False), None, where=self.url)
            found.append(part.slice(low, high - low))
        return concatenate(found, None)

    def errors(self) -> pa.Table:
        """Rows that could not be judged: row_id, cause, detail."""
        found: list[pa.Table] = [
            from_parquet(self._verified(shard, errors=True), None, where=self.url)
            for shard in self._sealed().shards
            if shard.errors_bytes
        ]
        return concatenate([ERRORS.empty_table(), *found], None)

    def publish(self, path: Path, name: str) -> tuple[FileRecord, ...]:
        """Copy a file or a folder in; it counts once a commit record names it."""
        found = files_below(path, name)
        if not found:
            raise StoreError(f"There is nothing to publish at {path}.", fix="write the file first")
        for file, file_name in found:
            self.store.upload(file, layout.file_key(self.address, file_name))
        return tuple(describe_file(file, file_name) for file, file_name in found)

    def path(self, name: str, cache: Path) -> Path:
        """A local, read-only copy of what was published under `name`.

        Downloads are checked byte by byte, once; files of a local store by their sizes."""
        wanted = [
            file
            for file in self._sealed().files
            if file.name == name or file.name.startswith(f"{name}/")
        ]
        if not wanted:
            raise NotFound(
                f"{self.url} has no published file {name!r}.", fix=f"it has {self._published()}"
            )
        key = layout.file_key(self.address, name)
        local = self.store.fetch(key, cache)
        for file in wanted:
            found = local if file.name == name else local / file.name.removeprefix(f"{name}/")
            self._check_file(file, found, bytewise=self.store.local_path(key) is None)
        return local

    def _sealed(self) -> Seal:
        seal = self.read_seal()
        if seal is None:
            raise NotFound(f"{self.url} is not sealed.", fix="wait until its stage is complete")
        return seal

    def _published(self) -> str:
        return ", ".join(sorted({file.name for file in self._sealed().files})) or "none"

    def _shard_key(self, entry: Entry) -> layout.ShardKey | None:
        prefix = f"{layout.artifact_prefix(self.address)}/"
        return layout.parse_shard_key(entry.key.removeprefix(prefix))

    def _verified(self, shard: ShardRecord, *, errors: bool) -> bytes:
        make_key = layout.errors_key if errors else layout.data_key
        key = make_key(self.address, shard.index, shard.attempt)
        wanted = shard.errors_sha256 if errors else shard.sha256
        try:
            data = self.store.get(key)
        except NotFound:
            data = None
        if data is not None and sha256_of(data) == wanted:
            return data
        raise damaged(self, shard.index, key, "is missing" if data is None else "has changed")

    def _check_file(self, file: FileRecord, found: Path, *, bytewise: bool) -> None:
        same = found.is_file() and found.stat().st_size == file.size
        if same and bytewise:
            same = describe_file(found, file.name) == file
        if not same:
            raise damaged(self, 0, layout.file_key(self.address, file.name), "has changed")


def _spans(
    shards: Sequence[ShardRecord], start: int, stop: int
) -> list[tuple[ShardRecord, int, int]]:
    """Which rows of which files hold rows start..stop; an empty one, for its columns, if none."""
    found: list[tuple[ShardRecord, int, int]] = []
    first = 0
    for shard in shards:
        low, high = max(start - first, 0), min(stop - first, shard.rows)
        if low < high:
            found.append((shard, low, high))
        first += shard.rows
    return found or [(shard, 0, 0) for shard in shards if shard.bytes][:1]


def damaged(artifact: Artifact, shard: int, key: str, what: str) -> Damaged:
    done = layout.done_key(artifact.address, shard)
    return Damaged(
        f"{artifact.store.url}/{key} {what} since it was committed.",
        fix=f"delete {done} and {layout.seal_key(artifact.address)} there; the shard runs again",
        shards=(shard,),
    )
