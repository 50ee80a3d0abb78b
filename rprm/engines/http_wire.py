"""How is a request sent over a connection that is kept, at the least cost?  HTTP/1.1, no more.

A fleet's client makes hundreds of small calls a second, and aiohttp's own work on each (0.2 ms) is
more than all that it is called for.  What replicas and the proxies before them say is plain:
a head, and a body of a known length, in chunks, or up to the end of the connection.  Redirects,
cookies, compression and proxies are not followed, set, asked for or used.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

LARGEST_HEAD = 64 * 1024
SWEEP_S = 5.0


class BrokenAnswer(Exception):
    """No answer came, or none that HTTP allows."""


class TornAnswer(Exception):
    """The answer's body ended before its end."""


@dataclass(frozen=True, slots=True)
class Answered:
    status: int
    headers: Mapping[str, str]
    """By name in lower case."""
    body: bytes


@dataclass(frozen=True, slots=True)
class Origin:
    host: str
    port: int
    tls: bool


@dataclass(frozen=True, slots=True)
class Address:
    origin: Origin
    host: str
    """As the request's head says it."""
    path: str


@dataclass(slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    idle_since_s: float = 0.0

    @property
    def ended(self) -> bool:
        return self.reader.at_eof() or self.writer.is_closing()


class Connections:
    """To any servers, from one event loop; as many at once as there are requests."""

    def __init__(self, *, connect_s: float, keep_s: float, headers: Mapping[str, str]) -> None:
        self._connect_s, self._keep_s = connect_s, keep_s
        self._head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._idle: dict[Origin, deque[_Connection]] = {}
        self._tls: ssl.SSLContext | None = None
        self._sweeping: asyncio.TimerHandle | None = None

    def open(self) -> None:
        self._sweep()

    def close(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
        for idle in self._idle.values():
            for connection in idle:
                connection.writer.close()
        self._idle.clear()

    async def request(self, method: str, url: str, body: bytes | None = None) -> Answered:
        """Whatever the status.  Raises BrokenAnswer, TornAnswer, or OSError as the system does."""
        address = _address_of(url)
        connection = self._take(address.origin) or await self._connect(address.origin)
        keep = False
        try:
            connection.writer.write(self._request(method, address, body))
            answer, keep = await read_answer(connection.reader)
            return answer
        finally:
            if keep:
                self._keep(address.origin, connection)
            else:
                connection.writer.close()

    def _request(self, method: str, address: Address, body: bytes | None) -> bytes:
        head = f"{method} {address.path} HTTP/1.1\r\nHost: {address.host}\r\n{self._head}"
        if body is None:
            return f"{head}\r\n".encode("latin-1")
        kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        return f"{head}{kind}".encode("latin-1") + body

    def _take(self, origin: Origin) -> _Connection | None:
        """The one used last, so that those not needed grow old."""
        idle, oldest_s = self._idle.get(origin), self._now_s() - self._keep_s
        while idle:
            connection = idle.pop()
            if connection.idle_since_s >= oldest_s and not connection.ended:
                return connection
            connection.writer.close()
        return None

    def _keep(self, origin: Origin, connection: _Connection) -> None:
        connection.idle_since_s = self._now_s()
        self._idle.setdefault(origin, deque()).append(connection)

    async def _connect(self, origin: Origin) -> _Connection:
        if origin.tls and self._tls is None:
            self._tls = ssl.create_default_context()
        tls = self._tls if origin.tls else None
        try:
            async with asyncio.timeout(self._connect_s):
                reader, writer = await asyncio.open_connection(
                    origin.host, origin.port, ssl=tls, limit=LARGEST_HEAD
                )
        except TimeoutError as error:
            raise BrokenAnswer(f"no connection within {self._connect_s:g} s") from error
        return _Connection(reader, writer)

    def _sweep(self) -> None:
        """Now and then: a server that is gone would leave its connections behind for ever."""
        oldest_s = self._now_s() - self._keep_s
        for idle in self._idle.values():
            while idle and (idle[0].idle_since_s < oldest_s or idle[0].ended):
                idle.popleft().writer.close()
        self._idle = {origin: idle for origin, idle in self._idle.items() if idle}
        loop = asyncio.get_running_loop()
        self._sweeping = loop.call_later(SWEEP_S, self._sweep)

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()


@lru_cache(maxsize=4096)
def _address_of(url: str) -> Address:
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    port = parts.port or (443 if tls else 80)
    assert parts.hostname, "addresses are checked where they are read"
    origin = Origin(parts.hostname, port, tls)
    return Address(origin, parts.netloc, parts.path or "/")


async def read_answer(reader: asyncio.StreamReader) -> tuple[Answered, bool]:
    """The answer, and may the connection be used again?"""
    status = 100
    while status < 200:  # what is said before the answer itself
        status, version, headers = _head_of(await _head(reader))
    try:
        body, known = await _body(reader, status, headers)
    except asyncio.IncompleteReadError as error:
        raise TornAnswer("the answer ended before its end") from error
    except (ValueError, asyncio.LimitOverrunError) as error:
        raise BrokenAnswer("the length of the answer cannot be read") from error
    keep = known and version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
    return Answered(status, headers, body), keep


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        raise BrokenAnswer("the server closed the connection without an answer") from error
    except asyncio.LimitOverrunError as error:
        raise BrokenAnswer("the answer's head has no end") from error


def _head_of(head: bytes) -> tuple[int, str, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    status = rest[:3]
    if not version.startswith("HTTP/1.") or not (status.isdecimal() and len(status) == 3):
        raise BrokenAnswer("what answers does not speak HTTP/1")
    pairs = (line.partition(":") for line in lines if line)
    return int(status), version, {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _body(
    reader: asyncio.StreamReader, status: int, headers: Mapping[str, str]
) -> tuple[bytes, bool]:
    """And is it certain where it ends?"""
    if status in (204, 304):
        return b"", True
    if "transfer-encoding" in headers:
        return await _chunks(reader), True
    if "content-length" in headers:
        return await reader.readexactly(_length(headers["content-length"], 10)), True
    return await reader.read(), False


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while size := _length((await reader.readuntil(b"\r\n")).partition(b";")[0].decode(), 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":  # fields after the body
        pass
    return b"".join(parts)


def _length(text: str, base: int) -> int:
    length = int(text, base)
    if length < 0:
        raise ValueError(text)
    return length
