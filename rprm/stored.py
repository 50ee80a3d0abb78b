"""Which models does a campaign's store hold?  Reads what a job system left there, writes nothing.

artifacts/<address>/spec.json                   what is to be made; written first
artifacts/<address>/seal.json                   complete: its stage, node, params and files
artifacts/<address>/files/model/…               what a training stage hands over
artifacts/<address>/checkpoints/<step>/weights/…
artifacts/<address>/checkpoints/<step>.done     the checkpoint is committed
registry/<model>/00000001.json                  promotion decisions, numbered

The keys are the job system's (`jobs.store.layout`); a contract test holds the two together.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from rprm.errors import BadInput, RprmError

DEFAULT_STORE = ".rprm/store"

_CLIENT: dict[str, Any] = {"connect_timeout": "3s", "timeout": "10min"}
_RETRY: dict[str, Any] = {"max_retries": 2, "retry_timeout": timedelta(seconds=10)}
"""A person waits: a mistyped endpoint should be told within seconds."""

_LOCATION = re.compile(r"(?P<root>.*?)(?:^|/)(?P<key>artifacts/(?P<address>[^/]+).*?)/?")
_CHECKPOINT = re.compile(r"checkpoints/(\d+)(?:/weights)?")


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
class StoredModel:
    """A sealed artifact that holds a model."""

    address: str
    stage: str
    sealed_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """A model folder on this machine, and the prompt template it was trained with, if noted."""

    folder: Path
    template: str | None


def location_of(text: str) -> Location | None:
    """Where a path or url names something below `artifacts/` of a store."""
    found = _LOCATION.fullmatch(text)
    if found is None:
        return None
    inside = found["key"].removeprefix(f"artifacts/{found['address']}").strip("/")
    return Location(root=found["root"] or ".", address=found["address"], inside=inside)


class Store:
    """A read-only view; a folder is read in place, what is remote goes to this user's cache."""

    def __init__(self, url: str) -> None:
        scheme, separator, _ = url.partition("://")
        local = scheme == "file" or not separator
        self.url = url.rstrip("/")
        self.folder = Path(unquote(urlsplit(url).path) if separator else url) if local else None
        self._client = _open(self.url, self.folder)

    def models(self) -> list[StoredModel]:
        """Every sealed model, newest first."""
        import obstore

        with _explained("list", self.url):
            listed = obstore.list_with_delimiter(self._client, "artifacts")
        found = [
            self._model(str(prefix).rpartition("/")[2]) for prefix in listed["common_prefixes"]
        ]
        sealed = [model for model in found if model is not None]
        return sorted(sealed, key=lambda one: (one.sealed_at, one.address), reverse=True)

    def weights(self, location: Location) -> Weights:
        """The model at this place of the store.  Raises BadInput that says what is there."""
        artifact = f"artifacts/{location.address}"
        spec = self._json(f"{artifact}/seal.json")
        sealed = spec is not None
        spec = spec or self._json(f"{artifact}/spec.json")
        if spec is None:
            raise BadInput(
                f"{self.url} has no artifact {location.address}.",
                fix="check the address with `jobs status`, or name a stage: --model sft",
            )
        inside = self._inside(artifact, location.inside, sealed=sealed)
        template = spec.get("params", {}).get("template")
        return Weights(folder=self._fetch(f"{artifact}/{inside}"), template=template)

    def champion(self, model: str) -> Mapping[str, Any] | None:
        """The newest decision that promoted a candidate; None without one."""
        import obstore

        with _explained("list", self.url):
            entries = obstore.list(self._client, f"registry/{model}").collect()
        for key in sorted((str(entry["path"]) for entry in entries), reverse=True):
            decision = self._json(key) if key.endswith(".json") else None
            if decision is not None and decision.get("promoted"):
                return decision
        return None

    def _model(self, address: str) -> StoredModel | None:
        import obstore

        try:
            with _explained("read", f"{self.url}/artifacts/{address}"):
                got = obstore.get(self._client, f"artifacts/{address}/seal.json")
                seal, modified = bytes(got.bytes()), got.meta["last_modified"]
        except FileNotFoundError:
            return None
        raw = _parsed(seal, f"{self.url}/artifacts/{address}/seal.json")
        names = [file.get("name") for file in raw.get("files", ())]
        if "model/config.json" not in names:
            return None
        return StoredModel(
            address=address,
            stage=raw.get("stage") or address.rpartition("-")[0],
            sealed_at=modified,
        )

    def _inside(self, artifact: str, inside: str, *, sealed: bool) -> str:
        """Below the artifact: the folder of the model that `inside` means."""
        if found := _CHECKPOINT.fullmatch(inside):
            checkpoint = f"checkpoints/{int(found[1]):010d}"
            if self._json(f"{artifact}/{checkpoint}.done") is None:
                raise BadInput(
                    f"{self.url}/{artifact} has no committed checkpoint of step {int(found[1])}.",
                    fix=self._steps(artifact),
                )
            return f"{checkpoint}/weights"
        if inside:
            return inside
        if not sealed:
            raise BadInput(
                f"{artifact.removeprefix('artifacts/')} is not finished.",
                fix=f"run its campaign to the end; {self._steps(artifact)}",
            )
        return "files/model"

    def _steps(self, artifact: str) -> str:
        import obstore

        with _explained("list", self.url):
            listed = obstore.list_with_delimiter(self._client, f"{artifact}/checkpoints")
        names = [str(entry["path"]).rpartition("/")[2] for entry in listed["objects"]]
        steps = sorted(int(name[:-5]) for name in names if name.endswith(".done"))
        if not steps:
            return "it has no committed checkpoint yet"
        shown = ", ".join(map(str, steps[-8:]))
        return f"committed steps: {shown}; name one as {artifact}/checkpoints/STEP"

    def _json(self, key: str) -> dict[str, Any] | None:
        """The document at `key`; None where there is none."""
        import obstore

        try:
            with _explained("read", f"{self.url}/{key}"):
                data = bytes(obstore.get(self._client, key).bytes())
        except FileNotFoundError:
            return None
        return _parsed(data, f"{self.url}/{key}")

    def _fetch(self, key: str) -> Path:
        if self.folder is not None:
            return self.folder / key
        import platformdirs

        name = hashlib.sha256(self.url.encode()).hexdigest()[:16]
        target = platformdirs.user_cache_path("rprm") / "models" / name / key
        if not target.exists():
            self._download(key, target)
        return target

    def _download(self, key: str, target: Path) -> None:
        """Aside first and then renamed, so that a folder in the cache is a whole one."""
        import obstore

        partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
        try:
            with _explained("download", f"{self.url}/{key}"):
                for entry in obstore.list(self._client, key).collect():
                    path = partial / str(entry["path"]).removeprefix(f"{key}/")
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with path.open("wb") as file:
                        for chunk in obstore.get(self._client, entry["path"]).stream():
                            file.write(chunk)
                if partial.exists() and not target.exists():
                    partial.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _open(url: str, folder: Path | None) -> Any:
    from obstore.store import LocalStore, from_url

    if folder is None:
        connect: Any = from_url
        endpoint = os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT") or ""
        options = _CLIENT | ({"allow_http": "true"} if endpoint.startswith("http://") else {})
        with _explained("open", url):
            return connect(url, client_options=options, retry_config=_RETRY)
    if not folder.is_dir():
        raise BadInput(
            f"No store at {folder}.", fix="give --store, or run a campaign: jobs run CAMPAIGN"
        )
    return LocalStore(folder)


@contextmanager
def _explained(doing: str, where: str) -> Iterator[None]:
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


def _parsed(data: bytes, where: str) -> dict[str, Any]:
    try:
        raw = json.loads(data)
    except ValueError as error:
        raise BadInput(f"{where} is not JSON.", fix="delete it; its stage is run again") from error
    return raw if isinstance(raw, dict) else {}
