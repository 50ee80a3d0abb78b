"""Does the client slow down, speed up, wait and give up as it should?  No network, no clock."""

from __future__ import annotations

import asyncio
import email.utils

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm.engines.http_faults import (
    Cause,
    Fault,
    Remedy,
    asked_wait_s,
    duration_s,
    fault_in_success,
    fault_of,
    quota_wait_s,
    shortened,
)
from rprm.engines.http_gate import Gate
from rprm.engines.http_limit import Limit, first_limit
from rprm.engines.http_retry import Action, RetryPolicy, backoff_s, decide, full_budget

POLICY = RetryPolicy()
BUSY = Fault(cause=Cause.OVERLOADED, detail="busy")


def test_the_limit_doubles_in_a_round_until_the_first_refusal() -> None:
    limit = first_limit(1000)
    start = limit.slots
    for _ in range(start):
        limit = limit.answered(in_flight=limit.slots)
    assert limit.slots == 2 * start


def test_after_a_refusal_the_limit_grows_by_one_per_round() -> None:
    limit = Limit(width=40.0, ceiling=100).refused_for_load(0)
    assert limit.slots == 20
    for _ in range(21):
        limit = limit.answered(in_flight=limit.slots)
    assert limit.slots == 21


def test_a_burst_of_refusals_halves_the_limit_once() -> None:
    limit = Limit(width=64.0, ceiling=100)
    for _ in range(30):
        limit = limit.refused_for_load(0)
    assert limit.slots == 32
    assert limit.refused_for_load(limit.generation).slots == 16


def test_a_limit_that_is_not_used_does_not_grow() -> None:
    limit = first_limit(1000)
    assert limit.answered(in_flight=3) == limit


@given(
    ceiling=st.integers(1, 500),
    events=st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=200),
)
def test_the_limit_stays_between_one_and_its_ceiling(
    ceiling: int, events: list[tuple[bool, int]]
) -> None:
    limit = first_limit(ceiling)
    for answered, age in events:
        limit = (
            limit.answered(limit.slots)
            if answered
            else limit.refused_for_load(limit.generation - age)
        )
        assert 1 <= limit.slots <= ceiling


def test_a_hold_is_only_ever_prolonged() -> None:
    limit = first_limit(4).held_until(10.0).held_until(5.0)
    assert limit.wait_s(4.0) == 6.0
    assert limit.wait_s(11.0) == 0.0


@given(tries=st.integers(1, 10**6), jitter=st.floats(0, 1, exclude_max=True))
def test_a_wait_is_never_longer_than_the_longest_nor_half_as_short(
    tries: int, jitter: float
) -> None:
    full_s = min(POLICY.longest_wait_s, POLICY.first_wait_s * 2.0 ** min(tries - 1, 60))
    assert 0.5 * full_s <= backoff_s(POLICY, tries, jitter) <= full_s


@pytest.mark.parametrize(
    ("status", "body", "cause"),
    [
        (400, b'{"error": {"code": "context_length_exceeded"}}', Cause.TOO_LONG),
        (
            400,  # as vLLM says it
            b'{"object": "error", "message": "This model\'s maximum context length is 8 tokens",'
            b' "type": "BadRequestError", "param": null, "code": 400}',
            Cause.TOO_LONG,
        ),
        (400, b'{"error": {"message": "max_tokens must be at least 1, got -7"}}', Cause.TOO_LONG),
        (413, b"", Cause.TOO_LONG),
        (400, b'{"error": {"message": "no", "param": "temperature"}}', Cause.UNSUPPORTED),
        (400, b'{"error": {"message": "x", "code": "unsupported_value"}}', Cause.UNSUPPORTED),
        (
            400,
            b'{"error": {"message": "Unrecognized request argument supplied: top_k"}}',
            Cause.UNSUPPORTED,
        ),
        (400, b'{"error": {"message": "flagged", "param": ["n"]}}', Cause.REJECTED),
        (422, b'{"detail": "no"}', Cause.REJECTED),
        (401, b"", Cause.UNAUTHORIZED),
        (403, b"", Cause.FORBIDDEN),
        (404, b"", Cause.NOT_FOUND),
        (429, b'{"error": {"code": "insufficient_quota"}}', Cause.NO_CREDIT),
        (429, b'{"error": "slow down"}', Cause.RATE_LIMITED),
        (500, b"<html>", Cause.SERVER_ERROR),
        (502, b"\xff\xfe", Cause.SERVER_ERROR),
        (503, b"[]", Cause.OVERLOADED),
        (504, b"null", Cause.TIMEOUT),
        (302, b"", Cause.REDIRECTED),
    ],
)
def test_a_response_has_one_cause(status: int, body: bytes, cause: Cause) -> None:
    assert fault_of(status, body, {}, 0.0).cause is cause


def test_an_error_inside_a_success_counts_as_what_it_is() -> None:
    inside = fault_in_success({"error": {"message": "slow down", "code": 429}})
    assert inside is not None
    assert inside.cause is Cause.RATE_LIMITED
    odd = fault_in_success({"error": "upstream"})
    assert odd is not None
    assert odd.cause is Cause.SERVER_ERROR
    assert fault_in_success({"choices": [], "error": None}) is None


