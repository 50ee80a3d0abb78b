"""What went wrong with a request, and is it the server's moment, this request or the setup?

again    the server's moment: rate limits, overload, 5xx, broken connections and bodies, timeouts
refuse   this request: longer than the model's context, or refused for what it says
stop     the setup: key, permission, address, model, credit, parameters the model does not take
"""

from __future__ import annotations

import email.utils
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson


class Remedy(StrEnum):
    AGAIN = "again"
    REFUSE = "refuse"
    STOP = "stop"


class Cause(StrEnum):
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    SERVER_ERROR = "server_error"
    CONNECTION = "connection"
    TORN_BODY = "torn_body"
    TIMEOUT = "timeout"
    TOO_LONG = "prompt_too_long"
    REJECTED = "rejected"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    NO_CREDIT = "no_credit"
    UNSUPPORTED = "unsupported_parameter"
    REDIRECTED = "redirected"

    @property
    def remedy(self) -> Remedy:
        if self in _AGAIN:
            return Remedy.AGAIN
        return Remedy.REFUSE if self in (Cause.TOO_LONG, Cause.REJECTED) else Remedy.STOP

    @property
    def from_load(self) -> bool:
        """Does it say that fewer requests at once would do better?"""
        return self in (Cause.RATE_LIMITED, Cause.OVERLOADED)


_AGAIN = frozenset(
    {
        Cause.RATE_LIMITED,
        Cause.OVERLOADED,
        Cause.SERVER_ERROR,
        Cause.CONNECTION,
        Cause.TORN_BODY,
        Cause.TIMEOUT,
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One failed try."""

    cause: Cause
    detail: str
    wait_s: float | None = None
    """How long the server asks to wait."""


_BY_STATUS = {
    401: Cause.UNAUTHORIZED,
    402: Cause.NO_CREDIT,
    403: Cause.FORBIDDEN,
    404: Cause.NOT_FOUND,
    405: Cause.NOT_FOUND,
    408: Cause.TIMEOUT,
    409: Cause.SERVER_ERROR,
    413: Cause.TOO_LONG,
    425: Cause.SERVER_ERROR,
    429: Cause.RATE_LIMITED,
    503: Cause.OVERLOADED,
    504: Cause.TIMEOUT,
    529: Cause.OVERLOADED,
}
_TOO_LONG = re.compile(
    r"maximum context length|context window|context_length_exceeded|max_model_len|"
    r"maximum model length|prompt is too long|max_tokens must be at least 1, got -",
    re.IGNORECASE,
)
_UNSUPPORTED = re.compile(
    r"^\W*(unsupported|unknown|unrecognized)[ _](parameter|value|request argument)", re.IGNORECASE
)
_PARAMS = frozenset(
    {"temperature", "top_p", "top_k", "n", "seed", "max_tokens", "max_completion_tokens", "model"}
)
"""What is the same in every request, so that its refusal would be, too."""
_MAX_DETAIL = 500


def fault_of(status: int, body: bytes, headers: Mapping[str, str], now_s: float) -> Fault:
    """What a response that is no success means.  `now_s` is the time of day in Unix seconds."""
    error = _error_of(body)
    message = str(error.get("message") or body.decode("utf-8", "replace"))
    return Fault(
        cause=_cause(status, error, message),
        detail=f"HTTP {status}: {message.strip()}",
        wait_s=asked_wait_s(headers, now_s),
    )


def fault_in_success(body: Any) -> Fault | None:
    """Some gateways answer 200 and put an upstream's error into the body."""
    if not isinstance(body, Mapping) or not body.get("error"):
        return None
    error = body["error"] if isinstance(body["error"], Mapping) else {"message": body["error"]}
    code = error.get("code")
    status = code if isinstance(code, int) and 400 <= code < 600 else 500
    message = str(error.get("message") or "")
    return Fault(
        cause=_cause(status, error, message),
        detail=f"HTTP 200 with error {status}: {message.strip()}",
    )


def shortened(detail: str) -> str:
    """For a row or a log; an error page can be long."""
    return detail if len(detail) <= _MAX_DETAIL else f"{detail[:_MAX_DETAIL]}…"


def _error_of(body: bytes) -> Mapping[str, Any]:
    """{"error": {"message", "type", "param", "code"}}, or the same without the outer object."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(found, Mapping):
        return {}
    inner = found.get("error", found)
    return inner if isinstance(inner, Mapping) else {"message": inner}


def _cause(status: int, error: Mapping[str, Any], message: str) -> Cause:
    code, kind = str(error.get("code")), str(error.get("type"))
    if status == 429 and "insufficient_quota" in (code, kind):
        return Cause.NO_CREDIT  # the same status as a rate limit, but no wait mends it
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500:
        return Cause.SERVER_ERROR
    if 300 <= status < 400:
        return Cause.REDIRECTED
    if _TOO_LONG.search(f"{code} {message}"):
        return Cause.TOO_LONG
    if (
        str(error.get("param")) in _PARAMS
        or _UNSUPPORTED.search(code)
        or _UNSUPPORTED.search(message)
    ):
        return Cause.UNSUPPORTED
    return Cause.REJECTED


def asked_wait_s(headers: Mapping[str, str], now_s: float) -> float | None:
    """Retry-After in seconds or as a date, or in milliseconds as some APIs send it."""
    millis = _number(headers.get("retry-after-ms"))
    if millis is not None:
        return millis / 1000
    given = headers.get("Retry-After", headers.get("retry-after"))
    if given is None:
        return None
    seconds = _number(given)
    if seconds is not None:
        return seconds
    try:
        return max(0.0, email.utils.parsedate_to_datetime(given).timestamp() - now_s)
    except ValueError:
        return None


def quota_wait_s(headers: Mapping[str, str], *, requests: float, tokens: float) -> float:
    """How long until an exhausted quota has room for so many requests and tokens; 0 with some left.

    A quota is refilled steadily and its reset is the time until it is full, so the wait is the
    share of it that is needed."""
    waits = []
    for what, needed in (("requests", requests), ("tokens", tokens)):
        if headers.get(f"x-ratelimit-remaining-{what}", "").strip() != "0":
            continue
        whole_s = duration_s(headers.get(f"x-ratelimit-reset-{what}", ""))
        limit = _number(headers.get(f"x-ratelimit-limit-{what}")) or 0.0
        waits.append(whole_s * min(1.0, needed / limit) if limit and needed else whole_s)
    return max(waits, default=0.0)


_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:([\d.]+)s)?(?:([\d.]+)ms)?")
_UNITS_S = (86400.0, 3600.0, 60.0, 1.0, 0.001)


def duration_s(text: str) -> float:
    """Such as "6m0s", "1.5s", "20ms" or plain seconds; 0 where it cannot be read."""
    plain = _number(text)
    if plain is not None:
        return plain
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        return 0.0
    parts = [_number(part) or 0.0 for part in found.groups()]
    return sum(part * unit for part, unit in zip(parts, _UNITS_S, strict=True))


def _number(text: str | None) -> float | None:
    """A finite number that is not negative, or None."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None
