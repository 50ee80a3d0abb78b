"""How fast is a replica, how much work is a row, and how long does a start take?

Measured while the fleet works, from counters that only grow; one look adds to the next.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from jobs.plan.fleet import Committed, Counted, Demand, Load, Observed, Phase, Rates, Replica, Spec

SPEED_WINDOW_S = 120.0
"""Speed follows prompts and lengths, which change within minutes, not within seconds."""

START_WEIGHT = 0.5
"""Of the newest start: the first one downloads and compiles, the later ones do not."""

ROWS_WINDOW_S = 900.0
"""Of work, not of idling: several shards have to be committed in it."""

MIN_START_S = 1.0
MAX_ROW_S = 1e6
"""Counters that make no sense must not make decisions that make none."""

HALF_DONE = 0.5
"""How far the shards in workers' hands are, on average."""


def measure(observed: Observed, spec: Spec) -> Rates:
    """Rates after this look; `observed.memory` holds those before it."""
    rates = observed.memory.rates
    ready = [replica for replica in observed.replicas if replica.phase is not Phase.STARTING]
    rates = _timed(rates, ready)
    rates, tokens, lasted_s = _counted(rates, ready, spec)
    if observed.demands is None:
        return replace(rates, tokens=rates.tokens + tokens)
    return _per_row(rates, observed.demands, tokens, lasted_s)


def cold_start_s(rates: Rates, spec: Spec) -> float:
    return max(MIN_START_S, rates.cold_start_s or spec.cold_start_s)


def seconds_per_row(rates: Rates) -> float | None:
    """Of one full replica; None until both halves were measured."""
    if not rates.tokens_per_s or rates.tokens_per_row is None:
        return None
    return min(MAX_ROW_S, rates.tokens_per_row / rates.tokens_per_s)


def is_full(load: Load, spec: Spec) -> bool:
    return load.in_flight >= spec.target_utilisation * spec.max_num_seqs


def _timed(rates: Rates, ready: Sequence[Replica]) -> Rates:
    mean = rates.cold_start_s
    for replica in ready:
        if replica.start_s is None or replica.start_s <= 0 or replica.name in rates.timed:
            continue
        mean = replica.start_s if mean is None else _mixed(mean, replica.start_s, START_WEIGHT)
    names = tuple(replica.name for replica in ready if replica.start_s is not None)
    return replace(rates, cold_start_s=mean, timed=names)


def _counted(rates: Rates, ready: Sequence[Replica], spec: Spec) -> tuple[Rates, float, float]:
    """Speed of replicas that were full at both ends of an interval; tokens of all, and the time
    in which they were generated."""
    speed, tokens, longest_s = rates.tokens_per_s, 0.0, 0.0
    counted: dict[str, Counted] = {}
    for replica in ready:
        before, load = rates.counted.get(replica.name), replica.load
        if load is None:
            if before is not None:
                counted[replica.name] = before
            continue
        full = is_full(load, spec)
        fresh = Counted(at=load.at, tokens=load.tokens, was_full=full)
        if before is None or load.at <= before.at or load.tokens < before.tokens:
            # Nothing to compare with, nothing new, or another process of that name.
            is_same = before is not None and load.at == before.at
            counted[replica.name] = before if before is not None and is_same else fresh
            continue
        grown, lasted_s = load.tokens - before.tokens, load.at - before.at
        tokens, longest_s = tokens + grown, max(longest_s, lasted_s)
        measured, was_full = grown / lasted_s, full and before.was_full
        if was_full and measured > 0:
            weight = -math.expm1(-lasted_s / SPEED_WINDOW_S)
            speed = measured if speed is None else _mixed(speed, measured, weight)
        # Full and slow is busy all the same: with long prompts, or about to be found hanging.
        busy = 1.0 if was_full else min(1.0, measured / speed) if speed else None
        counted[replica.name] = replace(fresh, busy=busy)
    return replace(rates, tokens_per_s=speed, counted=counted), tokens, longest_s


def _per_row(rates: Rates, demands: Sequence[Demand], tokens: float, lasted_s: float) -> Rates:
    """Tokens and committed rows of late; rows in workers' hands count as half committed."""
    committed = {
        one.stage: Committed(done=one.rows_done, in_hand=one.rows_in_hand) for one in demands
    }
    rows = 0
    for stage, before in rates.committed.items():
        now = committed.get(stage)
        # One that ended committed what was in hand; one that was cancelled had begun no more.
        rows += before.in_hand if now is None else max(0, now.done - before.done)
    kept = math.exp(-lasted_s / ROWS_WINDOW_S)
    rates = replace(
        rates,
        committed=committed,
        tokens=rates.tokens * kept + tokens,
        rows=rates.rows * kept + rows,
    )
    if not rates.rows or not rates.tokens:
        return rates
    in_hand = sum(demand.rows_in_hand for demand in demands)
    return replace(rates, tokens_per_row=rates.tokens / (rates.rows + HALF_DONE * in_hand))


def _mixed(old: float, new: float, weight: float) -> float:
    return old * (1 - weight) + new * weight  # of positive numbers always a positive one
