"""Where are the replicas of a model, and which of them take new work?

A source is read again and again; what it finds changes while a fleet grows and shrinks:

http://a:8000,http://b:8000   these, as long as the client lives; with or without /v1
file:///path/endpoints.json   what a fleet's keeper writes, read again once the file changes
dns://name:8000               every address of the name, such as a headless Service's pods

A source that cannot be read keeps what it last knew: a torn file or a resolver's bad minute must
not take a healthy fleet away.  `problem` says what was wrong, for whoever waits in vain.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

import orjson

from rprm.engines.endpoint import check_base_url
from rprm.errors import BadInput


@dataclass(frozen=True, kw_only=True, slots=True)
class Replica:
    """One server of the model."""

    name: str
    """Stays the same as long as the replica lives; no two have the same."""
    url: str
    """Of the server's root: without /v1 and without a slash at its end.  One server, not a balancer
    before several, whose metrics would come from now this one and now that."""
    draining: bool = False
    """It finishes what it has and gets nothing new."""
    max_num_seqs: int | None = None
    """How many sequences it runs at once; None where nobody said."""
    model: str | None = None
    """The name under which it serves the model; None where nobody said."""


class EndpointSource(Protocol):
    @property
    def problem(self) -> str:
        """Why the last reading found nothing new; empty where it was fine."""
        ...

    async def read(self) -> tuple[Replica, ...]:
        """All replicas, ordered by name; cheap enough for every second.  Raises nothing."""
        ...


def endpoint_source(spec: str) -> EndpointSource:
    """Raises BadInput where `spec` names no source; whether anything answers there is not asked."""
    scheme = spec.strip().partition("://")[0].lower()
    if scheme in ("http", "https"):
        return StaticSource(spec)
    if scheme == "file":
        return FileSource(_path_of(spec))
    if scheme == "dns":
        return DnsSource(*_host_of(spec))
    raise BadInput(
        f"{spec!r} names no replicas.",
        fix="give http://host:port (several separated by commas), file:///path.json or "
        "dns://name:port",
    )


class StaticSource:
    problem = ""

    def __init__(self, spec: str) -> None:
        urls = [root_url(part) for part in spec.split(",") if part.strip()]
        if len(set(urls)) < len(urls):
            raise BadInput(f"{spec!r} names a server twice.", fix="name each server once")
        self._replicas = _in_order(Replica(name=_name_of(url), url=url) for url in urls)

    async def read(self) -> tuple[Replica, ...]:
        return self._replicas


class FileSource:
    """A document that its writer replaces as a whole; see `replicas_of` for its shape."""

    def __init__(self, path: Path) -> None:
        self.problem = ""
        self._path = path
        self._seen: tuple[int, ...] = ()
        self._replicas: tuple[Replica, ...] = ()

    async def read(self) -> tuple[Replica, ...]:
        return await asyncio.to_thread(self._read)

    def _read(self) -> tuple[Replica, ...]:
        try:
            found = os.stat(self._path)
            # Taken before the content: a change in between shows at the next reading.
            seen = (found.st_mtime_ns, found.st_size, found.st_ino)
            if seen != self._seen:
                self._replicas = replicas_of(self._path.read_bytes())
                self._seen = seen
            self.problem = ""
        except OSError as error:
            self.problem = f"{self._path} cannot be read: {error.strerror}"
        except BadInput as error:
            self.problem = f"{self._path}: {error}"
        return self._replicas


Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


async def _resolved(host: str, port: int) -> Sequence[str]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class DnsSource:
    """Every address of a name; a replica is called by its address."""

    def __init__(self, host: str, port: int, *, resolve: Resolve = _resolved) -> None:
        self.problem = ""
        self._host = host
        self._port = port
        self._resolve = resolve
        self._replicas: tuple[Replica, ...] = ()

    async def read(self) -> tuple[Replica, ...]:
        try:
            addresses = set(await self._resolve(self._host, self._port))
        except (OSError, UnicodeError) as error:  # the latter for what can be no name at all
            why = error.strerror if isinstance(error, OSError) else None
            self.problem = f"{self._host} cannot be resolved: {why or error}"
            return self._replicas
        self.problem = ""
        places = (f"[{one}]" if ":" in one else one for one in addresses)
        names = (f"{place}:{self._port}" for place in places)
        self._replicas = _in_order(Replica(name=name, url=f"http://{name}") for name in names)
        return self._replicas


def replicas_of(data: bytes) -> tuple[Replica, ...]:
    """{"model": …, "replicas": [{"name", "url", "state": "ready"|"draining", "max_num_seqs"}]}

    Keys that are not known are ignored.  Raises BadInput where the document is torn or wrong."""
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"it is not a whole JSON document: {error}.") from error
    if not isinstance(body, Mapping) or not isinstance(body.get("replicas"), list):
        raise BadInput('it has no list "replicas".')
    model = body.get("model")
    if not isinstance(model, str | None):
        raise BadInput('its "model" is no name.')
    replicas = _in_order(_replica(row, model) for row in body["replicas"])
    if len({replica.name for replica in replicas}) < len(replicas):
        raise BadInput("it names a replica twice.")
    return replicas


def _replica(row: Any, model: str | None) -> Replica:
    if not isinstance(row, Mapping):
        raise BadInput(f"a replica is {row!r}, not an object.")
    name, url, state = row.get("name"), row.get("url"), row.get("state", "ready")
    max_num_seqs = row.get("max_num_seqs")
    if not (isinstance(name, str) and name and isinstance(url, str)):
        raise BadInput(f"the replica {name!r} lacks a name or a url.")
    if state not in ("ready", "draining"):
        raise BadInput(f"the replica {name!r} is {state!r}, neither ready nor draining.")
    if max_num_seqs is not None and (type(max_num_seqs) is not int or max_num_seqs < 1):
        raise BadInput(f"the replica {name!r} has max_num_seqs {max_num_seqs!r}.")
    return Replica(
        name=name,
        url=root_url(url),
        draining=state == "draining",
        max_num_seqs=max_num_seqs,
        model=model,
    )


def root_url(url: str) -> str:
    """The server's root, from its address with or without /v1.  Raises BadInput."""
    url = url.strip()
    check_base_url(url)
    _parts_of(url)
    return url.rstrip("/").removesuffix("/v1").rstrip("/")


def _name_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.netloc}{parts.path}"


def _in_order(replicas: Iterable[Replica]) -> tuple[Replica, ...]:
    return tuple(sorted(replicas, key=lambda replica: replica.name))


def _parts_of(spec: str) -> SplitResult:
    try:
        parts = urlsplit(spec.strip())
        _ = parts.port  # raises too
    except ValueError as error:
        raise BadInput(
            f"{spec!r} is no address: {error}.", fix="give a host and a port such as a:8000"
        ) from error
    return parts


def _path_of(spec: str) -> Path:
    parts = _parts_of(spec)
    path = unquote(parts.path)
    here = parts.netloc in ("", "localhost") and not (parts.query or parts.fragment)
    if not here or not path.strip("/") or "\0" in path:
        raise BadInput(
            f"{spec!r} is not the address of a file.", fix="give file:/// and an absolute path"
        )
    return Path(path)


def _host_of(spec: str) -> tuple[str, int]:
    parts = _parts_of(spec)
    host, port = parts.hostname, parts.port
    if not host or not port or parts.path.strip("/") or parts.username is not None:
        raise BadInput(f"{spec!r} is not a name with a port.", fix="give it as dns://name:8000")
    return host, port
