"""Is every end of an attempt counted against the right budget?"""

from __future__ import annotations

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.plan.retry import MAX_DELAY_S, Cause, Retry, RetryPolicy, StopShard, StopStage, after
from jobs.plan.retry import cause_of as cause


@pytest.mark.parametrize(
    ("exit_code", "expected"),
    [
        (0, None),
        (1, Cause.FAILED),
        (2, Cause.FAILED),
        (127, Cause.FAILED),  # command not found
        (128, Cause.FAILED),
        (255, Cause.FAILED),
        (64, Cause.BAD_CONFIG),
        (65, Cause.POISONED),
        (75, Cause.PREEMPTED),
        (None, Cause.LOST),  # nobody knows
        (-signal.SIGKILL, Cause.LOST),
        (128 + signal.SIGKILL, Cause.LOST),  # as a container says it
        (-signal.SIGTERM, Cause.LOST),
        (-signal.SIGSEGV, Cause.FAILED),  # its own crash, likely to come again
        (128 + signal.SIGABRT, Cause.FAILED),
    ],
)
def test_exit_codes_have_causes(exit_code: int | None, expected: Cause | None) -> None:
    assert cause(exit_code) is expected


POLICY = RetryPolicy(failed=2, preempted=10, backoff_s=1.0)


@pytest.mark.parametrize(
    ("failures", "expected", "part"),
    [
        ({}, Retry, "first attempt"),
        ({Cause.FAILED: 2}, Retry, "failed twice"),
        ({Cause.FAILED: 3}, StopShard, "failed 3 times; 2 retries are allowed"),
        ({Cause.FAILED: 2, Cause.TIMED_OUT: 1}, StopShard, "failed twice, timed out once"),
        ({Cause.PREEMPTED: 10, Cause.FAILED: 2}, Retry, "preempted 10 times"),
        ({Cause.PREEMPTED: 6, Cause.LOST: 5}, StopShard, "10 interruptions are allowed"),
        ({Cause.LOST: 5}, Retry, "lost 5 times (lost this often, it may be out of memory"),
        ({Cause.POISONED: 1}, StopShard, "rows fail every time"),
        ({Cause.BAD_CONFIG: 1, Cause.POISONED: 1}, StopStage, "refused the configuration"),
    ],
)
def test_budgets_decide(failures: dict[Cause, int], expected: type, part: str) -> None:
    decision = after(failures, POLICY)
    assert isinstance(decision, expected)
    assert part in decision.reason


@pytest.mark.parametrize(
    ("failures", "delay_s"),
    [
        ({}, 0.0),
        ({Cause.PREEMPTED: 9}, 0.0),  # left cleanly: nothing to wait for
        ({Cause.FAILED: 1}, 1.0),
        ({Cause.FAILED: 2}, 2.0),
        ({Cause.LOST: 4}, 8.0),  # may be a crash loop
    ],
)
def test_pauses_double_with_failures(failures: dict[Cause, int], delay_s: float) -> None:
    decision = after(failures, POLICY)
    assert isinstance(decision, Retry)
    assert decision.delay_s == delay_s


counts = st.dictionaries(st.sampled_from(Cause), st.integers(0, 10**6))
policies = st.builds(
    RetryPolicy,
    failed=st.integers(0, 10**6),
    preempted=st.integers(0, 10**6),
    backoff_s=st.floats(0, 1e6),
)


@given(counts, policies)
def test_any_history_has_a_verdict_and_a_reason(
    failures: dict[Cause, int], policy: RetryPolicy
) -> None:
    decision = after(failures, policy)
    assert decision.reason
    if isinstance(decision, Retry):
        assert 0 <= decision.delay_s <= MAX_DELAY_S
        assert failures.get(Cause.FAILED, 0) + failures.get(Cause.TIMED_OUT, 0) <= policy.failed


@given(counts, policies, st.sampled_from(Cause))
def test_one_more_failure_never_brings_a_shard_back(
    failures: dict[Cause, int], policy: RetryPolicy, more: Cause
) -> None:
    worse = {**failures, more: failures.get(more, 0) + 1}
    rank = (Retry, StopShard, StopStage)
    before, then = (rank.index(type(after(one, policy))) for one in (failures, worse))
    assert then >= before
