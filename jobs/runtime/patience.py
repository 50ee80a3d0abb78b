"""How long is a store that fails borne with?  A few tries with a pause, then no longer."""

from __future__ import annotations

from dataclasses import dataclass

TRIES = 5
"""In a row, for the same thing."""

PAUSE_S = 1.0
"""Before the second try; it doubles, so that a service that restarts is back before the last."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Trouble:
    times: int
    until_s: float
    """No new try before this moment."""


class Patience:
    """A state machine without a clock: time is an argument."""

    def __init__(self) -> None:
        self._troubles: dict[str, _Trouble] = {}

    def rests(self, what: str, now_s: float) -> bool:
        """Is it too early to try again?"""
        trouble = self._troubles.get(what)
        return trouble is not None and now_s < trouble.until_s

    def failed(self, what: str, now_s: float) -> bool:
        """Note one more failure; False when it was one too many."""
        times = self._troubles[what].times + 1 if what in self._troubles else 1
        pause_s = PAUSE_S * 2.0 ** (times - 1)
        self._troubles[what] = _Trouble(times=times, until_s=now_s + pause_s)
        return times < TRIES

    def went_well(self, what: str) -> None:
        self._troubles.pop(what, None)
