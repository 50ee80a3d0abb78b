"""How many requests may be in flight at once, and from when on?  Values in, values out.

The limit of an API is unknown and shared with others, so it is felt for: it doubles per round
until the first refusal for load, then every such refusal halves it and every round of answers
adds one.  A round is as many answers as the limit is wide; no clock is needed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

START = 16
"""In flight at first; low enough for a small account, and doubled soon where there is room."""
BUSY = 0.8
"""Share of the limit that must be in use for an answer to say that more would fit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """A state of the limit; each event gives the next one."""

    width: float
    """Requests in flight at once; the whole part counts."""
    ceiling: int
    generation: int = 0
    """How often it was halved.  Refusals of requests that were sent before the last halving say
    nothing new: a burst of them is one piece of news."""
    open_at_s: float = 0.0
    """Nothing is sent before, because the server said when it will listen again."""

    @property
    def slots(self) -> int:
        return int(self.width)

    def wait_s(self, now_s: float) -> float:
        return max(0.0, self.open_at_s - now_s)

    def answered(self, in_flight: int) -> Limit:
        """One request was answered while `in_flight` were out, itself included."""
        if in_flight < BUSY * self.slots:
            return self
        step = 1.0 if self.generation == 0 else 1.0 / self.width
        return replace(self, width=min(float(self.ceiling), self.width + step))

    def refused_for_load(self, generation: int) -> Limit:
        """A request that was sent in `generation` came back: too many."""
        if generation != self.generation:
            return self
        return replace(self, width=max(1.0, self.width / 2), generation=generation + 1)

    def held_until(self, time_s: float) -> Limit:
        return replace(self, open_at_s=max(self.open_at_s, time_s))


def first_limit(ceiling: int) -> Limit:
    return Limit(width=float(min(START, ceiling)), ceiling=ceiling)