@given(status=st.integers(300, 599), body=st.binary(max_size=60))
def test_any_bad_response_is_understood(status: int, body: bytes) -> None:
    assert fault_of(status, body, {}, 0.0).cause in Cause


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("20ms", 0.02),
        ("1h2m3.5s", 3723.5),
        ("1m40ms", 60.04),
        ("30", 30.0),
        ("2d", 172800.0),
        ("", 0.0),
        ("soon", 0.0),
        ("-5", 0.0),
        ("1.2.3s", 0.0),
    ],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert duration_s(text) == pytest.approx(seconds)


def test_a_wait_is_read_in_seconds_milliseconds_or_as_a_date() -> None:
    assert asked_wait_s({"Retry-After": "7"}, 0.0) == 7.0
    assert asked_wait_s({"retry-after-ms": "250", "retry-after": "1"}, 0.0) == 0.25
    date = email.utils.formatdate(1000.0, usegmt=True)
    assert asked_wait_s({"Retry-After": date}, 990.0) == 10.0
    assert asked_wait_s({"Retry-After": date}, 2000.0) == 0.0
    assert asked_wait_s({"Retry-After": "later"}, 0.0) is None
    assert asked_wait_s({}, 0.0) is None


def test_a_quota_is_waited_for_only_as_long_as_what_is_needed_takes_to_fill() -> None:
    headers = {
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-reset-tokens": "60s",
    }
    assert quota_wait_s(headers, requests=10, tokens=100) == pytest.approx(6.0)
    assert quota_wait_s(headers, requests=10, tokens=5000) == 60.0
    assert quota_wait_s(headers, requests=10, tokens=0) == 60.0
    assert quota_wait_s(headers | {"x-ratelimit-remaining-tokens": "1"}, requests=1, tokens=1) == 0
    unknown = {"x-ratelimit-remaining-tokens": "-1", "x-ratelimit-reset-tokens": "0"}
    assert quota_wait_s(unknown, requests=1, tokens=1) == 0.0


@pytest.mark.parametrize("cause", Cause)
def test_what_the_server_s_moment_does_not_explain_is_never_tried_again(cause: Cause) -> None:
    fault = Fault(cause=cause, detail="so")
    budget = full_budget(POLICY).earned()
    action = decide(fault, tries=1, policy=POLICY, budget=budget, jitter=0.0).action
    expected = {
        Remedy.AGAIN: Action.AGAIN,
        Remedy.REFUSE: Action.REFUSE,
        Remedy.STOP: Action.STOP,
    }
    assert action is expected[cause.remedy]


def test_the_last_try_gives_the_request_up_or_the_api_where_it_never_answered() -> None:
    budget = full_budget(POLICY)
    last = POLICY.max_tries
    silent = decide(BUSY, tries=last, policy=POLICY, budget=budget, jitter=0.0)
    assert silent.action is Action.LEAVE
    spoken = decide(BUSY, tries=last, policy=POLICY, budget=budget.earned(), jitter=0.0)
    assert spoken.action is Action.REFUSE
    assert "busy" in spoken.reason


@given(answers=st.lists(st.booleans(), max_size=400))
def test_the_budget_is_spent_by_failures_and_filled_by_answers(answers: list[bool]) -> None:
    policy = RetryPolicy(budget=5)
    budget, expected = full_budget(policy), 5
    for answered in answers:
        budget = budget.earned() if answered else budget.spent()
        expected = min(5, expected + 1) if answered else max(0, expected - 1)
        assert budget.left == expected
    decision = decide(BUSY, tries=1, policy=policy, budget=budget, jitter=0.0)
    assert (decision.action is Action.LEAVE) == (expected == 0)


def test_a_request_waits_at_least_as_long_as_it_was_told() -> None:
    told = Fault(cause=Cause.RATE_LIMITED, detail="", wait_s=30.0)
    decision = decide(told, tries=1, policy=POLICY, budget=full_budget(POLICY), jitter=0.0)
    assert decision.wait_s == 30.0


def test_a_long_error_page_is_cut_short() -> None:
    assert len(shortened("x" * 10**6)) < 1000


def test_the_gate_lets_in_as_many_as_the_limit_and_survives_cancelled_waiters() -> None:
    async def run() -> int:
        gate = Gate(Limit(width=2.0, ceiling=2), clock=lambda: 0.0, sleep=asyncio.sleep)
        most = 0

        async def pass_through() -> None:
            nonlocal most
            async with gate.slot():
                most = max(most, gate.in_flight)
                await asyncio.sleep(0)

        tasks = [asyncio.create_task(pass_through()) for _ in range(50)]
        await asyncio.sleep(0)
        for task in tasks[2::3]:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert gate.in_flight == 0
        assert sum(one is None for one in done) == 50 - len(tasks[2::3])
        return most

    assert asyncio.run(run()) == 2
