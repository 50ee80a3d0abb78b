"""Which replicas start, drain and go, so that a fleet has the number it needs?

Going takes two phases: a replica is marked as draining, clients send it nothing new, and it is
removed when nothing is in flight or when its time is up.  One that drains is called back before
a new one is started.
"""

from __future__ import annotations

from dataclasses import dataclass

from jobs.plan.fleet import Observed, Phase, Replica, Spec

SETTLE_S = 5.0
"""How long after the mark a client may still send: it reads the endpoints every second or two."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """Start this many new replicas."""

    count: int
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Drain:
    """Mark it as draining; clients stop sending."""

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Recall:
    """A draining one is again what it was before, starting or ready."""

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Remove:
    """End the process of a draining one."""

    name: str
    reason: str


Change = Start | Drain | Recall | Remove


def changes(
    observed: Observed, wanted: int, spec: Spec, now: float, *, reason: str = ""
) -> list[Change]:
    """What to do so that `wanted` replicas start or are ready; the same when asked again."""
    replicas = observed.replicas
    settle_s = SETTLE_S if observed.demands is None or observed.demands else 0.0
    live = [replica for replica in replicas if replica.phase is not Phase.DRAINING]
    draining = [replica for replica in replicas if replica.phase is Phase.DRAINING]
    recalled = sorted(draining, key=_most_at_work)[: max(0, wanted - len(live))]
    found: list[Change] = [Recall(name=one.name, reason=reason) for one in recalled]
    found += [
        Remove(name=one.name, reason=why)
        for one in draining
        if one not in recalled and (why := _why_removed(one, spec, now, settle_s))
    ]
    surplus = sorted(live, key=_least_missed)[: max(0, len(live) - wanted)]
    found += [Drain(name=one.name, reason=reason) for one in surplus]
    missing = wanted - len(live) - len(recalled)
    if missing > 0:
        found.append(Start(count=missing, reason=reason))
    return found


def _least_missed(replica: Replica) -> tuple[int, int, float, str]:
    """Starting ones first, the youngest before the others; then by what is in flight, with those
    that say nothing last."""
    if replica.phase is Phase.STARTING:
        return 0, 0, -replica.since, replica.name
    if replica.load is None:
        return 2, 0, 0.0, replica.name
    return 1, replica.load.in_flight, 0.0, replica.name


def _most_at_work(replica: Replica) -> tuple[int, str]:
    return -(replica.load.in_flight if replica.load is not None else 0), replica.name


def _why_removed(replica: Replica, spec: Spec, now: float, settle_s: float) -> str:
    """Empty while it has to stay.  Where no stage runs, `settle_s` is 0: nobody is left who could
    send.  What was said before the mark says nothing: a stage may have run in between."""
    load, drained_s = replica.load, now - replica.since
    if replica.start_s is None:
        return "was never ready, so nobody calls it"
    if load is not None and load.in_flight == 0 and load.at >= replica.since + settle_s:
        return f"drained after {drained_s:.0f} s"
    if drained_s >= spec.drain_deadline_s:
        left = "an unknown number of" if load is None else str(load.in_flight)
        return f"{left} requests were in flight at the end of {spec.drain_deadline_s:.0f} s"
    return ""
