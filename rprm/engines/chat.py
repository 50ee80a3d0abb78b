"""What is asked of a chat-completions API, and what comes back?  Pure: bodies in, bodies out.

Models differ in what they take.  Their traits are declared, so that a refused parameter is a
mistake in a declaration and never something that a loop tries out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Role = Literal["system", "developer", "user", "assistant"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    role: Role
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Traits:
    """What a served model takes; the defaults are those of an ordinary chat model."""

    temperature: bool = True
    """Takes temperature and top_p; a model that reasons first has its own."""
    length: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """How it calls the limit of what it writes."""
    system: Literal["system", "developer", "user"] = "system"
    """The role that a system text is sent with."""
    many: bool = True
    """Takes n: several samples of one request.  Otherwise the request is sent n times."""
    seed: bool = True


REASONING = Traits(
    temperature=False, length="max_completion_tokens", system="user", many=False, seed=False
)
"""The first o1 models."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatSampling:
    """How to sample; what is None is left to the server."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    """Not part of the API; vLLM and its like take it."""
    max_tokens: int | None = None
    seed: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatRequest:
    id: str
    messages: tuple[Message, ...]
    n: int = 1
    sampling: ChatSampling = ChatSampling()


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatReply:
    """The n samples of one request."""

    id: str
    texts_K: tuple[str, ...]
    finishes_K: tuple[str, ...]
    """Why each ended: "stop", "length", "content_filter" or what else the server says."""
    usage: Usage = Usage()


def body_of(model: str, traits: Traits, request: ChatRequest, *, n: int, first: int) -> Any:
    """The JSON of one call that draws samples `first` to `first + n` of the request.

    vLLM gives sample k of a call the seed `seed + k`, so a call for later samples starts there:
    samples drawn one by one are those of a single call, and none is drawn twice."""
    sampling = request.sampling
    body: dict[str, Any] = {
        "model": model,
        "messages": [
            {"role": traits.system if one.role == "system" else one.role, "content": one.text}
            for one in request.messages
        ],
        traits.length: sampling.max_tokens,
    }
    if n > 1:
        body["n"] = n
    if traits.temperature:
        body |= {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
        }
    if traits.seed and sampling.seed is not None:
        body["seed"] = sampling.seed + first
    return {key: value for key, value in body.items() if value is not None}


def reply_of(request_id: str, body: Any) -> ChatReply | None:
    """None where the body is no answer of this API."""
    choices = body.get("choices") if isinstance(body, Mapping) else None
    if not isinstance(choices, Sequence) or isinstance(choices, str) or not choices:
        return None
    if not all(isinstance(one, Mapping) and _message(one) is not None for one in choices):
        return None
    ordered = sorted(choices, key=lambda one: _count(one.get("index")))
    return ChatReply(
        id=request_id,
        texts_K=tuple(_text(one) for one in ordered),
        finishes_K=tuple(str(one.get("finish_reason")) for one in ordered),
        usage=_usage(body.get("usage")),
    )


def joined(request_id: str, replies: Sequence[ChatReply], *, n: int) -> ChatReply:
    """The samples of several calls as the n of one."""
    return ChatReply(
        id=request_id,
        texts_K=tuple(text for one in replies for text in one.texts_K)[:n],
        finishes_K=tuple(finish for one in replies for finish in one.finishes_K)[:n],
        usage=sum((one.usage for one in replies), Usage()),
    )


def _message(choice: Mapping[str, Any]) -> Mapping[str, Any] | None:
    message = choice.get("message")
    return message if isinstance(message, Mapping) else None


def _text(choice: Mapping[str, Any]) -> str:
    """Empty where the model declined to write: then `content` is null."""
    content = (_message(choice) or {}).get("content")
    return content if isinstance(content, str) else ""


def _usage(values: Any) -> Usage:
    if not isinstance(values, Mapping):
        return Usage()
    return Usage(
        prompt_tokens=_count(values.get("prompt_tokens")),
        completion_tokens=_count(values.get("completion_tokens")),
    )


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value >= 0 else 0
