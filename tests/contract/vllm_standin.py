"""What does a vLLM server look like to a client?  A stand-in on this machine, with its bad days.

`with VllmStandin() as server:` serves at `server.url` from a thread; several of them are several
replicas.  It writes what standin_text says (chain_base's vocabulary), takes and refuses what
standin_protocol says, and takes as long as standin_core says; its bad days are in standin_faults.

Held to vLLM by test_vllm_protocol.py.  What vLLM 0.32.0 (CPU) was seen to do, chain_base served:

tokenizer      AutoTokenizer reads chain_base as Qwen's own and gets other ids.  Given a folder
               with the tokenizer's two files and *no config.json* (`--tokenizer FOLDER`), it has no
               model type to go by and reads them right; real_vllm.py does that.
text           Goes on after the prompt: " value 2 2", with the space that in-process decoding of
               the same ids lacks.  EOS is in `token_ids`, and its text is not.
token ids      `return_token_ids`: `token_ids` and `prompt_token_ids` in every choice.
finish_reason  "stop" for EOS (`stop_reason` null), for a stop string (`stop_reason` the string) and
               for a stop token (its id); "length".  A prompt and max_tokens beyond the model's
               length are cut to it without a word.
stop           Text ends before the string, or with `include_stop_str_in_output` right after it,
               in the middle of a token if need be; `token_ids` hold that whole token.
n, seed        Sample i of seed s is, token for token, sample 0 of seed s + i; the same again, and
               the same whatever is beside it.  n > 1 at temperature 0 is refused (400).  A seed
               has 64 bits with sign.
logprobs       At temperature 1 and before top_p, whatever the request samples with.
               `logprobs: N` gives `tokens`, `token_logprobs` and `top_logprobs`, an object for each
               token with the N most probable and the token itself.  With `logprob_token_ids`
               (`logprobs` must be set, 0 will do) it has the token itself and exactly those.  Its
               keys are the tokens' texts without the space; `return_tokens_as_token_ids` makes
               them "token_id:39".  EOS has its place in all of them.  The value at a token of a
               sample equals that of a later one-token request with prompt + sample so far.
               The very first request with logprobs took 22 s on CPU (it compiles), later ones
               nothing to speak of.
too long       400 with `param` "input_tokens" and "This model's maximum context length is 512
               tokens. However, your prompt contains 600 …"; exactly as long as the model: 400
               "max_tokens must be at least 1, got 0."
errors         {"error": {"message", "type", "param", "code"}}, code the HTTP status; routing
               errors are {"detail": …}; a wrong key, under /v1 only, is 401
               {"error": "Unauthorized"}.
usage          `prompt_tokens` once whatever n; with --enable-prompt-tokens-details
               `prompt_tokens_details.cached_tokens`, those of the last sample: a prompt never seen
               before has them for n > 1, as its samples share blocks within one step.
/metrics       running and waiting count samples, not requests.  A client that goes away
               takes its samples out of both at once.
SIGTERM        With --shutdown-timeout what is under way is finished first.
a split prompt On CPU it kills the engine if the request has a seed: real_vllm.py says when, and how
               not to get there.  Every request under way is then answered with 500 "EngineCore
               encountered an issue. See stack trace (above) for the root cause."
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Self

import orjson
from aiohttp import web

from tests.contract.standin_core import Core, Pace, metrics_text
from tests.contract.standin_faults import Fault, fail, json_answer, spoil
from tests.contract.standin_protocol import Asked, Body, Rejected, choice, read_request
from tests.contract.standin_protocol import torn_request as torn
from tests.contract.standin_text import Babble, Script, Written, encode, words

VERSION = "0.32.0"
FINGERPRINT = "vllm-0.32.0-6b4d43db"


class VllmStandin:
    def __init__(
        self,
        *,
        model: str = "judge",
        max_model_len: int = 512,
        pace: Pace | None = None,
        script: Script | None = None,
        key: str | None = None,
        dies_after: int | None = None,
        port: int = 0,
    ) -> None:
        self.model = model
        self.max_model_len = max_model_len
        self.key = key
        self.dies_after = dies_after
        """The connection of the request after so many is cut, and the server is gone."""
        self.core = Core(pace or Pace())
        self.babble = Babble(script)
        self.faults: deque[Fault] = deque()
        """Taken by the next requests, in order."""
        self.fault_of: Callable[[Body, int], Fault | None] = lambda body, seen: None
        """Or by what is asked, and how often the same was asked before."""
        self.bodies: list[Body] = []
        """Of every completion that was asked for, the faulty ones too."""
        self.scrapes = 0
        self.aborted = 0
        """Requests whose client went away."""
        self.most_at_once = 0
        self._at_once = 0
        self._seen: dict[str, int] = {}
        self._leaving = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._ready = threading.Event()
        self._port = port
        """0: any that is free."""

    @property
    def url(self) -> str:
        """Of the root: completions are at /v1/completions below it."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def at_once(self) -> int:
        """Requests under way."""
        return self._at_once

    def hang(self) -> None:
        """Like an engine that is stuck: /health and /metrics answer, and nothing moves."""
        self.core.hung = True

    def resume(self) -> None:
        self._loop.call_soon_threadsafe(self.core.resume)

    def die(self) -> None:
        """Like SIGKILL: every connection is reset and the port is closed."""
        self._loop.call_soon_threadsafe(self._cut)
        self._thread.join(30)

    def leave(self) -> None:
        """Like SIGTERM with --shutdown-timeout: what is under way is finished, then it is gone."""
        self._leaving = True

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(30)
        self._loop.close()

    def _serve(self) -> None:
        self._loop.run_until_complete(self._run())

    async def _run(self) -> None:
        self._stop = asyncio.Event()
        app = web.Application(client_max_size=2**26, middlewares=[_routing_errors])
        app.router.add_post("/v1/completions", self._completions)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/health", self._health)
        app.router.add_get("/version", self._version)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_post("/tokenize", self._tokenize)
        runner = web.AppRunner(
            app,
            access_log=None,
            shutdown_timeout=0.1,
            handler_cancellation=True,
            keepalive_timeout=120,
        )
        await runner.setup()
        self._site = web.TCPSite(runner, "127.0.0.1", self._port)
        await self._site.start()
        self._server = runner.server
        self._port = runner.addresses[0][1]
        core = asyncio.create_task(self.core.run())
        self._ready.set()
        await self._stop.wait()
        core.cancel()
        await runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _cut(self) -> None:
        assert self._server is not None
        for connection in list(self._server.connections):
            if connection.transport is not None:
                connection.transport.abort()
        self._stop.set()

    async def _models(self, request: web.Request) -> web.Response:
        if (refusal := self._unauthorized(request)) is not None:
            return refusal
        one = {
            "id": self.model,
            "object": "model",
            "created": 1732320000,
            "owned_by": "vllm",
            "root": self.model,
            "parent": None,
            "max_model_len": self.max_model_len,
            "permission": [],
        }
        return json_answer({"object": "list", "data": [one]})

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response()

    async def _version(self, request: web.Request) -> web.Response:
        return json_answer({"version": VERSION})

    async def _metrics(self, request: web.Request) -> web.Response:
        self.scrapes += 1
        return web.Response(text=metrics_text(self.core, self.model), content_type="text/plain")

    async def _tokenize(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        tokens = encode(body["prompt"])
        strings = words(tokens) if body.get("return_token_strs") else None
        return json_answer(
            {
                "count": len(tokens),
                "max_model_len": self.max_model_len,
                "tokens": tokens,
                "token_strs": strings,
            }
        )

    async def _completions(self, request: web.Request) -> web.StreamResponse:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            return await self._answer(request)
        except Rejected as rejected:
            return json_answer(rejected.to_json(), status=rejected.status)
        except asyncio.CancelledError:
            self.aborted += 1
            raise
        finally:
            self._at_once -= 1
            if self._leaving and not self._at_once:
                self._loop.call_later(0.05, self._stop.set)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if (refusal := self._unauthorized(request)) is not None:
            return refusal
        try:
            body = orjson.loads(await request.read())
        except orjson.JSONDecodeError:
            raise torn() from None
        self.bodies.append(body)
        if self.dies_after is not None and len(self.bodies) > self.dies_after:
            self._cut()
            return web.Response()
        fault = self._fault(body)
        if fault is not None and (failed := await fail(request, fault)) is not None:
            return failed
        asked = read_request(body, model=self.model, max_model_len=self.max_model_len)
        return json_answer(await self._complete(asked, fault))

    def _fault(self, body: Body) -> Fault | None:
        same = repr((body.get("prompt"), body.get("seed")))
        self._seen[same] = self._seen.get(same, -1) + 1
        return self.faults.popleft() if self.faults else self.fault_of(body, self._seen[same])

    async def _complete(self, asked: Asked, fault: Fault | None) -> dict[str, Any]:
        choices: list[dict[str, Any]] = []
        cached = tokens = 0
        for prompt, drawings in zip(asked.prompts, asked.drawings, strict=True):
            written = [self.babble.write(prompt, drawing) for drawing in drawings]
            cached = await self.core.finish([one.token_ids for one in written], prompt)
            tokens += sum(len(one.token_ids) for one in written)
            choices += self._choices(len(choices), prompt, written, asked)
        if fault is not None:
            spoil(choices, fault)
        return _completion(self.model, choices, sum(map(len, asked.prompts)), tokens, cached)

    def _choices(
        self, first: int, prompt: tuple[int, ...], written: list[Written], asked: Asked
    ) -> list[dict[str, Any]]:
        return [
            choice(first + number, prompt, one, asked, self.babble)
            for number, one in enumerate(written)
        ]

    def _unauthorized(self, request: web.Request) -> web.Response | None:
        if self.key is None or request.headers.get("Authorization") == f"Bearer {self.key}":
            return None
        return json_answer({"error": "Unauthorized"}, status=401)


@web.middleware
async def _routing_errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as problem:
        return json_answer({"detail": problem.reason}, status=problem.status)


def _completion(
    model: str, choices: list[dict[str, Any]], prompt: int, written: int, cached: int
) -> dict[str, Any]:
    return {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1732320000,
        "model": model,
        "choices": choices,
        "service_tier": None,
        "system_fingerprint": FINGERPRINT,
        "usage": {
            "prompt_tokens": prompt,
            "total_tokens": prompt + written,
            "completion_tokens": written,
            "prompt_tokens_details": {"cached_tokens": cached},
            "completion_tokens_details": None,
        },
        "kv_transfer_params": None,
        "ec_transfer_params": None,
        "metrics": None,
    }
