"""How many sequences may be in flight on one replica?  Values in, values out.

Too few leave the batch half empty; too many make vLLM run out of KV cache, preempt sequences and
compute them again.  The replica's own metrics tell which: the limit starts a little above what the
replica runs at once, grows while there is room and shrinks at signs of pressure.

                          and then          until in flight <= limit, nothing but a worse sign cuts
KV cache above 0.9        to 0.7, the youngest are cancelled
preemptions               x 0.8, x 0.5 where they outlast a drain
KV cache above 0.8        to 0.7
a queue that persists     x 0.9
a turnover without any of these, KV cache below 0.6, nothing waiting, the limit in use: x 1.25

Limits and counts are in sequences: a request for n samples counts n times, as it does in vLLM.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import IntEnum

from rprm.engines.vllm_metrics import ReplicaMetrics


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitRules:
    """Factors and thresholds are those of prime-rl's controller, where nothing else is said.

    They leave a share of a short KV cache unused, for the sake of warm prefixes and no preemption;
    where the cache is ample they change nothing."""

    oversubscription: float = 1.1
    """Of max_num_seqs at the start, so that the next sequence is there when one ends (Ray Data's
    batch inference).  What this puts into the server's queue does not count as a queue."""
    growth: float = 1.25
    grow_below_kv: float = 0.6
    binding: float = 0.9
    """Share of the limit in flight from which on it is the limit that holds us back."""
    soft_kv: float = 0.8
    hard_kv: float = 0.9
    trim_to_kv: float = 0.7
    preempted: float = 0.8
    preempted_again: float = 0.5
    queued: float = 0.9
    queue_polls: int = 3
    """In a row, before a queue persists: prompts that arrive together queue for a moment."""
    stall_s: float = 15.0
    """Metrics older than this close the gate: growth starts over with a whole turnover."""
    floor: float = 1 / 32
    """Of max_num_seqs, below which the limit never falls, because others may cause the pressure
    and prime-rl saw a cascade from 1024 to 8.  A guess: 8 sequences of 8k tokens fit any GPU."""
    ceiling: int = math.ceil(1.1 * 2048)
    """vLLM's largest default of max_num_seqs (1024, twice that in throughput mode), for replicas
    of which nobody said what they run."""


RULES = LimitRules()
ASSUMED_MAX_NUM_SEQS = 128
"""Where nobody said: vLLM's smallest default, that of a CPU.  The limit grows from there."""


class Latch(IntEnum):
    """How bad was the sign that the limit was last cut for, while what is in flight still drains?

    The signs seen meanwhile are those of the old limit; only a worse one says anything new."""

    NONE = 0
    QUEUE = 1
    SOFT = 2
    HARD = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplicaLimit:
    """The state for one replica."""

    slots: int
    """Send while fewer sequences than this are in flight there."""
    max_num_seqs: int
    seen: ReplicaMetrics | None = None
    seen_s: float = -math.inf
    turnover_from: int | None = None
    """How many sequences had finished when the present clear time began."""
    queued_polls: int = 0
    latch: Latch = Latch.NONE
    hard_before: bool = False
    """The last hard cut has drained, and no calm look came after it yet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    limit: ReplicaLimit
    reason: str
    """Why the limit changed; empty where it did not."""
    cancel: int = 0
    """How many sequences, the youngest first, to cancel and send elsewhere or later."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Cut:
    factor: float
    latch: Latch
    why: str
    cancels: bool = False


def first_limit(max_num_seqs: int | None, rules: LimitRules = RULES) -> ReplicaLimit:
    most = ASSUMED_MAX_NUM_SEQS if max_num_seqs is None else max_num_seqs
    return ReplicaLimit(slots=math.ceil(rules.oversubscription * most), max_num_seqs=most)


def step(
    limit: ReplicaLimit,
    metrics: ReplicaMetrics | None,
    *,
    in_flight: int,
    finished: int,
    now_s: float,
    rules: LimitRules = RULES,
) -> Step:
    """After a poll; `metrics` is None where it got no answer.

    `in_flight` and `finished` count this client's sequences on the replica, the latter since the
    client began."""
    if metrics is None:
        return Step(limit=limit, reason="")
    if limit.seen is not None and _restarted(limit.seen, metrics):
        fresh = replace(first_limit(limit.max_num_seqs, rules), seen=metrics, seen_s=now_s)
        return Step(limit=fresh, reason="the replica started again")
    before = _drained(limit, in_flight)
    looked = replace(
        before,
        seen=metrics,
        seen_s=now_s,
        queued_polls=before.queued_polls + 1 if _queue(before, metrics, rules) else 0,
        turnover_from=None if now_s - before.seen_s > rules.stall_s else before.turnover_from,
    )
    cut = _worst_cut(before, looked, metrics, rules)
    above_floor = min(in_flight, before.slots) > _floor(before, rules)
    if cut is not None and cut.latch > before.latch and above_floor:
        return _cut(looked, cut, in_flight, rules)
    if cut is None and before.latch is Latch.NONE:
        looked = replace(looked, hard_before=False)
    return _grown(looked, metrics, in_flight, finished, rules)


