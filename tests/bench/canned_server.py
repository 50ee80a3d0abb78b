"""Which server costs a client the least to wait for?  One that always says the same, at once.

Run as a process of its own, so that its time is not the client's:

    python -m tests.bench.canned_server         prints its address, and serves until it is killed

It passes for a vLLM server with chain_base; every request gets the same reply, and its metrics ask
for neither more nor fewer requests in flight.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from aiohttp import web

from rprm.data.chain_tokenizer import VOCABULARY
from tests.contract.standin_core import metrics_text
from tests.contract.vllm_standin import VllmStandin

LATENCY_S = 0.05
STEADY_KV = "0.7"
"""A cache that is full enough not to grow, and not so full as to shrink."""
REPLY_TOKENS = 300
"""About 2.5 kB of JSON."""
WORDS = [3 + number % 35 for number in range(REPLY_TOKENS)]


def reply() -> bytes:
    choice = {
        "index": 0,
        "text": "".join(f" {VOCABULARY[token]}" for token in WORDS),
        "logprobs": None,
        "finish_reason": "length",
        "stop_reason": None,
        "token_ids": WORDS,
        "prompt_logprobs": None,
        "prompt_token_ids": None,
        "routed_experts": None,
    }
    usage = {"prompt_tokens": 2000, "total_tokens": 2300, "completion_tokens": REPLY_TOKENS}
    body = {"id": "cmpl-1", "object": "text_completion", "created": 1732320000, "model": "judge"}
    return orjson.dumps({**body, "choices": [choice], "usage": usage})


class CannedServer(VllmStandin):
    def __init__(self) -> None:
        super().__init__(max_model_len=8192)
        self._reply = reply()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body: Any = orjson.loads(await request.read())
        if body.get("max_tokens") != REPLY_TOKENS:  # a question about the server itself
            return await super()._answer(request)
        await asyncio.sleep(LATENCY_S)
        return web.Response(body=self._reply, content_type="application/json")

    async def _metrics(self, request: web.Request) -> web.Response:
        lines = metrics_text(self.core, self.model).splitlines()
        text = "\n".join(
            f"{line.split(' ')[0]} {STEADY_KV}" if "kv_cache_usage_perc{" in line else line
            for line in lines
        )
        return web.Response(text=text + "\n", content_type="text/plain")


@contextmanager
def canned_server() -> Iterator[str]:
    """The address of one in another process."""
    command = [sys.executable, "-m", "tests.bench.canned_server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def main() -> None:
    with CannedServer() as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main()
