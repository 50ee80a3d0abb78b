"""What is asked of vLLM's /v1/completions, and what comes back?  Pure: bodies in, values out.

Prompts are token ids and so are answers; the server's own text is never read.  Everything that a
server might have another default for is said (`--generation-config` puts the model's own in place).

Seeds.  vLLM gives sample i of a call the seed `seed + i`.  A call for samples first..first+n starts
at `base + first`, so a later wave goes on where the first ended.  The base is a hash of the
request's seed, because neighbours such as 0 and 1 would share all but one of their samples; it
keeps its whole width, since vLLM on a CPU seeds its generator with the low 32 bits alone.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rprm.engines.base import Request, SamplingParams
from rprm.engines.verdict_tokens import VerdictTokens

Body = dict[str, Any]
_NEUTRAL: Body = {
    "top_k": 0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}
_IMPOSSIBLE = -9998.0
"""vLLM writes -9999 where the log-probability is minus infinity."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """One sample as the server wrote it."""

    token_ids: tuple[int, ...]
    cut: bool
    """It ran into the token limit."""
    beliefs: Sequence[float | None] | None = None
    """P(Yes) at each token, where it was asked for; see `belief_at`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Tokens of a call as the server counts them."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Of the prompt, found in the prefix cache; 0 unless it runs --enable-prompt-tokens-details."""
    completion_tokens: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    drawn_K: tuple[Drawn, ...]
    usage: Usage


def first_seed(seed: int) -> int:
    """Room is left below 2**63 for any number of samples; never -1, which vLLM takes for none."""
    digest = hashlib.blake2b(str(seed).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 2


def draws_of(request: Request, params: SamplingParams) -> int:
    """How many sequences the server runs for it; greedy ones are all the same, and refused."""
    return 1 if params.temperature == 0 else request.n


def sampling_body(
    request: Request,
    params: SamplingParams,
    *,
    eos: Sequence[int],
    stop: Sequence[str],
    verdict: VerdictTokens | None = None,
) -> Body:
    """All n samples.  With `verdict`, the two log-probabilities come along at every token."""
    body: Body = {
        "prompt": request.prompt_T,
        "n": draws_of(request, params),
        "seed": first_seed(request.seed) + request.first_sample,
        "temperature": params.temperature,
        "top_p": params.top_p,
        **_NEUTRAL,
        "max_tokens": params.max_tokens,
        "stop_token_ids": list(eos),
        "return_token_ids": True,
    }
    if stop:
        body |= {"stop": list(stop), "include_stop_str_in_output": True}
    return body if verdict is None else body | _logprobs(verdict)


def verdict_body(prompts: Sequence[Sequence[int]], verdict: VerdictTokens) -> Body:
    """P(Yes) right after each of the prompts: one token each, in one call."""
    return {
        "prompt": [list(prompt) for prompt in prompts],
        "temperature": 0.0,
        **_NEUTRAL,
        "max_tokens": 1,
        **_logprobs(verdict),
    }


def probe_body(prompt: Sequence[int], verdict: VerdictTokens) -> Body:
    """One token, drawn so narrowly that log-probabilities after top_p would tell themselves."""
    return {
        "prompt": list(prompt),
        "seed": 1,
        "temperature": 1.0,
        "top_p": 1e-6,
        **_NEUTRAL,
        "max_tokens": 1,
        "return_token_ids": True,
        **_logprobs(verdict),
    }


def _logprobs(verdict: VerdictTokens) -> Body:
    return {
        "logprobs": 1,  # vLLM wants it set beside the ids, and does not look at the number
        "logprob_token_ids": [verdict.yes, verdict.no],
        "return_tokens_as_token_ids": True,
    }


def answer_of(body: Any, *, n: int, verdict: VerdictTokens | None = None) -> Answer | None:
    """None where the body is no answer with n samples and their token ids."""
    choices = _choices(body, n)
    if choices is None:
        return None
    drawn = [_drawn(choice, verdict) for choice in choices]
    if any(one is None for one in drawn):
        return None
    return Answer(drawn_K=tuple(one for one in drawn if one), usage=_usage(body.get("usage")))


def beliefs_of(body: Any, *, n: int, verdict: VerdictTokens) -> list[float | None] | None:
    """The answer to `verdict_body`; None where it is none."""
    choices = _choices(body, n)
    if choices is None:
        return None
    tops = [_tops(choice) for choice in choices]
    if any(len(one) != 1 for one in tops):
        return None
    return [belief_at(one[0], verdict) for one in tops]


def gives_raw_logprobs(body: Any, verdict: VerdictTokens) -> bool | None:
    """Are those of the answer to `probe_body` from before temperature and top_p?

    None where there are none for the ids that were asked for."""
    choices = _choices(body, 1)
    tops = [] if choices is None else _tops(choices[0])
    if len(tops) != 1 or belief_at(tops[0], verdict, possible=-math.inf) is None:
        return None
    return belief_at(tops[0], verdict) is not None


def belief_at(top: Any, verdict: VerdictTokens, *, possible: float = _IMPOSSIBLE) -> float | None:
    """P(Yes)/(P(Yes)+P(No)) from one position's log-probabilities; None without both."""
    if not isinstance(top, Mapping):
        return None
    yes, no = (top.get(f"token_id:{token}") for token in (verdict.yes, verdict.no))
    if not isinstance(yes, float | int) or not isinstance(no, float | int):
        return None
    if max(yes, no) <= possible:
        return None
    return 1.0 / (1.0 + math.exp(min(700.0, no - yes)))


class _Beliefs(Sequence[float | None]):
    """Looked up one by one: of thousands of tokens only the verdict's is read."""

    def __init__(self, tops: Sequence[Any], verdict: VerdictTokens) -> None:
        self._tops, self._verdict = tops, verdict

    def __len__(self) -> int:
        return len(self._tops)

    def __getitem__(self, index: Any) -> Any:
        return belief_at(self._tops[index], self._verdict)


def _choices(body: Any, n: int) -> list[Mapping[str, Any]] | None:
    choices = body.get("choices") if isinstance(body, Mapping) else None
    if not isinstance(choices, list) or not all(isinstance(one, Mapping) for one in choices):
        return None
    ordered = sorted(choices, key=lambda one: _count(one.get("index")))
    return ordered if [one.get("index") for one in ordered] == list(range(n)) else None


def _drawn(choice: Mapping[str, Any], verdict: VerdictTokens | None) -> Drawn | None:
    ids, reason = choice.get("token_ids"), choice.get("finish_reason")
    if not isinstance(ids, list) or not ids or reason not in ("stop", "length"):
        return None
    tops = None if verdict is None else _tops(choice)
    if tops is not None and len(tops) != len(ids):
        return None
    return Drawn(
        token_ids=tuple(ids),
        cut=reason == "length",
        beliefs=None if tops is None or verdict is None else _Beliefs(tops, verdict),
    )


def _tops(choice: Mapping[str, Any]) -> list[Any]:
    logprobs = choice.get("logprobs")
    tops = logprobs.get("top_logprobs") if isinstance(logprobs, Mapping) else None
    return tops if isinstance(tops, list) else []


def _usage(values: Any) -> Usage:
    if not isinstance(values, Mapping):
        return Usage()
    details = values.get("prompt_tokens_details")
    return Usage(
        prompt_tokens=_count(values.get("prompt_tokens")),
        cached_tokens=_count(details.get("cached_tokens")) if isinstance(details, Mapping) else 0,
        completion_tokens=_count(values.get("completion_tokens")),
    )


def _count(value: Any) -> int:
    return value if type(value) is int and value >= 0 else 0
