"""How is one call to a vLLM server made, and what does it come back as?  A value or a fault.

Nothing that is returned carries a key: what a server sends back is redacted before it is looked at.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from functools import lru_cache
from typing import Any

import aiohttp
import orjson
from yarl import URL

from rprm.engines.endpoint import ApiKey
from rprm.engines.http_faults import Cause, Fault, fault_in_success, fault_of, shortened

CONNECT_S = 10.0
"""A replica is near, and another one can do the work."""
KEEP_ALIVE_S = 4.0
"""Below the 5 s after which vLLM closes an idle connection by default: reusing one at that very
moment would break the request."""


class Calls:
    """`async with`-less, because it lives as long as its event loop: `open` and `close`."""

    def __init__(self, key: ApiKey | None = None) -> None:
        self._key = key
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        headers = {"Content-Type": "application/json"}
        if self._key is not None:
            headers["Authorization"] = self._key.header()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S),
            headers=headers,
            # What a fleet's servers never use costs an eighth of a request's processor time.
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept-Encoding"),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(self, url: str, *, deadline_s: float) -> Any | Fault:
        return await self._call("GET", url, None, deadline_s)

    async def post(self, url: str, body: Any, *, deadline_s: float) -> Any | Fault:
        """The JSON of the answer."""
        return await self._call("POST", url, orjson.dumps(body), deadline_s)

    async def text(self, url: str, *, deadline_s: float) -> str | Fault:
        found = await self._bytes("GET", url, None, deadline_s)
        return found if isinstance(found, Fault) else found.decode("utf-8", "replace")

    async def _call(
        self, method: str, url: str, data: bytes | None, deadline_s: float
    ) -> Any | Fault:
        found = await self._bytes(method, url, data, deadline_s)
        if isinstance(found, Fault):
            return found
        try:
            body = orjson.loads(found)
        except orjson.JSONDecodeError:
            return Fault(cause=Cause.TORN_BODY, detail="the answer is no JSON")
        fault = fault_in_success(body)
        return body if fault is None else self._redacted(fault)

    async def _bytes(
        self, method: str, url: str, data: bytes | None, deadline_s: float
    ) -> bytes | Fault:
        try:
            return await self._send(method, url, data, deadline_s)
        except TimeoutError:
            return Fault(cause=Cause.TIMEOUT, detail=f"no answer within {deadline_s:g} s")
        except aiohttp.ClientPayloadError:
            return Fault(cause=Cause.TORN_BODY, detail="the answer ended before its end")
        except (aiohttp.ClientError, OSError) as error:
            fault = Fault(cause=Cause.CONNECTION, detail=f"{type(error).__name__}: {error}")
            return self._redacted(fault)

    async def _send(
        self, method: str, url: str, data: bytes | None, deadline_s: float
    ) -> bytes | Fault:
        assert self._session is not None, "open it first"
        async with (
            asyncio.timeout(deadline_s),
            # a redirect would take the key along
            self._session.request(
                method, _parsed(url), data=data, allow_redirects=False
            ) as response,
        ):
            found = await response.read()
            if response.status == 200:
                return found
            return self._redacted(fault_of(response.status, found, response.headers, time.time()))

    def _redacted(self, fault: Fault) -> Fault:
        detail = fault.detail if self._key is None else self._key.redact(fault.detail)
        return replace(fault, detail=shortened(detail))


@lru_cache(maxsize=4096)
def _parsed(url: str) -> URL:
    """A few addresses for all requests."""
    return URL(url, encoded=True)
