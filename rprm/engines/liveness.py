"""Does a replica still work, and when is a broken one tried again?  Values in, values out.

A replica is alive while its token counters move or requests come back from it, not while /health
says 200: an engine can hang behind a web server that feels fine.  What is known of failed requests
goes into a breaker per replica, and so does a hang: `Breaker` alone decides who gets new work.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from rprm.engines.vllm_metrics import ReplicaMetrics


@dataclass(frozen=True, kw_only=True, slots=True)
class LivenessRules:
    polls: int = 3
    """In a row without progress: one or two may be lost (the project's rule for lost workers)."""
    still_s: float = 30.0
    """And at least so long: prompt tokens count only once a prompt is read to its end, which a CPU
    may take half a minute for.  A guess on the safe side; a hang costs its requests this much."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Liveness:
    """What was seen of one replica's progress."""

    tokens: int | None = None
    finished: int = 0
    still_polls: int = 0
    still_since_s: float | None = None
    """None while nothing of ours is there."""


class Pulse(StrEnum):
    IDLE = "idle"  # nothing of ours is there: nothing to be learned
    MOVING = "moving"
    STILL = "still"  # no progress since the last look; may be a long prompt
    HUNG = "hung"  # give its requests up and trip its breaker


def watch(
    liveness: Liveness,
    metrics: ReplicaMetrics | None,
    *,
    in_flight: int,
    finished: int,
    now_s: float,
    rules: LivenessRules = LivenessRules(),
) -> tuple[Liveness, Pulse]:
    """After a poll; `metrics` is None where it got no answer.

    `in_flight` and `finished` count this client's own requests there.  Only a replica that owes us
    something can hang: vLLM's gauge of running sequences may stay up when the last one is gone.
    And only one that has told its tokens before: one without metrics is left to the deadlines."""
    tokens = liveness.tokens if metrics is None else metrics.tokens
    moved = tokens != liveness.tokens or finished != liveness.finished
    if in_flight == 0:
        return Liveness(tokens=tokens, finished=finished), Pulse.IDLE
    if moved or liveness.still_since_s is None:
        return Liveness(tokens=tokens, finished=finished, still_since_s=now_s), Pulse.MOVING
    after = replace(liveness, still_polls=liveness.still_polls + 1)
    long = now_s - liveness.still_since_s >= rules.still_s and after.still_polls >= rules.polls
    return after, Pulse.HUNG if long and tokens is not None else Pulse.STILL


class Circuit(StrEnum):
    CLOSED = "closed"  # takes work
    OPEN = "open"  # takes none until a time
    PROBING = "probing"  # one request is out to find out


@dataclass(frozen=True, kw_only=True, slots=True)
class BreakerRules:
    failures: int = 5
    """In a row, before a replica counts as broken: Envoy's default for consecutive 5xx."""
    first_wait_s: float = 5.0
    """Until the first probe; doubled for each that fails.  A guess: a server that starts again
    needs 40 s and more, one that was merely out of reach should not wait so long."""
    longest_wait_s: float = 60.0
    """As in RetryPolicy."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Breaker:
    """One replica's; each event gives the next state."""

    circuit: Circuit = Circuit.CLOSED
    failures: int = 0
    """In a row while closed."""
    opened: int = 0
    """Times in a row that it opened without a success in between."""
    generation: int = 0
    """Counts every change of the circuit.  What was sent before the last one says nothing new: when
    a server dies, a thousand requests fail at once."""
    open_until_s: float = 0.0
    rules: BreakerRules = BreakerRules()

    def admits(self, now_s: float) -> bool:
        """May a request be sent now?  Whoever sends calls `sent`."""
        return self.circuit is Circuit.CLOSED or (
            self.circuit is Circuit.OPEN and now_s >= self.open_until_s
        )

    def sent(self, now_s: float) -> Breaker:
        """A request goes out; remember the new state's generation with it."""
        if self.circuit is Circuit.OPEN and now_s >= self.open_until_s:
            return replace(self, circuit=Circuit.PROBING, generation=self.generation + 1)
        return self

    def succeeded(self, generation: int) -> Breaker:
        if generation != self.generation or self.circuit is Circuit.OPEN:
            return self
        if self.circuit is Circuit.PROBING:
            return Breaker(generation=self.generation + 1, rules=self.rules)
        return self if self.failures == 0 else replace(self, failures=0)

    def failed(self, generation: int, now_s: float) -> Breaker:
        """For failures that speak against the replica, not against the request."""
        if generation != self.generation or self.circuit is Circuit.OPEN:
            return self
        failures = self.failures + 1
        if self.circuit is Circuit.CLOSED and failures < self.rules.failures:
            return replace(self, failures=failures)
        return self.tripped(now_s)

    def tripped(self, now_s: float) -> Breaker:
        """At once, such as for a replica that hangs."""
        if self.circuit is Circuit.OPEN:
            return self
        wait_s = self.rules.first_wait_s * 2.0 ** min(self.opened, 30)
        return replace(
            self,
            circuit=Circuit.OPEN,
            failures=0,
            opened=self.opened + 1,
            generation=self.generation + 1,
            open_until_s=now_s + min(wait_s, self.rules.longest_wait_s),
        )

    def abandoned(self, generation: int) -> Breaker:
        """A request ended without telling anything, such as a cancelled one: probe again."""
        if generation != self.generation or self.circuit is not Circuit.PROBING:
            return self
        return replace(self, circuit=Circuit.OPEN, generation=self.generation + 1)
