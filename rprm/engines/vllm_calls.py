"""How is one call to a vLLM server made, and what does it come back as?  A value or a fault.

Nothing that is returned carries a key: what a server sends back is redacted before it is looked at.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import orjson

from rprm.engines.endpoint import ApiKey
from rprm.engines.http_faults import Cause, Fault, fault_in_success, fault_of, shortened
from rprm.engines.http_wire import BrokenAnswer, Connections, TornAnswer

CONNECT_S = 10.0
"""A replica is near, and another one can do the work."""
KEEP_ALIVE_S = 4.0
"""Below the 5 s after which vLLM closes an idle connection by default: reusing one at that very
moment would break the request."""


class Calls:
    """`async with`-less, because it lives as long as its event loop: `open` and `close`."""

    def __init__(self, key: ApiKey | None = None) -> None:
        self._key = key
        headers = {} if key is None else {"Authorization": key.header()}
        self._connections = Connections(
            connect_s=CONNECT_S, keep_s=KEEP_ALIVE_S, headers={"Accept": "*/*", **headers}
        )

    async def open(self) -> None:
        self._connections.open()

    async def close(self) -> None:
        self._connections.close()

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
            async with asyncio.timeout(deadline_s):
                answer = await self._connections.request(method, url, data)
        except TimeoutError:
            return Fault(cause=Cause.TIMEOUT, detail=f"no answer within {deadline_s:g} s")
        except TornAnswer as error:
            return Fault(cause=Cause.TORN_BODY, detail=str(error))
        except (BrokenAnswer, OSError) as error:
            fault = Fault(cause=Cause.CONNECTION, detail=f"{type(error).__name__}: {error}")
            return self._redacted(fault)
        if answer.status == 200:
            return answer.body
        return self._redacted(fault_of(answer.status, answer.body, answer.headers, time.time()))

    def _redacted(self, fault: Fault) -> Fault:
        detail = fault.detail if self._key is None else self._key.redact(fault.detail)
        return replace(fault, detail=shortened(detail))
