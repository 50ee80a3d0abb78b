"""Which fleets does a campaign need now, and for how much work?  Stages in, needs by fleet out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from jobs.plan.fleet import Demand


class Turn(StrEnum):
    """Where a stage stands, for the fleets that it calls."""

    LATER = "later"  # something that it reads is not there yet
    NOW = "now"
    OVER = "over"  # sealed, failed or skipped


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """A stage that calls fleets."""

    stage: str
    fleets: frozenset[str]
    turn: Turn
    rows: int = 0
    num_shards: int = 0
    done: int = 0
    """Committed shards."""
    at_work: int = 0
    """Shards that workers are at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """What one fleet is asked for; see `plan.fleet.Observed`."""

    demands: tuple[Demand, ...] | None = ()
    due_in_s: float | None = None
    together: bool = False
    """A running stage needs this fleet beside others: none may keep another from its first
    replica, or all would wait for each other."""


def needs(callers: Iterable[Caller], *, draining: bool) -> Mapping[str, Need]:
    """By fleet; every fleet that any caller names is there.

    While the campaign drains, only shards that workers are at still call."""
    demands: dict[str, list[Demand]] = {}
    later: set[str] = set()
    together: set[str] = set()
    for caller in callers:
        for fleet in caller.fleets:
            wanted = demands.setdefault(fleet, [])
            if caller.turn is Turn.NOW and (caller.at_work or not draining):
                wanted.append(_demand(caller, draining=draining))
                together |= caller.fleets if len(caller.fleets) > 1 else set()
            elif caller.turn is Turn.LATER and not draining:
                later.add(fleet)
    # When it will be their turn nobody knows.
    return {
        fleet: Need(
            demands=tuple(found),
            due_in_s=math.inf if fleet in later else None,
            together=fleet in together,
        )
        for fleet, found in demands.items()
    }


def _demand(caller: Caller, *, draining: bool) -> Demand:
    per_shard = caller.rows / caller.num_shards if caller.num_shards else 0.0
    in_hand = round(caller.at_work * per_shard)
    left = in_hand if draining else round((caller.num_shards - caller.done) * per_shard)
    return Demand(
        stage=caller.stage,
        rows_left=left,
        rows_done=round(caller.done * per_shard),
        rows_in_hand=in_hand,
        workers=caller.at_work,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What its fleets mean for a stage."""

    held: str = ""
    """Why its shards are not handed out yet."""
    blocked: str = ""
    """Why they never will be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FleetWord:
    """What a keeper says of its fleet."""

    ready: int
    state: str = ""
    problem: str = ""


def verdict(fleets: Iterable[str], words: Mapping[str, FleetWord]) -> Verdict:
    """A stage waits until each of its fleets has a replica: workers who wait would only be in the
    way.  Fleets that nobody keeps (`words` does not know them) are always there."""
    known = [words[fleet] for fleet in fleets if fleet in words]
    problems = [word.problem for word in known if word.problem]
    waiting = [word.state for word in known if not word.ready]
    return Verdict(blocked="; ".join(problems), held="; ".join(waiting))
