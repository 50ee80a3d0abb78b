"""Which finished artifacts does a store hold, and where are their rows?  Reads, writes nothing.

artifacts/<address>/seal.json                           complete: stage, node, params, inputs, files
artifacts/<address>/shards/00042/<attempt>.parquet      rows of the attempt that counts
artifacts/<address>/shards/00042/<attempt>.errors.parquet
.rprm/runs/<campaign>/events.jsonl                      where it ran: what a campaign made

The keys are the job system's (`jobs.store.layout`); a contract test holds the two together.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from rprm.data.parquet import ParquetData
from rprm.errors import BadInput, RprmError

DEFAULT_STORE = ".rprm/store"

RUNS = Path(".rprm/runs")
"""Where campaigns of this folder leave their events, whatever their store is."""

MADE = ("stage_sealed", "stage_reused")
"""Events of a campaign that name an artifact."""

STARTED = "campaign_started"

_CLIENT: dict[str, Any] = {"connect_timeout": "3s", "timeout": "10min"}
_RETRY: dict[str, Any] = {"max_retries": 2, "retry_timeout": timedelta(seconds=10)}
"""A person waits: a mistyped endpoint should be told within seconds."""

_LOCATION = re.compile(r"(?P<root>.*?)(?:^|/)(?P<key>artifacts/(?P<address>[^/]+).*?)/?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Location:
    """A place inside some store."""

    root: str
    """Folder or url of the store."""
    address: str
    """Of the artifact."""
    inside: str
    """The part after the address, such as "checkpoints/0000000200"; "" for the artifact itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sealed:
    """A finished artifact, as its seal describes it."""

    address: str
    stage: str
    node: str
    """The stage with its place in a sweep, such as "judge[rows=500]"."""
    run: str
    """The class that made it, such as "rprm.stages.sample:Sample"."""
    sealed_at: datetime
    params: Mapping[str, Any]
    inputs: Mapping[str, Sequence[str]]
    """Addresses by input name."""
    coordinates: Mapping[str, Any]
    """Its place in the sweeps of its campaign."""
    facts: Mapping[str, Any]
    shards: tuple[Mapping[str, Any], ...]
    files: tuple[str, ...]
    """Names below files/."""
    data_digest: str
    """Equal for equal rows, under whichever address; "" where the seal does not tell."""


def location_of(text: str) -> Location | None:
    """Where a path or url names something below `artifacts/` of a store."""
    found = _LOCATION.fullmatch(text)
    if found is None:
        return None
    inside = found["key"].removeprefix(f"artifacts/{found['address']}").strip("/")
    return Location(root=found["root"] or ".", address=found["address"], inside=inside)


class SealedStore:
    """A read-only view; a folder is read in place, a remote shard is held in memory."""

    def __init__(self, url: str) -> None:
        scheme, separator, _ = url.partition("://")
        local = scheme == "file" or not separator
        self.url = url.rstrip("/")
        self.folder = Path(unquote(urlsplit(url).path) if separator else url) if local else None
        self.client = _connected(self.url, self.folder)

    def addresses(self) -> list[str]:
        """Of every artifact, finished or not."""
        import obstore

        with explained("list", self.url):
            listed = obstore.list_with_delimiter(self.client, "artifacts")
        return [str(prefix).rpartition("/")[2] for prefix in listed["common_prefixes"]]

    def sealed(self, address: str) -> Sealed | None:
        """None where nothing of this address is complete."""
        key = f"artifacts/{address}/seal.json"
        found = self._read(key)
        if found is None:
            return None
        data, modified = found
        return _sealed(address, _parsed(data, f"{self.url}/{key}"), modified)

    def need(self, address: str) -> Sealed:
        found = self.sealed(address)
        if found is None:
            raise BadInput(
                f"{self.url} has no finished artifact {address}.",
                fix="check the address with `jobs status`, or wait until its stage is complete",
            )
        return found

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
            table = self._data(one.address, shard, "errors.parquet").table()
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
        """Addresses that its latest run made or reused, in that order."""
        found: dict[str, None] = {}
        for event in self._events(campaign):
            if event.get("event") == STARTED:
                found.clear()
            elif event.get("event") in MADE and isinstance(event.get("address"), str):
                found.pop(event["address"], None)
                found[event["address"]] = None
        return list(found)

    def document(self, key: str) -> dict[str, Any] | None:
        """The JSON object at `key`; None where there is none."""
        found = self._read(key)
        return None if found is None else _parsed(found[0], f"{self.url}/{key}")

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
        local = None if self.folder is None else self.folder / key
        if local is not None and local.exists():
            return local
        found = self._read(key)
        if found is None:
            raise RprmError(
                f"{self.url}/{key} is gone, though its artifact is sealed.",
                fix="delete the seal; `jobs run` makes the shard again",
            )
        return pa.BufferReader(found[0])

    def _read(self, key: str) -> tuple[bytes, datetime] | None:
        """What is at `key`, and since when; None where nothing is."""
        import obstore

        try:
            with explained("read", f"{self.url}/{key}"):
                got = obstore.get(self.client, key)
                return bytes(got.bytes()), got.meta["last_modified"]
        except FileNotFoundError:
            return None


def _connected(url: str, folder: Path | None) -> Any:
    from obstore.store import LocalStore, from_url

    if folder is None:
        connect: Any = from_url
        endpoint = os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT") or ""
        options = _CLIENT | ({"allow_http": "true"} if endpoint.startswith("http://") else {})
        with explained("open", url):
            return connect(url, client_options=options, retry_config=_RETRY)
    if not folder.is_dir():
        raise BadInput(
            f"No store at {folder}.", fix="give --store, or run a campaign: jobs run CAMPAIGN"
        )
    return LocalStore(folder)


@contextmanager
def explained(doing: str, where: str) -> Iterator[None]:
    """Translate a store library's errors; that an object is absent stays FileNotFoundError."""
    from obstore.exceptions import BaseError

    try:
        yield
    except FileNotFoundError:
        raise
    except (BaseError, OSError, ValueError) as error:
        line = (str(error).splitlines() or ["unknown error"])[0]
        raise RprmError(
            f"Could not {doing} {where}: {line[:300].rstrip(' .')}.",
            fix="check the url, the network and the credentials (AWS_*, GOOGLE_*, AZURE_*)",
        ) from error


def _sealed(address: str, raw: Mapping[str, Any], sealed_at: datetime) -> Sealed:
    stage = str(raw.get("stage") or address.rpartition("-")[0])
    return Sealed(
        address=address,
        stage=stage,
        node=str(raw.get("node") or stage),
        run=str(raw.get("run", "")),
        sealed_at=sealed_at,
        params=raw.get("params", {}),
        inputs={name: _addresses(given) for name, given in raw.get("inputs", {}).items()},
        coordinates=raw.get("coordinates", {}),
        facts=raw.get("facts", {}),
        shards=tuple(raw.get("shards", ())),
        files=tuple(str(file.get("name")) for file in raw.get("files", ())),
        data_digest=str(raw.get("data_digest", "")),
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


def _parsed(data: bytes, where: str) -> dict[str, Any]:
    try:
        raw = json.loads(data)
    except ValueError as error:
        raise BadInput(f"{where} is not JSON.", fix="delete it; its stage is run again") from error
    return raw if isinstance(raw, dict) else {}
