"""Which errors does the method raise, and how must a job system treat each of them?

RprmError
├── BadInput            the caller must change something; exit code 64, the stage stops
│   └── TruncationError training would cut off a verdict
├── PoisonedRows        this shard can never succeed; exit code 65, the shard stops
└── Drained             asked to stop at a safe point; exit code 75, retried for free
"""

from __future__ import annotations

from typing import ClassVar


class RprmError(Exception):
    """The method could not do what was asked."""

    exit_code: ClassVar[int] = 1
    """What a worker process exits with; the job system reads nothing else of the error."""

    def __init__(self, message: str = "", *, fix: str = "") -> None:
        text = message or (type(self).__doc__ or "").strip()
        super().__init__(f"{text} Fix: {fix}" if fix else text)


class BadInput(RprmError):
    """The configuration or the data is wrong; trying again will not help."""

    exit_code = 64


class TruncationError(BadInput):
    """Training would cut an example, and the verdict stands at its end."""


class PoisonedRows(RprmError):
    """These rows make the stage fail every time."""

    exit_code = 65


class Drained(RprmError):
    """Stopped at a safe point because the worker was asked to leave."""

    exit_code = 75
