"""How does a fleet of vLLM servers answer requests, as one engine?

Answers come out as they arrive, while the next requests are already under way.  A prompt that is
too long for the servers is refused before it is sent.

Sample k of a request depends on (seed, k) as far as the server allows: with another batch beside it
vLLM may round differently, and now and then another token is drawn.  On a CPU two runs of the same
1010 critiques, compared token by token, were alike.

A judge of the small world, 101 steps x 10 critiques, in this process and through vLLM 0.32 on a CPU
(float32): 94.5 % and 95.2 % of the critiques could be parsed, the mean belief was 0.804 and 0.801,
the scores of the steps differed by 0.001 on average (standard error 0.007), and 97 and 95 of the
steps were labelled right.  The two draw other random numbers, so the texts are not the same.

How to start a server: with the model's own tokenizer (`vllm_check` says so where it is another
one), with --enable-prompt-tokens-details if cached tokens are to be counted, and on a CPU with
--block-size 32 (`vllm_asking` says why) and --no-enable-chunked-prefill: vLLM 0.32 dies there of a
prompt with a seed that it reads in parts.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any

import structlog

from rprm.engines.base import Completion, Refused, Request, SamplingParams
from rprm.engines.client_metrics import REFUSED
from rprm.engines.endpoint import ApiKey
from rprm.engines.endpoints import endpoint_source
from rprm.engines.http_retry import full_budget
from rprm.engines.loop_thread import LoopThread, Put
from rprm.engines.sampling_checks import check_params, refusal_of
from rprm.engines.tokenizers import Tokenizer
from rprm.engines.verdict_tokens import verdict_token_ids
from rprm.engines.vllm_asking import Asking, Counts, VllmOptions
from rprm.engines.vllm_calls import Calls
from rprm.engines.vllm_check import expected_of
from rprm.engines.vllm_fleet import Fleet
from rprm.engines.vllm_reading import Reader, reader_of
from rprm.errors import BadInput

log = structlog.get_logger()

Outcome = Completion | Refused


class VllmEngine:
    """An Engine on whatever replicas `url` leads to; see `endpoints` for its forms."""

    def __init__(
        self,
        url: str,
        *,
        tokenizer: Tokenizer,
        folder: str,
        key: ApiKey | None = None,
        options: VllmOptions | None = None,
    ) -> None:
        """`folder` is the model that is meant; `tokenizer` is its own and makes the prompts."""
        self._folder = folder
        self._inside = _Inside(
            url, reader_of(tokenizer, folder), folder, key, options or VllmOptions()
        )
        self._loop = LoopThread("vllm")
        self._loop.call(self._inside.open())
        self._closing = weakref.finalize(self, _close, self._loop, self._inside)

    @property
    def name(self) -> str:
        return self._folder

    @property
    def counts(self) -> Counts:
        return self._inside.counts

    @property
    def fleet(self) -> Fleet:
        """What is known of the replicas."""
        return self._inside.fleet

    def close(self) -> None:
        """Ends what is under way; also happens when the engine is forgotten or Python ends."""
        self._closing()

    def sample(self, requests: Sequence[Request], params: SamplingParams) -> Iterator[Outcome]:
        """Answer every request.  Raises BadInput where the servers do not fit, ApiUnavailable where
        none could be reached for too long."""
        check_params(params)
        wrong = next((one for one in requests if one.n < 0), None)
        if wrong is not None:
            raise BadInput(f"Request {wrong.id} asks for {wrong.n} samples.", fix="ask for 1.")
        if requests:
            inside = self._inside

            def work(put: Put[Outcome]) -> Coroutine[Any, Any, None]:
                return inside.answer(requests, params, put)

            yield from self._loop.stream(work)


def _close(loop: LoopThread, inside: _Inside) -> None:
    loop.call(inside.close())
    loop.close()


class _Inside:
    """What lives in the event loop.  It must not know the engine, which ends it when forgotten."""

    def __init__(
        self, url: str, reader: Reader, folder: str, key: ApiKey | None, options: VllmOptions
    ) -> None:
        self.counts = Counts()
        self._reader, self._options = reader, options
        self._calls = Calls(key)
        expected = expected_of(reader.tokenizer, reader.decode, folder)
        self.fleet = Fleet(endpoint_source(url), self._calls, expected, options.watching)

    async def open(self) -> None:
        await self._calls.open()
        await self.fleet.open()

    async def close(self) -> None:
        await self.fleet.close()
        await self._calls.close()
        log.info("vllm_used", calls=self.counts.calls, failed_tries=self.counts.failed_tries)

    async def answer(
        self, requests: Sequence[Request], params: SamplingParams, put: Put[Outcome]
    ) -> None:
        """Puts an answer for every request, as they come."""
        asking = self._asking(params)
        try:
            async with asyncio.TaskGroup() as tasks:
                for request in requests:
                    known = await self._known(request, params)
                    if known is not None:
                        self._put(known, put)
                        continue
                    await self.fleet.lines.room_ahead()
                    tasks.create_task(self._ask(asking, request, put))
        except BaseExceptionGroup as problems:
            raise problems.exceptions[0] from None

    async def _ask(self, asking: Asking, request: Request, put: Put[Outcome]) -> None:
        self._put(await asking.ask(request), put)

    def _put(self, outcome: Outcome, put: Put[Outcome]) -> None:
        self.counts.requests += 1
        if isinstance(outcome, Refused):
            self.counts.refused += 1
            REFUSED.labels("", outcome.cause).inc()
        put(outcome)

    def _asking(self, params: SamplingParams) -> Asking:
        fmt, tokenizer = params.verdict, self._reader.tokenizer
        return Asking(
            fleet=self.fleet,
            calls=self._calls,
            reader=self._reader,
            params=params,
            verdict=None if fmt is None else verdict_token_ids(tokenizer, fmt),
            options=self._options,
            counts=self.counts,
            budget=full_budget(self._options.retry),
        )

    async def _known(self, request: Request, params: SamplingParams) -> Outcome | None:
        """What needs no server to be said, but for its length."""
        if request.n == 0:
            return Completion(id=request.id, samples=())
        lengths = [one.max_model_len for one in await self.fleet.served()]
        return refusal_of(
            request, params, most=min((one for one in lengths if one is not None), default=None)
        )
