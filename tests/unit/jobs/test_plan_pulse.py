"""Is a replica found to start, work or hang by what was seen of it, and by nothing else?"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.plan.pulse import Health, Pulse, Rules, Sight, feel, has_settled, health

RULES = Rules(start_deadline_s=100.0, hang_s=30.0, settled_s=20.0)


def after(*sights: Sight, started_at: float = 0.0) -> Pulse:
    pulse = Pulse(started_at=started_at)
    for sight in sights:
        pulse = feel(pulse, sight)
    return pulse


def busy(at: float, tokens: float, in_flight: int = 3) -> Sight:
    return Sight(at=at, healthy=True, in_flight=in_flight, tokens=tokens)


@pytest.mark.parametrize(
    ("sights", "now", "word"),
    [
        ([], 100, Health.STARTING),  # it has until its deadline
        ([], 101, Health.LATE),
        ([Sight(at=5)], 50, Health.STARTING),  # an answer that is no good one
        ([busy(5, 0)], 35, Health.READY),
        ([busy(5, 0), busy(20, 0)], 36, Health.HUNG),  # it answers, and nothing moves
        ([busy(5, 0), busy(20, 9)], 36, Health.READY),
        ([busy(5, 0), busy(20, 9)], 51, Health.HUNG),  # it does not answer any more
        ([busy(5, 7, 0), busy(20, 7, 0), busy(60, 7, 0)], 61, Health.READY),  # nothing to do
        ([busy(5, 7, 0), busy(60, 7, 2)], 61, Health.READY),  # work has only just come
        ([Sight(at=5, healthy=True), Sight(at=60, healthy=True)], 61, Health.READY),  # no metrics
        ([busy(5, 100), busy(20, 3)], 45, Health.READY),  # counters of another process
    ],
)
def test_a_replica_is_what_was_seen_of_it(sights: list[Sight], now: float, word: Health) -> None:
    assert health(after(*sights), now, RULES)[0] is word


def test_a_replica_that_hangs_says_why() -> None:
    _, why = health(after(busy(5, 0), busy(40, 0)), 41, RULES)
    assert why == "work in flight and no token for 36 s"


def test_the_same_look_twice_changes_nothing() -> None:
    pulse = after(busy(5, 0), busy(6, 4))
    assert feel(pulse, busy(6, 4)) == pulse
    assert feel(pulse, None) == pulse
    assert feel(pulse, busy(5, 99)) == pulse


def test_a_replica_settles_once_it_was_ready_for_a_while() -> None:
    pulse = after(busy(10, 1))
    assert not has_settled(pulse, 29, RULES)
    assert has_settled(pulse, 30, RULES)
    assert not has_settled(Pulse(started_at=0), 1000, RULES)


@given(
    steps=st.lists(st.floats(0.1, 10), min_size=1, max_size=40),
    in_flight=st.integers(0, 5),
)
def test_who_answers_and_moves_never_hangs(steps: list[float], in_flight: int) -> None:
    pulse, now = after(busy(1, 0)), 1.0
    for number, step in enumerate(steps, start=1):
        now += step
        pulse = feel(pulse, busy(now, number, in_flight))
        assert health(pulse, now, RULES)[0] is Health.READY
    assert health(pulse, now + RULES.hang_s - 0.1, RULES)[0] is Health.READY
    assert health(pulse, now + RULES.hang_s + 1, RULES)[0] is Health.HUNG


@given(gaps=st.lists(st.floats(0.1, 40), min_size=1, max_size=30))
def test_who_holds_work_and_stands_still_is_found_within_the_limit(gaps: list[float]) -> None:
    pulse, now = after(busy(1, 5)), 1.0
    for gap in gaps:
        now += gap
        pulse = feel(pulse, busy(now, 5))
        late = now - 1.0 > RULES.hang_s
        assert (health(pulse, now, RULES)[0] is Health.HUNG) == late
    assert feel(pulse, replace(busy(now + 1, 6), in_flight=1)).moved_at == now + 1
