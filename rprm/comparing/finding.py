"""Which artifacts does a person mean by a run's name?

bench-sft                  a stage: its newest artifact at each point of the sweeps
bench-sft-3f9a…            one artifact by its address, or the beginning of it
…/artifacts/bench-sft-3f…  the same by its place in a store
quickstart                 a campaign that ran here: every measuring stage of its last run
"""

from __future__ import annotations

import difflib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rprm.comparing.measured import Artifact, is_measuring
from rprm.errors import BadInput, RprmError
from rprm.stored import DEFAULT_STORE, Store, location_of

LABELLED = ("solutions", "items")
"""Inputs that hold what was measured on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sealed:
    address: str
    sealed_at: datetime
    seal: Mapping[str, Any]

    @property
    def stage(self) -> str:
        return str(self.seal.get("stage", ""))

    @property
    def measures(self) -> bool:
        return is_measuring(self.seal.get("facts", {}))

    @property
    def point(self) -> str:
        return json.dumps(self.seal.get("coordinates", {}), sort_keys=True)


class ArtifactStore(Store):
    """Reads what measuring stages left."""

    def sealed(self) -> list[Sealed]:
        """Every measuring artifact, newest first."""
        import obstore

        listed = obstore.list_with_delimiter(self._client, "artifacts")
        addresses = [str(prefix).rpartition("/")[2] for prefix in listed["common_prefixes"]]
        found = [one for one in map(self.read, addresses) if one is not None and one.measures]
        return sorted(found, key=lambda one: (one.sealed_at, one.address), reverse=True)

    def read(self, address: str) -> Sealed | None:
        """None where nothing of this address is complete."""
        import obstore

        key = f"artifacts/{address}/seal.json"
        seal = self._json(key)
        if seal is None:
            return None
        modified: datetime = obstore.head(self._client, key)["last_modified"]
        return Sealed(address=address, sealed_at=modified, seal=seal)

    def artifact(self, one: Sealed) -> Artifact:
        return Artifact(
            address=one.address,
            stage=one.stage,
            coordinates=one.seal.get("coordinates", {}),
            facts=one.seal.get("facts", {}),
            rows=list(self._rows(one)),
            digest=self._digest(one),
        )

    def _rows(self, one: Sealed) -> Iterator[Mapping[str, Any]]:
        import obstore
        import pyarrow.parquet as pq

        for shard in one.seal.get("shards", ()):
            if shard["bytes"]:
                place = f"artifacts/{one.address}/shards/{shard['index']:05d}"
                data = obstore.get(self._client, f"{place}/{shard['attempt']}.parquet").bytes()
                yield from pq.read_table(io.BytesIO(bytes(data))).to_pylist()

    def _digest(self, one: Sealed) -> str:
        """Of the rows it was measured on: the same rows under another address are the same."""
        for name in LABELLED:
            for given in one.seal.get("inputs", {}).get(name, ()):
                address = given["address"] if isinstance(given, Mapping) else given
                upstream = self._json(f"artifacts/{address}/seal.json") or {}
                return str(upstream.get("data_digest", address))
        return ""


def find_artifacts(name: str, *, store: str | None) -> list[Artifact]:
    """Raises BadInput that says what there is."""
    location = location_of(name)
    if location is None:
        view = _open(store)
        with _explained(view.url):
            return _named(view, name)
    view = ArtifactStore(store if store and location.root == "." else location.root)
    with _explained(view.url):
        return [view.artifact(_measuring(view, location.address, name))]


def _named(view: ArtifactStore, name: str) -> list[Artifact]:
    if (campaign := _of_campaign(view, name)) is not None:
        return [view.artifact(one) for one in campaign]
    if "-" in name and (found := view.read(name)) is not None and found.measures:
        return [view.artifact(found)]
    sealed = view.sealed()
    chosen = _newest_of_points([one for one in sealed if name == one.stage])
    partial = [one for one in sealed if "-" in name and one.address.startswith(name)]
    if not chosen and not partial:
        raise _unknown(name, view, sealed)
    return [view.artifact(one) for one in chosen or _newest_of_points(partial)]


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Translate a store library's errors."""
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, OSError, ValueError) as error:
        line = (str(error).splitlines() or ["unknown error"])[0]
        raise RprmError(
            f"could not read {url}: {line[:300].rstrip(' .')}.",
            fix="check the url, the network and the credentials; damaged artifacts run again",
        ) from error


def _open(store: str | None) -> ArtifactStore:
    if store is None and not Path(DEFAULT_STORE).is_dir():
        raise BadInput(
            f"there is no store at {DEFAULT_STORE}, so no run can be found.",
            fix="give --store, or a FILE.json that `rprm score … --json` wrote",
        )
    return ArtifactStore(store or DEFAULT_STORE)


def _measuring(view: ArtifactStore, address: str, name: str) -> Sealed:
    found = view.read(address)
    if found is None:
        raise BadInput(
            f"{name} is no finished artifact.", fix="run its campaign to the end, then compare"
        )
    if not found.measures:
        raise BadInput(
            f"{name} measures nothing: it is an artifact of stage {found.stage!r}.",
            fix="name a benchmark stage's artifact",
        )
    return found


def _newest_of_points(sealed: Sequence[Sealed]) -> list[Sealed]:
    """A stage that was run again with other params leaves several; in the order of the points."""
    newest: dict[tuple[str, str], Sealed] = {}
    for one in sealed:
        newest.setdefault((one.stage, one.point), one)
    return sorted(newest.values(), key=lambda one: (one.stage, one.point))


# --- campaigns ----------------------------------------------------------------------------------


def _of_campaign(view: ArtifactStore, name: str) -> list[Sealed] | None:
    """What its last run here sealed or reused; None where no campaign of that name ran."""
    log = _runs(view) / name / "events.jsonl"
    if not log.is_file():
        return None
    addresses = list(dict.fromkeys(_addresses(log)))
    read = [view.read(address) for address in addresses]
    found = [one for one in read if one is not None and one.measures]
    if not found:
        raise BadInput(
            f"campaign {name} has not measured anything yet.",
            fix="run it to the end, or name an artifact",
        )
    return found


def _addresses(log: Path) -> Iterator[str]:
    """Of the last run in the log; a line torn by a kill is left out."""
    events: list[Mapping[str, Any]] = []
    for line in log.read_text(encoding="utf-8").splitlines():
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            continue
        if event.get("event") == "campaign_started":
            events.clear()
        events.append(event)
    yield from (str(event["address"]) for event in events if "address" in event)


def _runs(view: ArtifactStore) -> Path:
    """A campaign's events stand beside its store by default."""
    default = Path(DEFAULT_STORE)
    return (view.folder or default).parent / "runs"


def _unknown(name: str, view: ArtifactStore, sealed: Sequence[Sealed]) -> BadInput:
    runs = _runs(view)
    campaigns = sorted(one.name for one in runs.iterdir()) if runs.is_dir() else []
    stages = list(dict.fromkeys(one.stage for one in sealed))
    near = difflib.get_close_matches(name, [*campaigns, *stages], n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    here = []
    if campaigns:
        here.append(f"campaigns here: {', '.join(campaigns[:8])}")
    if stages:
        here.append(f"measuring stages: {', '.join(stages[:12])}")
    return BadInput(
        f"{view.url} has no run called {name!r}.",
        fix=f"{hint}{'; '.join(here) or 'nothing has been measured there yet'}",
    )