def _restarted(before: ReplicaMetrics, now: ReplicaMetrics) -> bool:
    return now.tokens < before.tokens or now.preemptions < before.preemptions


def _drained(limit: ReplicaLimit, in_flight: int) -> ReplicaLimit:
    if limit.latch is Latch.NONE or in_flight > limit.slots:
        return limit
    return replace(limit, latch=Latch.NONE, queued_polls=0, hard_before=limit.latch is Latch.HARD)


def _queue(limit: ReplicaLimit, metrics: ReplicaMetrics, rules: LimitRules) -> bool:
    """Does more wait than we meant to, and is it not being taken in?"""
    meant = math.ceil(rules.oversubscription * limit.max_num_seqs) - limit.max_num_seqs
    before = limit.seen
    filling = (
        before is not None
        and before.running < metrics.running < limit.max_num_seqs
        and metrics.kv_use <= rules.soft_kv
    )
    return metrics.waiting > meant and not filling


def _worst_cut(
    before: ReplicaLimit, looked: ReplicaLimit, metrics: ReplicaMetrics, rules: LimitRules
) -> _Cut | None:
    to_target = rules.trim_to_kv / metrics.kv_use if metrics.kv_use else 1.0
    kv = f"the KV cache is {metrics.kv_use:.0%} full"
    if metrics.kv_use > rules.hard_kv:
        return _Cut(factor=to_target, latch=Latch.HARD, why=kv, cancels=True)
    preempted = metrics.preemptions - (metrics if before.seen is None else before.seen).preemptions
    if preempted:
        factor = rules.preempted_again if before.hard_before else rules.preempted
        return _Cut(factor=factor, latch=Latch.HARD, why=f"{preempted} sequences were preempted")
    if metrics.kv_use > rules.soft_kv:
        return _Cut(factor=to_target, latch=Latch.SOFT, why=kv)
    if looked.queued_polls >= rules.queue_polls:
        return _Cut(factor=rules.queued, latch=Latch.QUEUE, why=f"{metrics.waiting} wait there")
    return None


def _cut(limit: ReplicaLimit, cut: _Cut, in_flight: int, rules: LimitRules) -> Step:
    slots = max(_floor(limit, rules), min(limit.slots - 1, math.floor(limit.slots * cut.factor)))
    after = replace(
        limit, slots=slots, latch=cut.latch, queued_polls=0, turnover_from=None, hard_before=False
    )
    return Step(
        limit=after,
        reason=f"{limit.slots} -> {slots}: {cut.why}",
        cancel=max(0, in_flight - slots) if cut.cancels else 0,
    )


def _grown(
    limit: ReplicaLimit,
    metrics: ReplicaMetrics,
    in_flight: int,
    finished: int,
    rules: LimitRules,
) -> Step:
    clear = (
        metrics.kv_use < rules.grow_below_kv
        and metrics.waiting == 0
        and in_flight >= rules.binding * limit.slots
        and limit.latch is Latch.NONE
    )
    if not clear:
        return Step(limit=replace(limit, turnover_from=None), reason="")
    if limit.turnover_from is None:
        return Step(limit=replace(limit, turnover_from=finished), reason="")
    if finished - limit.turnover_from < limit.slots:
        return Step(limit=limit, reason="")
    wanted = max(limit.slots + 1, math.floor(limit.slots * rules.growth))
    slots = min(max(rules.ceiling, limit.slots), wanted)
    reason = f"{limit.slots} -> {slots}: the KV cache is {metrics.kv_use:.0%} full, nothing waits"
    return Step(
        limit=replace(limit, slots=slots, turnover_from=finished),
        reason=reason if slots > limit.slots else "",
    )


def _floor(limit: ReplicaLimit, rules: LimitRules) -> int:
    return max(1, math.ceil(rules.floor * limit.max_num_seqs))
