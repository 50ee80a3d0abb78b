"""Should a shard be tried again?  Causes and budgets in, a verdict and a reason out."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from jobs.spec import exitcodes

MAX_DELAY_S = 300.0
"""Longer pauses only hide from people that something is wrong."""

SUSPICIOUS_LOSSES = 5
"""Preemption rarely hits the same shard this often; running out of memory does."""

_OWN_CRASHES = frozenset(
    {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}
)
"""Signals a command brings upon itself; any other one came from outside."""


class Cause(StrEnum):
    FAILED = "failed"  # the command's own fault, and perhaps not next time
    TIMED_OUT = "timed_out"  # killed by us at the end of its time
    PREEMPTED = "preempted"  # asked to leave, left at a safe point
    LOST = "lost"  # killed from outside, node gone, never heard of again
    POISONED = "poisoned"  # these rows fail every time
    BAD_CONFIG = "bad_config"  # every shard of the stage would fail every time


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """Retries of one shard: the try after the last allowed one is not made."""

    failed: int = 3
    preempted: int = 50
    backoff_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Retry:
    delay_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class StopShard:
    """The shard is given up; the rest of the stage may finish."""

    reason: str
    exhausted: bool = False
    """A budget ran out, as against rows that can never succeed."""


@dataclass(frozen=True, slots=True)
class StopStage:
    """Nothing of the stage can succeed."""

    reason: str


def cause_of(exit_code: int | None) -> Cause | None:
    """Why an attempt ended; None when it succeeded.  `exit_code` is None when nobody knows,
    and negative (or 128 + n, as shells and containers say it) after signal n."""
    if exit_code is None:
        return Cause.LOST
    named = {
        exitcodes.DONE: None,
        exitcodes.BAD_CONFIG: Cause.BAD_CONFIG,
        exitcodes.POISONED: Cause.POISONED,
        exitcodes.DRAINED: Cause.PREEMPTED,
    }
    if exit_code in named:
        return named[exit_code]
    by_signal = -exit_code if exit_code < 0 else exit_code - 128
    if by_signal in _OWN_CRASHES or not 0 < by_signal < 64:
        return Cause.FAILED
    return Cause.LOST


def after(failures: Mapping[Cause, int], policy: RetryPolicy) -> Retry | StopShard | StopStage:
    """What to do with a shard that ended this often for these causes and is not committed."""
    if failures.get(Cause.BAD_CONFIG, 0):
        return StopStage("the worker refused the configuration (exit code 64)")
    if failures.get(Cause.POISONED, 0):
        return StopShard("its rows fail every time (exit code 65)")
    failed = failures.get(Cause.FAILED, 0) + failures.get(Cause.TIMED_OUT, 0)
    interrupted = failures.get(Cause.PREEMPTED, 0) + failures.get(Cause.LOST, 0)
    history = _history(failures)
    if failed > policy.failed:
        return StopShard(f"{history}; {policy.failed} retries are allowed", exhausted=True)
    if interrupted > policy.preempted:
        reason = f"{history}; {policy.preempted} interruptions are allowed"
        return StopShard(f"{reason}{_suspicion(failures)}", exhausted=True)
    delay_s = _delay_s(failed + failures.get(Cause.LOST, 0), policy.backoff_s)
    return Retry(delay_s, f"{history or 'first attempt'}{_suspicion(failures)}")


def _delay_s(num_failures: int, backoff_s: float) -> float:
    """Doubles with every failure; a clean preemption costs no pause."""
    if num_failures == 0:
        return 0.0
    return float(min(MAX_DELAY_S, backoff_s * 2.0 ** min(num_failures - 1, 30)))


def _history(failures: Mapping[Cause, int]) -> str:
    told = [f"{cause.value.replace('_', ' ')} {_times(failures[cause])}" for cause in Cause
            if failures.get(cause, 0)]  # fmt: skip
    return ", ".join(told)


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def _suspicion(failures: Mapping[Cause, int]) -> str:
    if failures.get(Cause.LOST, 0) < SUSPICIOUS_LOSSES:
        return ""
    return " (lost this often, it may be out of memory: raise resources.memory or shards)"
