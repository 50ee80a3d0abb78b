"""Is a failed try made again, and after how long?  Values in, values out.

Every try of every request draws on one budget that answers fill again, so that scattered faults
are ridden out while an API that is down stops the run instead of being hammered.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from rprm.engines.http_faults import Fault, Remedy


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    max_tries: int = 8
    first_wait_s: float = 1.0
    """Before the second try; doubled before each further one."""
    longest_wait_s: float = 60.0
    patience_s: float = 900.0
    """A server that asks to wait longer than this is taken for one that will not answer."""
    budget: int = 200
    """Tries that may fail in a row, over all requests; each answer gives one back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryBudget:
    capacity: int
    left: int
    answered: bool = False
    """Did any request get its answer?"""

    def spent(self) -> RetryBudget:
        return replace(self, left=max(0, self.left - 1))

    def earned(self) -> RetryBudget:
        return replace(self, left=min(self.capacity, self.left + 1), answered=True)


class Action(StrEnum):
    AGAIN = "again"
    REFUSE = "refuse"  # an error row
    STOP = "stop"  # a person must change something
    LEAVE = "leave"  # the API is out of reach for now; another attempt may fare better


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    action: Action
    wait_s: float = 0.0
    reason: str = ""


def full_budget(policy: RetryPolicy) -> RetryBudget:
    return RetryBudget(capacity=policy.budget, left=policy.budget)


def decide(
    fault: Fault, *, tries: int, policy: RetryPolicy, budget: RetryBudget, jitter: float
) -> Decision:
    """After the fault of try number `tries` (1-based).  `jitter` is uniform in [0, 1)."""
    match fault.cause.remedy:
        case Remedy.STOP:
            return Decision(action=Action.STOP, reason=fault.detail)
        case Remedy.REFUSE:
            return Decision(action=Action.REFUSE, reason=fault.detail)
        case Remedy.AGAIN:
            return _again(fault, tries=tries, policy=policy, budget=budget, jitter=jitter)


def _again(
    fault: Fault, *, tries: int, policy: RetryPolicy, budget: RetryBudget, jitter: float
) -> Decision:
    asked_s = fault.wait_s or 0.0
    if asked_s > policy.patience_s:
        return Decision(
            action=Action.LEAVE, reason=f"it asks to wait {asked_s:.0f} s: {fault.detail}"
        )
    if budget.left == 0:
        return Decision(
            action=Action.LEAVE,
            reason=f"{budget.capacity} tries failed for few answers, the last: {fault.detail}",
        )
    if tries >= policy.max_tries:
        return Decision(
            action=Action.REFUSE if budget.answered else Action.LEAVE,
            reason=f"{tries} tries failed, the last: {fault.detail}",
        )
    return Decision(action=Action.AGAIN, wait_s=max(asked_s, backoff_s(policy, tries, jitter)))


def backoff_s(policy: RetryPolicy, tries: int, jitter: float) -> float:
    """Doubles with every try up to the longest wait; the upper half of it is left to chance."""
    wide = policy.first_wait_s * 2.0 ** min(tries - 1, 60)
    return min(policy.longest_wait_s, wide) * (0.5 + 0.5 * jitter)
