"""What goes wrong at a server, and what does its client then see?"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from tests.contract.standin_protocol import Rejected


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One bad answer."""

    kind: str = "status"
    """Or torn, garbage, reset, mute, slow, fewer, no_logprobs, other_logprobs, short_logprobs."""
    status: int = 0
    message: str = ""
    type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0


BUSY = Fault(
    status=503,
    type="Service Unavailable",
    message="The engine is currently busy and cannot accept new requests. "
    "Please try again later or on a different instance.",
)
"""What --max-num-queued-reqs answers."""
LIMITED = Fault(status=429, type="Too Many Requests", message="Rate limit reached")
BROKEN = Fault(status=500, type="InternalServerError", message="EngineCore encountered an issue.")
TORN = Fault(kind="torn")
GARBAGE = Fault(kind="garbage")
RESET = Fault(kind="reset")
MUTE = Fault(kind="mute")
"""Takes the request and never answers."""
FEWER = Fault(kind="fewer")
"""One sample fewer than asked for."""
NO_LOGPROBS = Fault(kind="no_logprobs")
OTHER_LOGPROBS = Fault(kind="other_logprobs")
"""Of the tokens themselves, without those asked for."""
SHORT_LOGPROBS = Fault(kind="short_logprobs")
"""For all tokens but the last."""
BAD_DAY = (BUSY, LIMITED, BROKEN, TORN, GARBAGE, RESET, FEWER)


def slow(seconds: float) -> Fault:
    return Fault(kind="slow", seconds=seconds)


async def fail(request: web.Request, fault: Fault) -> web.StreamResponse | None:
    """None where the fault is in the answer itself."""
    match fault.kind:
        case "status":
            rejected = Rejected(fault.message, status=fault.status, kind=fault.type)
            answer = json_answer(rejected.to_json(), status=fault.status)
            answer.headers.update(fault.headers)
            return answer
        case "torn":
            response = web.StreamResponse(headers={"Content-Length": "4000"})
            await response.prepare(request)
            await response.write(b'{"id": "cmpl-1", "choi')
            assert request.transport is not None
            request.transport.close()
            return response
        case "garbage":
            return web.Response(text="<html>Bad gateway</html>", content_type="text/html")
        case "reset":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        case "mute":
            await asyncio.Event().wait()  # until the client goes away
        case "slow":
            await asyncio.sleep(fault.seconds)
    return None


def spoil(choices: list[dict[str, Any]], fault: Fault) -> None:
    if fault.kind == "fewer":
        choices.pop()
    for one in choices:
        found = one["logprobs"]
        if fault.kind == "no_logprobs":
            one["logprobs"] = None
        elif fault.kind == "other_logprobs" and found is not None:
            pairs = zip(found["tokens"], found["token_logprobs"], strict=True)
            found["top_logprobs"] = [{token: value} for token, value in pairs]
        elif fault.kind == "short_logprobs" and found is not None:
            one["logprobs"] = {name: values[:-1] for name, values in found.items()}


def json_answer(body: Any, *, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")
