"""Is a replica that hangs told from a slow one, and does a breaker open once and close again?"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm.engines.liveness import (
    Breaker,
    BreakerRules,
    Circuit,
    Liveness,
    LivenessRules,
    Pulse,
    watch,
)
from rprm.engines.vllm_metrics import ReplicaMetrics

RULES = LivenessRules()
POLL_S = 5.0
FAILURES = BreakerRules().failures


def metrics(tokens: int, running: int = 1) -> ReplicaMetrics:
    return ReplicaMetrics(running=running, waiting=0, kv_use=0.1, generation_tokens=tokens)


def pulses(
    looks: Sequence[tuple[int | None, int, int]],
    *,
    every_s: float = POLL_S,
    rules: LivenessRules = RULES,
) -> list[Pulse]:
    """Each look is (tokens or None for no answer, in flight, finished)."""
    liveness, found = Liveness(), []
    for number, (tokens, in_flight, finished) in enumerate(looks):
        liveness, pulse = watch(
            liveness,
            None if tokens is None else metrics(tokens),
            in_flight=in_flight,
            finished=finished,
            now_s=100.0 + number * every_s,
            rules=rules,
        )
        found.append(pulse)
    return found


def test_a_replica_whose_tokens_stand_still_hangs_after_a_while() -> None:
    found = pulses([(7, 3, 0)] * 8)
    assert found[0] is Pulse.MOVING
    assert found[1:6] == [Pulse.STILL] * 5
    assert found[6:] == [Pulse.HUNG] * 2


def test_a_replica_that_stops_answering_polls_hangs_too() -> None:
    found = pulses([(7, 3, 0), *[(None, 3, 0)] * 7])
    assert found.index(Pulse.HUNG) == 6


def test_a_server_without_metrics_is_left_to_the_deadlines() -> None:
    assert Pulse.HUNG not in pulses([(None, 3, 0)] * 50)


def test_few_polls_far_apart_are_not_enough() -> None:
    assert pulses([(7, 1, 0)] * 4, every_s=60.0) == [
        Pulse.MOVING,
        Pulse.STILL,
        Pulse.STILL,
        Pulse.HUNG,
    ]


@pytest.mark.parametrize(
    "look",
    [
        (8, 3, 0),  # a token
        (0, 3, 0),  # counters start again: so did the replica
        (7, 2, 1),  # an answer, whatever its metrics say
        (7, 0, 0),  # nothing of ours is there any more
    ],
)
def test_any_progress_starts_the_clock_again(look: tuple[int, int, int]) -> None:
    tokens, in_flight, finished = look
    looks = [(7, 3, 0)] * 6 + [look] + [(tokens, max(in_flight, 1), finished)] * 5
    assert Pulse.HUNG not in pulses(looks)


def test_an_idle_replica_never_hangs_even_if_its_gauge_says_that_it_runs() -> None:
    assert set(pulses([(7, 0, 5)] * 50)) == {Pulse.IDLE}


def test_the_clock_starts_when_work_comes_not_when_the_replica_fell_idle() -> None:
    found = pulses([(7, 0, 0)] * 20 + [(7, 1, 0)] * 5)
    assert Pulse.HUNG not in found


@given(st.lists(st.tuples(st.none() | st.integers(0, 3), st.integers(0, 2), st.integers(0, 2))))
def test_hung_means_that_nothing_moved_for_long_enough(
    looks: list[tuple[int | None, int, int]],
) -> None:
    window = 1 + int(RULES.still_s / POLL_S)
    for number, pulse in enumerate(pulses(looks)):
        if pulse is Pulse.HUNG:
            seen = looks[number + 1 - window : number + 1]
            assert len(seen) == window
            assert all(in_flight > 0 for _, in_flight, _ in seen)
            assert len({tokens for tokens, _, _ in seen if tokens is not None}) <= 1
            assert len({finished for _, _, finished in seen}) == 1


def failed(breaker: Breaker, times: int, now_s: float = 0.0) -> Breaker:
    generation = breaker.generation
    for _ in range(times):
        breaker = breaker.failed(generation, now_s)
    return breaker


def test_a_breaker_opens_after_some_failures_in_a_row() -> None:
    assert failed(Breaker(), FAILURES - 1).circuit is Circuit.CLOSED
    breaker = failed(Breaker(), FAILURES, now_s=10.0)
    assert breaker.circuit is Circuit.OPEN
    assert not breaker.admits(14.9)
    assert breaker.admits(15.0)


def test_a_success_in_between_starts_the_count_again() -> None:
    breaker = failed(Breaker(), FAILURES - 1).succeeded(0)
    assert failed(breaker, FAILURES - 1).circuit is Circuit.CLOSED


def test_a_thousand_failures_at_once_are_one_piece_of_news() -> None:
    assert failed(Breaker(), 1000) == failed(Breaker(), FAILURES)


def test_one_probe_goes_out_at_a_time_and_its_success_closes() -> None:
    probing = failed(Breaker(), FAILURES).sent(5.0)
    assert probing.circuit is Circuit.PROBING
    assert not probing.admits(1000.0)
    closed = probing.succeeded(probing.generation)
    assert (closed.circuit, closed.opened, closed.failures) == (Circuit.CLOSED, 0, 0)


def test_a_probe_that_fails_doubles_the_wait_up_to_the_longest() -> None:
    breaker, now_s, waits = failed(Breaker(), FAILURES), 0.0, []
    for _ in range(7):
        waits.append(breaker.open_until_s - now_s)
        now_s = breaker.open_until_s
        breaker = breaker.sent(now_s)
        breaker = breaker.failed(breaker.generation, now_s)
    assert waits == [5, 10, 20, 40, 60, 60, 60]


def test_a_probe_that_ends_without_news_lets_the_next_one_out_at_once() -> None:
    probing = failed(Breaker(), FAILURES).sent(5.0)
    assert probing.abandoned(probing.generation).admits(5.0)


def test_a_hang_opens_at_once_and_only_once() -> None:
    breaker = Breaker().tripped(3.0)
    assert breaker.open_until_s == 8.0
    assert breaker.tripped(4.0) == breaker


events = st.lists(
    st.tuples(st.sampled_from(["sent", "ok", "bad", "gone", "hung", "wait"]), st.integers(0, 9))
)


@given(events)
def test_whatever_happens_a_breaker_probes_again_in_bounded_time(
    events: list[tuple[str, int]],
) -> None:
    breaker, now_s = Breaker(), 0.0
    out: list[int] = []  # generations of the requests in flight
    for event, which in events:
        generation = out.pop(which % len(out)) if out and event in ("ok", "bad", "gone") else -1
        match event:
            case "sent" if breaker.admits(now_s):
                before, breaker = breaker, breaker.sent(now_s)
                assert before.circuit is not Circuit.PROBING
                out.append(breaker.generation)
            case "ok":
                breaker = breaker.succeeded(generation)
            case "bad":
                breaker = breaker.failed(generation, now_s)
            case "gone":
                breaker = breaker.abandoned(generation)
            case "hung":
                breaker = breaker.tripped(now_s)
            case "wait":
                now_s += which
        probes = [one for one in out if one == breaker.generation]
        if breaker.circuit is Circuit.PROBING:
            assert len(probes) == 1
        else:
            assert breaker.admits(now_s + BreakerRules().longest_wait_s)
