"""Does a replica start, work or hang?  What was seen of it in, one word out.

A replica is alive while its token counters move, not while it answers: an engine can hang behind a
web server that feels fine.  And a process that was stopped answers nothing at all, but is there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    start_deadline_s: float = 900.0
    """From its start until it is ready."""
    hang_s: float = 60.0
    """Without a token while sequences run, or without any answer.  Clients leave a replica after
    half of it; a prompt that is read to its end on a CPU takes half a minute."""
    settled_s: float = 60.0
    """After so long a ready replica has shown that the model can be served here: what ends it
    later is no failed start."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sight:
    """One look at a server."""

    at: float
    healthy: bool = False
    """It said that it is ready."""
    in_flight: int | None = None
    """Sequences, running and waiting; None where it did not say.  So is the next one."""
    tokens: float | None = None
    """Read and generated since it started."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pulse:
    """What is remembered of one replica between two looks."""

    started_at: float
    ready_at: float | None = None
    answered_at: float = 0.0
    moved_at: float = 0.0
    """When it last had nothing to do, or did something."""
    tokens: float | None = None
    was_idle: bool = True


class Health(StrEnum):
    STARTING = "starting"
    READY = "ready"
    LATE = "late"  # not ready by its deadline
    HUNG = "hung"  # once ready, now without progress


def feel(pulse: Pulse, sight: Sight | None) -> Pulse:
    """After a look; the same look again changes nothing."""
    if sight is None or sight.at <= pulse.answered_at:
        return pulse
    if pulse.ready_at is None:
        if not sight.healthy:
            return pulse
        pulse = replace(pulse, ready_at=sight.at, answered_at=sight.at, moved_at=sight.at)
    if sight.in_flight is None or sight.tokens is None:  # it answers; more it does not tell
        return replace(pulse, answered_at=sight.at, moved_at=sight.at)
    is_idle = sight.in_flight == 0
    moved = is_idle or pulse.was_idle or sight.tokens != pulse.tokens
    return replace(
        pulse,
        answered_at=sight.at,
        tokens=sight.tokens,
        was_idle=is_idle,
        moved_at=sight.at if moved else pulse.moved_at,
    )


def health(pulse: Pulse, now: float, rules: Rules) -> tuple[Health, str]:
    """And why, where a person should know."""
    if pulse.ready_at is None:
        waited_s = now - pulse.started_at
        if waited_s <= rules.start_deadline_s:
            return Health.STARTING, ""
        return Health.LATE, f"not ready after {waited_s:.0f} s"
    silent_s, still_s = now - pulse.answered_at, now - pulse.moved_at
    if silent_s > rules.hang_s:
        return Health.HUNG, f"no answer for {silent_s:.0f} s"
    if still_s > rules.hang_s:
        return Health.HUNG, f"work in flight and no token for {still_s:.0f} s"
    return Health.READY, ""


def has_settled(pulse: Pulse, now: float, rules: Rules) -> bool:
    return pulse.ready_at is not None and now - pulse.ready_at >= rules.settled_s
