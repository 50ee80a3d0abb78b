"""What does one request cost the client's processor?  Beside the OpenAI SDK where it is installed.

Run with:  pytest tests/bench/test_client_cpu.py -m bench -s

Prompts of 5.9 kB and replies of 2.3 kB, from a canned server in another process; what is counted is
this process's time, of all its threads.  Ours is made as users get it, checks the answer and
decodes its tokens.  The SDK sends and hands over text: it would walk through every token id of a
prompt, at ten times the cost.  "Bare" is aiohttp and orjson on uvloop without anything around them.

Whatever else the machine does makes every instruction slower, so ours and bare take turns, and the
best round of each counts: it is their ratio that means something on a busy machine.

Some parts alone: connection and HTTP 0.22 ms (0.07 by asyncio's streams, which
would be an HTTP client of our own), decoding 300 tokens 0.04, two threads and the iterator between
them 0.03, writing the prompt's numbers 0.013, reading the answer's JSON 0.006, checking it 0.009.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
import uvloop

from rprm.engines.base import Completion, Request, SamplingParams
from rprm.engines.concurrency import first_limit
from rprm.engines.factory import make_engine
from rprm.engines.vllm_http import VllmEngine
from tests.bench.canned_server import REPLY_TOKENS, canned_server
from tests.bench.rows import Row
from tests.contract.real_vllm import CHAIN_BASE

BUDGET_MS = 0.3
IN_FLIGHT = (64, 512, 1024)
ROUNDS = 2
"""Requests, as a multiple of those in flight; at least MIN_REQUESTS."""
MIN_REQUESTS = 1500
TURNS = 5
PROMPT_TOKENS = 2000


def prompts(count: int) -> list[tuple[int, ...]]:
    rng = random.Random(count)
    return [tuple(rng.choices(range(3, 46), k=PROMPT_TOKENS)) for _ in range(count)]


def endpoints(folder: Path, url: str, in_flight: int) -> str:
    """A document whose replica gets `in_flight` sequences at once."""
    most = next(size for size in range(1, in_flight + 1) if first_limit(size).slots >= in_flight)
    path = folder / f"endpoints-{in_flight}.json"
    replica = {"name": "judge-0", "url": url, "state": "ready", "max_num_seqs": most}
    path.write_text(json.dumps({"model": "judge", "replicas": [replica]}))
    return path.as_uri()


def ours_ms(url: str, in_flight: int, folder: Path) -> float:
    engine = make_engine(endpoints(folder, url, in_flight), threads=1, tokenizer=CHAIN_BASE)
    assert isinstance(engine, VllmEngine)
    params = SamplingParams(max_tokens=REPLY_TOKENS)
    made = prompts(max(MIN_REQUESTS, ROUNDS * in_flight))
    requests = [
        Request(id=f"{number // 8}:{number % 8}", prompt_T=prompt, n=1, seed=number)
        for number, prompt in enumerate(made)
    ]
    try:
        _used_s(engine, requests[:in_flight], params)  # opens the connections
        return 1000 * _used_s(engine, requests, params) / len(requests)
    finally:
        engine.close()


def _used_s(engine: VllmEngine, requests: list[Request], params: SamplingParams) -> float:
    began_s = time.process_time()
    for answer in engine.sample(requests, params):
        assert isinstance(answer, Completion)
    return time.process_time() - began_s


def bare_ms(url: str, in_flight: int) -> float:
    made = prompts(MIN_REQUESTS)

    async def run() -> float:
        gate = asyncio.Semaphore(in_flight)

        async def ask(prompt: tuple[int, ...]) -> None:
            async with gate:
                body = {"model": "judge", "prompt": prompt, "max_tokens": REPLY_TOKENS}
                async with session.post(f"{url}/v1/completions", data=orjson.dumps(body)) as got:
                    orjson.loads(await got.read())

        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await asyncio.gather(*map(ask, made[:in_flight]))
            began_s = time.process_time()
            await asyncio.gather(*map(ask, made))
            return time.process_time() - began_s

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return 1000 * runner.run(run()) / len(made)


def sdk_ms(url: str, in_flight: int) -> float | None:
    """None where it is not installed."""
    try:
        import openai
    except ImportError:
        return None
    made = [" ".join(map(str, prompt)) for prompt in prompts(max(256, in_flight))]

    async def run() -> float:
        client: Any = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        gate = asyncio.Semaphore(in_flight)

        async def ask(prompt: str) -> None:
            async with gate:
                await client.completions.create(
                    model="judge", prompt=prompt, max_tokens=REPLY_TOKENS, timeout=120
                )

        async with client:
            await asyncio.gather(*map(ask, made[: in_flight // 4]))
            began_s = time.process_time()
            await asyncio.gather(*map(ask, made))
            return time.process_time() - began_s

    return 1000 * asyncio.run(run()) / len(made)


@pytest.mark.bench
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("in_flight", IN_FLIGHT)
def test_a_request_costs_little_however_many_are_in_flight(
    in_flight: int, tmp_path: Path, row: Row
) -> None:
    with canned_server() as url:
        rounds = [
            (ours_ms(url, in_flight, tmp_path), bare_ms(url, in_flight)) for _ in range(TURNS)
        ]
        sdk = sdk_ms(url, in_flight)
    ours, bare = (min(found) for found in zip(*rounds, strict=True))
    beside = "OpenAI SDK not installed" if sdk is None else f"OpenAI SDK {sdk:.2f} ms"
    row(
        f"(b) client's processor time per request, {in_flight} in flight",
        f"{ours:.3f} ms",
        f"<= {BUDGET_MS} ms",
        ours <= BUDGET_MS,
        f"bare aiohttp {bare:.3f} ms, {beside}",
    )
    assert ours <= BUDGET_MS
    assert sdk is None or ours < sdk
