"""Which policies are compared, and what do the others see and do?"""

from __future__ import annotations

import math
from collections import deque

from jobs.plan.fleet import Memory, Observed, Phase, Spec, dump_memory, load_memory
from jobs.plan.scale import scale
from tests.bench.fleet_server import MAX_NUM_SEQS
from tests.bench.fleet_simulation import Seen, World


def in_flight(observed: Observed) -> int:
    return sum(one.load.in_flight for one in observed.replicas if one.load is not None)


def live(observed: Observed) -> int:
    return sum(one.phase is not Phase.DRAINING for one in observed.replicas)


def is_finished(observed: Observed) -> bool:
    return not observed.demands and observed.due_in_s is None


class Ours:
    """jobs.plan.scale; its memory goes through JSON at every tick, as after a restart."""

    name = "ours"
    tick_s = 5.0
    delay_s = 10.0

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.memory = dump_memory(Memory())
        self.reasons: list[tuple[float, int, str]] = []

    def wanted(self, seen: Seen, world: World) -> int:
        observed = Observed(
            replicas=seen.observed.replicas,
            demands=seen.observed.demands,
            due_in_s=seen.observed.due_in_s,
            memory=load_memory(self.memory),
        )
        scaling = scale(observed, self.spec, seen.now)
        self.memory = dump_memory(scaling.memory)
        if scaling.replicas != live(observed):
            self.reasons.append((seen.now, scaling.replicas, scaling.reason))
        return scaling.replicas


class Fixed:
    """All replicas from the first minute to the end, when somebody stops them."""

    name = "fixed"
    tick_s = 5.0
    delay_s = 10.0

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    def wanted(self, seen: Seen, world: World) -> int:
        return 0 if is_finished(seen.observed) else self.spec.max_replicas


class Keda:
    """KEDA and the HPA with their usual settings, on the metric that serves them best.

    Scraped, polled and synchronised every 15 s: with unaligned clocks the number is 15 s old on
    average.  The metric is running + waiting + what clients keep; 0.75 of the slots per replica;
    10% tolerance; at most doubled or four more at once; shrunk to the largest number of the last
    300 s; to zero 300 s after the last request.  Real ones would also end busy replicas; here
    they drain.
    """

    name = "keda"
    tick_s = 15.0
    delay_s = 15.0
    stabilisation_s = 300.0
    cooldown_s = 300.0

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.recommended: deque[tuple[float, int]] = deque()
        self.active_at = -math.inf

    def wanted(self, seen: Seen, world: World) -> int:
        metric = in_flight(seen.observed) + seen.queued
        current = live(seen.observed)
        if metric > 0:
            self.active_at = seen.now
        elif seen.now - self.active_at >= self.cooldown_s:
            return 0
        if current == 0:
            return 1 if metric > 0 else 0
        share = metric / (0.75 * MAX_NUM_SEQS)
        desired = current if abs(share / current - 1) <= 0.1 else math.ceil(share)
        desired = min(desired, max(2 * current, current + 4))
        desired = max(1, min(desired, self.spec.max_replicas))
        self.recommended.append((seen.now, desired))
        while self.recommended[0][0] < seen.now - self.stabilisation_s:
            self.recommended.popleft()
        highest = max(one for _, one in self.recommended)
        return desired if desired >= current else min(current, highest)


class Stepper:
    """One more while anything waits, one less when one could go; once a minute."""

    name = "stepper"
    tick_s = 15.0
    delay_s = 15.0
    pause_s = 60.0

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.changed_at = -math.inf

    def wanted(self, seen: Seen, world: World) -> int:
        current, observed = live(seen.observed), seen.observed
        if seen.now - self.changed_at < self.pause_s:
            return current
        load = (in_flight(observed) + seen.queued) / MAX_NUM_SEQS
        step = 1 if load > current else -1 if load < current - 1 or load == 0 else 0
        wanted = max(0, min(current + step, self.spec.max_replicas))
        if wanted != current:
            self.changed_at = seen.now
        return wanted
