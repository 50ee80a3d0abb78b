"""How is an OpenAI-compatible server asked many things at once?

One client for one base URL: hosted APIs and vLLM alike.  What is in flight is bounded by a limit
that feels for the server's; faults are retried, refused or raised by their cause.  The decisions
are pure (`http_limit`, `http_faults`, `http_retry`, `chat`); here is the I/O.

Nothing that is raised or returned carries a request's headers: the key is in them.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
import orjson
import structlog

from rprm.engines.base import Refused
from rprm.engines.chat import ChatReply, ChatRequest, Usage, body_of, joined, reply_of
from rprm.engines.client_metrics import REFUSED, ReplicaMeter, Seen
from rprm.engines.endpoint import Endpoint, check_base_url
from rprm.engines.http_faults import (
    Cause,
    Fault,
    fault_in_success,
    fault_of,
    quota_wait_s,
    shortened,
)
from rprm.engines.http_gate import Clock, Gate, Sleep
from rprm.engines.http_limit import first_limit
from rprm.engines.http_retry import Action, RetryPolicy, decide, full_budget
from rprm.engines.streaming import all_of
from rprm.errors import BadInput, RprmError

log = structlog.get_logger()

CONNECT_S = 30.0
KEEP_ALIVE_S = 4.0
"""Below the 5 s after which vLLM closes an idle connection by default: reusing one at that very
moment would break the request."""


class ApiUnavailable(RprmError):
    """The API is out of reach for now.  Nothing is wrong with the setup: another attempt may do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    max_in_flight: int = 64
    deadline_s: float = 1800.0
    """Of one try, from sending to the last byte."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)


@dataclass(kw_only=True, slots=True)
class Counts:
    """What the run cost so far."""

    calls: int = 0
    failed_tries: int = 0
    usage: Usage = field(default_factory=Usage)


class ChatClient:
    """`async with ChatClient(endpoint) as client: await client.ask(request)`, many at once."""

    def __init__(
        self,
        endpoint: Endpoint,
        pace: Pace | None = None,
        *,
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        check_base_url(endpoint.base_url)
        self.endpoint = endpoint
        self.pace = pace or Pace()
        self.counts = Counts()
        self._clock = clock
        self._meter = ReplicaMeter(urlsplit(endpoint.base_url).netloc, endpoint.model)
        self._gate = Gate(first_limit(self.pace.max_in_flight), clock=clock, sleep=sleep)
        self._budget = full_budget(self.pace.retry)
        self._sleep = sleep
        self._jitter = jitter
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        https = self.endpoint.base_url.startswith("https:")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S),
            timeout=aiohttp.ClientTimeout(total=self.pace.deadline_s, sock_connect=CONNECT_S),
            trust_env=https,  # proxies are for the outside; a server without TLS is a neighbour
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._session is not None
        await self._session.close()
        self._session = None
        self._meter.leave()
        used = self.counts.usage
        log.info(
            "api_used",
            model=self.endpoint.model,
            calls=self.counts.calls,
            failed_tries=self.counts.failed_tries,
            prompt_tokens=used.prompt_tokens,
            completion_tokens=used.completion_tokens,
        )

    async def ask(self, request: ChatRequest) -> ChatReply | Refused:
        """All n samples.  Raises BadInput where the setup is wrong, ApiUnavailable where waiting
        longer is for somebody else to decide."""
        width = request.n if self.endpoint.traits.many else 1
        starts = range(0, request.n, width)
        parts = await all_of(self._draw(request, first, width) for first in starts)
        replies = [part for part in parts if isinstance(part, ChatReply)]
        if len(replies) < len(parts):
            return next(part for part in parts if isinstance(part, Refused))
        return joined(request.id, replies, n=request.n)

    async def _draw(self, request: ChatRequest, first: int, width: int) -> ChatReply | Refused:
        """Samples first to first + width; a server that gives fewer is asked for the rest."""
        replies: list[ChatReply] = []
        missing = width
        while missing > 0:
            reply = await self._try_until_answered(request, first + width - missing, missing)
            if isinstance(reply, Refused):
                return reply
            replies.append(reply)
            missing -= len(reply.texts_K)
        return joined(request.id, replies, n=width)

    async def _try_until_answered(
        self, request: ChatRequest, first: int, n: int
    ) -> ChatReply | Refused:
        body = body_of(self.endpoint.model, self.endpoint.traits, request, n=n, first=first)
        tries = 0
        while True:
            tries += 1
            found = await self._try(request.id, body)
            if isinstance(found, ChatReply):
                return found
            decision = decide(
                found,
                tries=tries,
                policy=self.pace.retry,
                budget=self._budget,
                jitter=self._jitter(),
            )
            match decision.action:
                case Action.AGAIN:
                    self._budget = self._budget.spent()
                    log.info(
                        "api_retry", cause=found.cause.value, tries=tries, wait_s=decision.wait_s
                    )
                    await self._sleep(decision.wait_s)
                case Action.REFUSE:
                    REFUSED.labels(self.endpoint.model, found.cause.value).inc()
                    return Refused(id=request.id, cause=found.cause.value, detail=decision.reason)
                case Action.STOP:
                    raise self._bad_setup(found)
                case Action.LEAVE:
                    raise ApiUnavailable(f"{self._place}: {decision.reason}")

    async def _try(self, request_id: str, body: Any) -> ChatReply | Fault:
        async with self._gate.slot() as generation:
            began_s = self._clock()
            found = await self._call(request_id, body)
            self._tell(found, self._clock() - began_s)
            if isinstance(found, Fault):
                self.counts.failed_tries += 1
                if found.cause.from_load:
                    self._gate.refused_for_load(generation)
                    self._hold(found.wait_s or 0.0)
                return found
            self.counts.calls += 1
            self.counts.usage += found.usage
            self._budget = self._budget.earned()
            self._gate.answered()
            return found

    def _tell(self, found: ChatReply | Fault, seconds: float) -> None:
        """To Prometheus."""
        if isinstance(found, Fault):
            self._meter.failed(found.cause.value)
        else:
            self._meter.answered(seconds)
            self._meter.used(found.usage.prompt_tokens, 0, found.usage.completion_tokens)
        gate = self._gate
        self._meter.tell(Seen(in_flight=gate.in_flight, limit=gate.limit.slots))

    async def _call(self, request_id: str, body: Any) -> ChatReply | Fault:
        try:
            return await self._post(request_id, body)
        except TimeoutError:
            return Fault(cause=Cause.TIMEOUT, detail=f"no answer within {self.pace.deadline_s:g} s")
        except aiohttp.ClientPayloadError:
            return Fault(cause=Cause.TORN_BODY, detail="the answer ended before its end")
        except (aiohttp.ClientError, OSError) as error:
            text = self._redact(f"{type(error).__name__}: {error}")
            return Fault(cause=Cause.CONNECTION, detail=text)

    async def _post(self, request_id: str, body: Any) -> ChatReply | Fault:
        assert self._session is not None, "use the client in an `async with`"
        headers = {"Content-Type": "application/json"}
        if self.endpoint.key is not None:
            headers["Authorization"] = self.endpoint.key.header()
        async with self._session.post(
            f"{self.endpoint.base_url.rstrip('/')}/chat/completions",
            data=orjson.dumps(body),
            headers=headers,
            allow_redirects=False,  # a redirect would take the key along
        ) as response:
            data = await response.read()
            self._hold(self._quota_wait_s(response.headers))
            found: ChatReply | Fault
            if response.status == 200:
                found = _read(request_id, data)
            else:
                found = fault_of(response.status, data, response.headers, time.time())
            return self._redacted(found)

    def _quota_wait_s(self, headers: Mapping[str, str]) -> float:
        """Until the quota has room for what the limit would send at once."""
        slots, usage = self._gate.limit.slots, self.counts.usage
        tokens = (usage.prompt_tokens + usage.completion_tokens) / max(self.counts.calls, 1)
        return quota_wait_s(headers, requests=slots, tokens=slots * tokens)

    def _hold(self, wait_s: float) -> None:
        self._gate.hold(min(wait_s, self.pace.retry.patience_s))

    def _redact(self, text: str) -> str:
        return text if self.endpoint.key is None else self.endpoint.key.redact(text)

    def _redacted(self, found: ChatReply | Fault) -> ChatReply | Fault:
        """After parsing, where no escape can hide a key, and before anything is cut short."""
        if isinstance(found, Fault):
            return replace(found, detail=shortened(self._redact(found.detail)))
        return replace(
            found,
            texts_K=tuple(map(self._redact, found.texts_K)),
            finishes_K=tuple(map(self._redact, found.finishes_K)),
        )

    @property
    def _place(self) -> str:
        return f"{self.endpoint.base_url}, model {self.endpoint.model!r}"

    def _bad_setup(self, fault: Fault) -> BadInput:
        key = self.endpoint.key
        variable = key.variable if key is not None else "the variable that key_env would name"
        detail = fault.detail.rstrip(".")
        return BadInput(f"{self._place}: {detail}.", fix=_FIXES[fault.cause].format(variable))


_FIXES = {
    Cause.UNAUTHORIZED: "put a valid key of this API into {}",
    Cause.FORBIDDEN: "use a key (in {}) whose project may use this model",
    Cause.NOT_FOUND: "check the base URL, which ends with the API's version such as /v1, and the "
    "model's name as this server lists it under /models",
    Cause.NO_CREDIT: "add credit to the account whose key is in {}, then run again",
    Cause.UNSUPPORTED: "declare in `traits` what this model does not take, or change the value",
    Cause.REDIRECTED: "give the base URL that it redirects to",
}


def _read(request_id: str, data: bytes) -> ChatReply | Fault:
    torn = Fault(cause=Cause.TORN_BODY, detail="the answer is no chat completion")
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError:
        return torn
    return fault_in_success(body) or reply_of(request_id, body) or torn
