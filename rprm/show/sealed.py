"""Which finished artifacts does a store hold, and where are their rows?  Reads, writes nothing.

artifacts/<address>/seal.json                           complete: stage, node, params, inputs
artifacts/<address>/shards/00042/<attempt>.parquet      rows of the attempt that counts
artifacts/<address>/shards/00042/<attempt>.errors.parquet
.rprm/runs/<campaign>/events.jsonl                      where it ran: what a campaign made

The keys are the job system's (`jobs.store.layout`); a contract test holds the two together.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from rprm.errors import BadInput, RprmError
from rprm.show.parquet import ParquetData
from rprm.stored import Store, _explained, _parsed

MADE = ("stage_sealed", "stage_reused")
"""Events of a campaign that name an artifact."""

STARTED = "campaign_started"

RUNS = Path(".rprm/runs")
"""Where campaigns of this folder leave their events, whatever their store is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sealed:
    """A finished artifact, as its seal describes it."""

    address: str
    stage: str
    node: str
    """The stage with its place in a sweep, such as "judge[rows=500]"."""
    run: str
    """The class that made it, such as "rprm.stages.sample:Sample"."""
    sealed_at: float
    params: Mapping[str, Any]
    inputs: Mapping[str, Sequence[str]]
    """Addresses by input name."""
    facts: Mapping[str, Any]
    shards: tuple[Mapping[str, Any], ...]


class SealedStore(Store):
    """What is finished in a store, newest first."""

    def addresses(self) -> list[str]:
        """Of every artifact, finished or not."""
        import obstore

        with _explained("list", self.url):
            listed = obstore.list_with_delimiter(self._client, "artifacts")
        return [str(prefix).rpartition("/")[2] for prefix in listed["common_prefixes"]]

    def sealed(self, address: str) -> Sealed | None:
        import obstore

        where = f"{self.url}/artifacts/{address}/seal.json"
        try:
            with _explained("read", where):
                got = obstore.get(self._client, f"artifacts/{address}/seal.json")
                seal, modified = bytes(got.bytes()), got.meta["last_modified"]
        except FileNotFoundError:
            return None
        return _sealed(address, _parsed(seal, where), modified.timestamp())

    def newest(self, addresses: Iterable[str]) -> list[Sealed]:
        """Those that are finished, newest first."""
        found = [one for one in map(self.sealed, addresses) if one is not None]
        return sorted(found, key=lambda one: (one.sealed_at, one.address), reverse=True)

    def rows_of(self, one: Sealed) -> list[ParquetData]:
        """Data files in row order."""
        return [
            self._data(one.address, shard, "parquet") for shard in one.shards if shard.get("bytes")
        ]

    def refusals_of(self, one: Sealed) -> dict[str, str]:
        """Why rows could not be judged, by row id."""
        found: dict[str, str] = {}
        for shard in one.shards:
            if not shard.get("errors_bytes"):
                continue
            table = self._data(one.address, shard, "errors.parquet").file().read()
            for row in table.to_pylist():
                found[str(row["row_id"])] = ": ".join(
                    part for part in (row["cause"], row["detail"]) if part
                )
        return found

    def campaigns(self) -> list[str]:
        """Those that ran in this folder or beside this store."""
        return sorted(
            {entry.parent.name for runs in self._runs() for entry in runs.glob("*/events.jsonl")}
        )

    def made_by(self, campaign: str) -> list[str]:
        """Addresses that its latest run made or reused, the last one first."""
        found: dict[str, None] = {}
        for event in self._events(campaign):
            if event.get("event") == STARTED:
                found.clear()
            elif event.get("event") in MADE and isinstance(event.get("address"), str):
                found.pop(event["address"], None)
                found[event["address"]] = None
        return list(reversed(found))

    def _events(self, campaign: str) -> Iterator[dict[str, Any]]:
        for runs in self._runs():
            events = runs / campaign / "events.jsonl"
            if events.is_file():
                yield from map(_event, events.read_text("utf-8", "replace").splitlines())

    def _runs(self) -> list[Path]:
        beside = [] if self.folder is None else [self.folder.resolve().parent / "runs"]
        return list(dict.fromkeys([RUNS.resolve(), *beside]))

    def _data(self, address: str, shard: Mapping[str, Any], suffix: str) -> ParquetData:
        key = f"artifacts/{address}/shards/{shard['index']:05d}/{shard['attempt']}.{suffix}"
        return ParquetData(name=f"{self.url}/{key}", open=partial(self._open, key))

    def _open(self, key: str) -> Path | pa.BufferReader:
        """A local file is read where it is; of a remote one a shard is held in memory."""
        import obstore

        if self.folder is not None:
            return self.folder / key
        try:
            with _explained("read", f"{self.url}/{key}"):
                return pa.BufferReader(bytes(obstore.get(self._client, key).bytes()))
        except FileNotFoundError as error:
            raise RprmError(
                f"{self.url}/{key} is gone, though its artifact is sealed.",
                fix="delete the seal; `jobs run` makes the shard again",
            ) from error


def _sealed(address: str, raw: Mapping[str, Any], sealed_at: float) -> Sealed:
    stage = str(raw.get("stage") or address.rpartition("-")[0])
    return Sealed(
        address=address,
        stage=stage,
        node=str(raw.get("node") or stage),
        run=str(raw.get("run", "")),
        sealed_at=sealed_at,
        params=raw.get("params", {}),
        inputs={name: _addresses(given) for name, given in raw.get("inputs", {}).items()},
        facts=raw.get("facts", {}),
        shards=tuple(raw.get("shards", ())),
    )


def _addresses(given: object) -> tuple[str, ...]:
    entries = given if isinstance(given, list) else []
    named = [one.get("address") if isinstance(one, dict) else one for one in entries]
    return tuple(one for one in named if isinstance(one, str))


def _event(line: str) -> dict[str, Any]:
    """The last line of a campaign that runs may be half written."""
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def need_sealed(store: SealedStore, address: str) -> Sealed:
    found = store.sealed(address)
    if found is None:
        raise BadInput(
            f"{store.url} has no finished artifact {address}.",
            fix="check the address with `jobs status`, or wait until its stage is complete",
        )
    return found
