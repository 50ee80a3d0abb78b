"""What does a hosted chat-completions API look like to a client?  A stand-in on this machine.

It speaks the protocol of the hosted ones: keys, models, parameters that some models refuse, n,
usage, rate-limit headers and error bodies; and it has their bad days, on demand.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

CONTEXT_CHARACTERS = 20_000
"""Stands for the context length: this API counts four characters as a token."""
REASONING = "o1-mini"
MODELS = ("gpt-4o-2024-08-06", "judge", REASONING)
TAKEN = {
    "model",
    "messages",
    "n",
    "seed",
    "stop",
    "stream",
    "temperature",
    "top_p",
    "max_tokens",
    "max_completion_tokens",
}
TAKEN_BY_VLLM = TAKEN | {"top_k"}

Body = Mapping[str, Any]
Reply = Callable[[Body, int], str]
"""The text of sample k of a request."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One bad answer."""

    status: int = 0
    error: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: str = "status"
    """Or torn, garbage, reset, slow, inside."""


def rate_limited(**headers: str) -> Fault:
    error = {"message": "Rate limit reached for requests", "code": "rate_limit_exceeded"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(status=429, error=error, headers=named)


OVERLOADED = Fault(status=503, error={"message": "The engine is overloaded", "code": None})
BROKEN = Fault(status=500, error={"message": "The server had an error", "type": "server_error"})
TORN = Fault(kind="torn")
GARBAGE = Fault(kind="garbage")
RESET = Fault(kind="reset")
SLOW = Fault(kind="slow")
INSIDE = Fault(kind="inside", error={"message": "upstream timed out", "code": 502})
BAD_DAY = (rate_limited(retry_after_ms="1"), OVERLOADED, BROKEN, TORN, GARBAGE, RESET, INSIDE)


class OpenAiServer:
    """`with OpenAiServer(reply) as server:` serves at `server.base_url` from a thread."""

    def __init__(self, reply: Reply, *, key: str | None = None, samples: int = 128) -> None:
        self.key = key
        self.samples = samples
        """A request for more gets so many."""
        self.reply = reply
        self.faults: deque[Fault] = deque()
        """Taken by the next requests, in order."""
        self.fault_of: Callable[[Body, int], Fault | None] = lambda body, seen: None
        """Or by what is asked, and how often the same was asked before."""
        self.bodies: list[Body] = []
        self.headers: list[Mapping[str, str]] = []
        self.answer_headers: dict[str, str] = {}
        self.most_at_once = 0
        self._at_once = 0
        self._seen: dict[str, int] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._ready = threading.Event()
        self._port = 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        self._loop.close()

    def _serve(self) -> None:
        self._loop.run_until_complete(self._run())

    async def _run(self) -> None:
        self._stop = asyncio.Event()
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/v1/chat/completions", self._complete)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self._port = runner.addresses[0][1]
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await asyncio.sleep(0)  # lets the others in, as a real server would
            return await self._answer(request)
        finally:
            self._at_once -= 1

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        self.headers.append(dict(request.headers))
        if self.key is not None and request.headers.get("Authorization") != f"Bearer {self.key}":
            given = request.headers.get("Authorization", "").removeprefix("Bearer ")
            return _error(
                401,
                {
                    "message": f"Incorrect API key provided: {given}.",
                    "type": "invalid_request_error",
                    "param": None,
                    "code": "invalid_api_key",
                },
            )
        body = json.loads(raw)
        self.bodies.append(body)
        same = json.dumps([body["messages"], body.get("seed")], sort_keys=True)
        self._seen[same] = self._seen.get(same, -1) + 1
        fault = self.faults.popleft() if self.faults else self.fault_of(body, self._seen[same])
        if fault is not None:
            return await _fail(request, fault)
        refusal = refusal_of(body)
        if refusal is not None:
            return refusal
        return web.json_response(self._completion(body), headers=self.answer_headers)

    def _completion(self, body: Body) -> dict[str, Any]:
        texts = [self.reply(body, k) for k in range(min(body.get("n", 1), self.samples))]
        prompt = characters(body) // 4
        written = sum(len(text) // 4 + 1 for text in texts)
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1732320000,
            "model": body["model"],
            "choices": [
                {
                    "index": k,
                    "message": {"role": "assistant", "content": text, "refusal": None},
                    "logprobs": None,
                    "finish_reason": "stop" if text else "length",
                }
                for k, text in enumerate(texts)
            ],
            "usage": {
                "prompt_tokens": prompt,
                "completion_tokens": written,
                "total_tokens": prompt + written,
            },
        }


def characters(body: Body) -> int:
    return sum(len(one["content"]) for one in body["messages"])


def refusal_of(body: Body) -> web.Response | None:
    """What the API answers to a request that the model cannot serve."""
    model = body["model"]
    if model not in MODELS:
        message = f"The model `{model}` does not exist or you do not have access to it."
        return _error(404, {"message": message, "param": None, "code": "model_not_found"})
    if characters(body) > CONTEXT_CHARACTERS:
        message = (
            f"This model's maximum context length is {CONTEXT_CHARACTERS // 4} tokens. However, "
            f"your messages resulted in {characters(body) // 4} tokens."
        )
        return _error(
            400, {"message": message, "param": "messages", "code": "context_length_exceeded"}
        )
    unknown = set(body) - (TAKEN_BY_VLLM if model == "judge" else TAKEN)
    if unknown:
        message = f"Unknown parameter: '{min(unknown)}'."
        return _error(400, {"message": message, "param": min(unknown), "code": "unknown_parameter"})
    return _reasoning_refusal(body) if model == REASONING else None


def _reasoning_refusal(body: Body) -> web.Response | None:
    if "max_tokens" in body:
        message = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead."
        )
        return _error(
            400, {"message": message, "param": "max_tokens", "code": "unsupported_parameter"}
        )
    fixed = [name for name in ("temperature", "top_p", "n") if body.get(name, 1) != 1]
    if body["messages"][0]["role"] not in ("user", "assistant"):
        fixed.append("messages[0].role")
    if not fixed:
        return None
    message = f"Unsupported value: '{fixed[0]}' does not support this value with this model."
    return _error(400, {"message": message, "param": fixed[0], "code": "unsupported_value"})


def _error(status: int, error: Body, headers: Mapping[str, str] | None = None) -> web.Response:
    body = {"type": "invalid_request_error", "param": None, "code": None, **error}
    return web.json_response({"error": body}, status=status, headers=dict(headers or {}))


async def _fail(request: web.Request, fault: Fault) -> web.StreamResponse:
    match fault.kind:
        case "torn":
            response = web.StreamResponse(headers={"Content-Length": "4000"})
            await response.prepare(request)
            await response.write(b'{"id": "chatcmpl-1", "choi')
            assert request.transport is not None
            request.transport.close()
            return response
        case "garbage":
            return web.Response(text="<html>Bad gateway</html>", content_type="text/html")
        case "reset":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        case "slow":
            await asyncio.sleep(60)  # the client is gone long before; its leaving ends this
            return web.Response()
        case "inside":
            return web.json_response({"error": dict(fault.error)})
    return _error(fault.status, fault.error, fault.headers)
