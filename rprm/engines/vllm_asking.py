"""How is one request answered by a fleet, whatever goes wrong on the way?

One call draws all samples.  What their verdicts believe is read from it, or asked for in a second
call on the same replica, which has the text in its cache and keeps the request's place.  A call
that fails is made again on another replica; its cause decides (`http_faults`, `http_retry`).

The ways to read P(Yes), measured with vLLM 0.32 on two CPU cores and a judge of 0.6 M parameters:
seconds beside the 9.4 s that drawing 10 critiques of 43 tokens for each of 81 steps takes.

with every token                                   about 3, most of it where answers are written
afterwards, a call for each critique               2.9 to 3.5
afterwards, a call for all critiques of a step     2.0 to 2.7 with cache blocks of 128 tokens, 1.25
                                                   with blocks of 32

What a reading afterwards costs is the text since the last whole block of the cache, computed again.
128 is vLLM's default on a CPU, so give --block-size 32 there; on a GPU it is 16.  It does not grow
with the text, while log-probabilities with every token do: for ten texts of 400 tokens they take
1.26 to 1.48 times as long as asking afterwards, and 580 kB instead of 21.  All gave the same
beliefs, bit for bit.  So afterwards is the default; a GPU was not measured.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeVar

import structlog

from rprm.engines.base import Completion, Refused, Request, Sample, SamplingParams
from rprm.engines.http_faults import Cause, Fault
from rprm.engines.http_retry import Action, Decision, RetryBudget, RetryPolicy, decide
from rprm.engines.openai_http import ApiUnavailable
from rprm.engines.verdict_tokens import VerdictTokens
from rprm.engines.vllm_calls import Calls
from rprm.engines.vllm_check import Served
from rprm.engines.vllm_fleet import Fleet, Watching
from rprm.engines.vllm_protocol import (
    Answer,
    Body,
    answer_of,
    beliefs_of,
    draws_of,
    sampling_body,
    verdict_body,
)
from rprm.engines.vllm_reading import Reader, StoppedTooSoon, Unread
from rprm.engines.vllm_server import Server, Turn
from rprm.errors import BadInput

log = structlog.get_logger()

T = TypeVar("T")


class Belief(StrEnum):
    """How P(Yes) is read where a text has its verdict."""

    WITH_TOKENS = "with-tokens"  # its log-probabilities come along with every token
    AFTERWARDS = "afterwards"  # one more call per request, one token for each of its samples


@dataclass(frozen=True, kw_only=True, slots=True)
class VllmOptions:
    belief: Belief = Belief.AFTERWARDS
    deadline_s: float = 1800.0
    """Of one call.  A replica that hangs is found sooner, by its standstill."""
    retry: RetryPolicy = field(
        default_factory=lambda: RetryPolicy(
            max_tries=6, first_wait_s=0.5, longest_wait_s=15.0, budget=100_000
        )
    )
    """A dying replica fails all that it had at once, so it is the tries of a request that count."""
    watching: Watching = field(default_factory=Watching)


@dataclass(kw_only=True, slots=True)
class Counts:
    """What the engine did so far."""

    requests: int = 0
    """Answered."""
    refused: int = 0
    calls: int = 0
    failed_tries: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    sequences: int = 0

    @property
    def tokens_per_sequence(self) -> float:
        """Of the samples so far; a guess before the first."""
        return self.completion_tokens / self.sequences if self.sequences else 256.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Read:
    """The samples of a request, and which of their beliefs are still to be asked for."""

    samples: list[Sample]
    unread: dict[int, Unread]

    def believing(self, beliefs: Sequence[float | None]) -> Read:
        samples = list(self.samples)
        for number, p_yes in zip(self.unread, beliefs, strict=True):
            samples[number] = replace(samples[number], p_yes=p_yes)
        return Read(samples=samples, unread={})


@dataclass(kw_only=True)
class Asking:
    """All requests of one call of the engine."""

    fleet: Fleet
    calls: Calls
    reader: Reader
    params: SamplingParams
    verdict: VerdictTokens | None
    options: VllmOptions
    counts: Counts
    budget: RetryBudget

    async def ask(self, request: Request) -> Completion | Refused:
        """Raises BadInput where the setup is wrong, ApiUnavailable where nobody can be reached."""
        cost = len(request.prompt_T) + int(request.n * self.counts.tokens_per_sequence)
        read = await self._until_answered(request, cost, lambda one: self._sampled(one, request))
        if isinstance(read, Refused):
            return read
        if read.unread:
            prompts = self._prompts(request, read)
            beliefs = await self._until_answered(
                request, cost, lambda one: self._believed(one, prompts)
            )
            if isinstance(beliefs, Refused):
                return beliefs
            read = read.believing(beliefs)
        samples = read.samples
        if len(samples) < request.n:  # greedy ones are all the same, and drawn once
            samples = samples * request.n
        return Completion(id=request.id, samples=tuple(samples))

    async def _sampled(self, server: Server, request: Request) -> Read | Fault:
        """Draws, and asks what the verdicts believe while the request has its place."""
        served = _served(server)
        with_tokens = self.verdict if self.options.belief is Belief.WITH_TOKENS else None
        body = sampling_body(
            request,
            self.params,
            eos=sorted(self.reader.eos),
            stop=self.params.stop if served.stops else (),
            verdict=with_tokens,
        )
        said = await self._post(server, body)
        if isinstance(said, Fault):
            return said
        answer = answer_of(said, n=draws_of(request, self.params), verdict=with_tokens)
        if answer is None:
            return Fault(cause=Cause.TORN_BODY, detail="the answer lacks samples or token ids")
        self._count(server, answer)
        read = self._read(server, request, answer)
        if not read.unread:
            return read
        beliefs = await self._believed(server, self._prompts(request, read))
        return read if isinstance(beliefs, Fault) else read.believing(beliefs)

    def _read(self, server: Server, request: Request, answer: Answer) -> Read:
        try:
            pairs = [self.reader.sample(drawn, self.params) for drawn in answer.drawn_K]
        except StoppedTooSoon as ending:
            raise BadInput(
                f"{server.replica.url} ended a text at {str(ending)!r}, where there is no stop"
                " string and no end of text: it has another tokenizer.",
                fix="serve the model with the tokenizer of its own folder",
            ) from ending
        most = _served(server).max_model_len
        room = len(request.prompt_T) + 1
        unread = {
            number: one
            for number, (_, one) in enumerate(pairs)
            if one is not None and (most is None or room + len(one.ids_T) <= most)
        }
        return Read(samples=[sample for sample, _ in pairs], unread=unread)

    def _prompts(self, request: Request, read: Read) -> list[tuple[int, ...]]:
        return [(*request.prompt_T, *one.ids_T) for one in read.unread.values()]

    async def _believed(
        self, server: Server, prompts: Sequence[Sequence[int]]
    ) -> list[float | None] | Fault:
        assert self.verdict is not None
        said = await self._post(server, verdict_body(prompts, self.verdict))
        if isinstance(said, Fault):
            return said
        found = beliefs_of(said, n=len(prompts), verdict=self.verdict)
        if found is None:
            return Fault(cause=Cause.TORN_BODY, detail="the answer lacks log-probabilities")
        return found

    async def _post(self, server: Server, body: Body) -> object:
        self.counts.calls += 1
        return await self.calls.post(
            f"{server.replica.url}/v1/completions",
            {"model": _served(server).model, **body},
            deadline_s=self.options.deadline_s,
        )

    def _count(self, server: Server, answer: Answer) -> None:
        counts, usage = self.counts, answer.usage
        counts.prompt_tokens += usage.prompt_tokens
        counts.cached_tokens += usage.cached_tokens
        generated = sum(len(one.token_ids) for one in answer.drawn_K)
        counts.completion_tokens += generated
        counts.sequences += len(answer.drawn_K)
        server.meter.used(usage.prompt_tokens, usage.cached_tokens, generated)

    async def _until_answered(
        self, request: Request, cost: int, work: Callable[[Server], Awaitable[T | Fault]]
    ) -> T | Refused:
        tries, avoid = 0, frozenset[str]()
        while True:
            async with self.fleet.lines.turn(
                request.id.rpartition(":")[0] or request.id,
                cost=cost,
                sequences=draws_of(request, self.params),
                avoid=avoid,
            ) as (server, turn):
                found = await _worked(work(server), turn)
                fault = found if isinstance(found, Fault) else None
                self.fleet.lines.ended(server, turn, fault)
            if not isinstance(found, Fault):
                self.budget = self.budget.earned()
                return found
            self.counts.failed_tries += 1
            avoid |= {server.name}
            if turn.taken_away is not None:
                continue  # the replica's trouble: it was cut short before it could fail
            tries += 1
            decision = decide(
                found,
                tries=tries,
                policy=self.options.retry,
                budget=self.budget,
                jitter=random.random(),
            )
            refused = await self._follow(request, server, found, decision)
            if refused is not None:
                return refused

    async def _follow(
        self, request: Request, server: Server, fault: Fault, decision: Decision
    ) -> Refused | None:
        """None: try again."""
        where = f"{server.replica.url}: {fault.detail}"
        match decision.action:
            case Action.AGAIN:
                self.budget = self.budget.spent()
                log.info("vllm_retry", cause=fault.cause.value, wait_s=decision.wait_s, on=where)
                others = [one for one in self.fleet.lines.usable() if one is not server]
                if not others or fault.cause.from_load:
                    await asyncio.sleep(decision.wait_s)
                return None
            case Action.REFUSE:
                return Refused(id=request.id, cause=fault.cause.value, detail=decision.reason)
            case Action.STOP:
                raise BadInput(f"{where.rstrip('.')}.", fix=_FIXES.get(fault.cause, _DEFAULT_FIX))
            case Action.LEAVE:
                raise ApiUnavailable(f"{server.replica.url}: {decision.reason}")


_DEFAULT_FIX = "check the server's address and the model that it serves"
_FIXES = {
    Cause.UNAUTHORIZED: "name the variable that holds the server's key in key_env",
    Cause.FORBIDDEN: "use a key that may use this model",
    Cause.UNSUPPORTED: "change the value, or serve with a vLLM that takes it",
}


async def _worked(work: Awaitable[T | Fault], turn: Turn) -> T | Fault:
    """The fault instead of the cancellation, where it was the fleet that took it away."""
    try:
        return await work
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if turn.taken_away is None or task is None or task.uncancel() > 0:
            raise
        return turn.taken_away


def _served(server: Server) -> Served:
    assert server.served is not None, "only replicas that passed their check get work"
    return server.served
