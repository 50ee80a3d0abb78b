"""Is a store that fails tried again a few times, with pauses, and then no more?"""

from __future__ import annotations

from jobs.runtime.patience import PAUSE_S, TRIES, Patience


def test_what_fails_rests_and_the_pauses_double() -> None:
    patience = Patience()
    now_s = 100.0
    for times in range(1, TRIES):
        assert patience.failed("seal", now_s)
        pause_s = PAUSE_S * 2 ** (times - 1)
        assert patience.rests("seal", now_s + pause_s - 0.01)
        assert not patience.rests("seal", now_s + pause_s)
        now_s += pause_s
    assert not patience.failed("seal", now_s)


def test_one_success_forgives_all() -> None:
    patience = Patience()
    for _ in range(TRIES - 1):
        assert patience.failed("seal", 0.0)
    patience.went_well("seal")
    assert not patience.rests("seal", 0.0)
    assert patience.failed("seal", 0.0)


def test_troubles_of_one_thing_are_not_anothers() -> None:
    patience = Patience()
    for _ in range(TRIES):
        patience.failed("seal", 0.0)
    assert not patience.rests("list", 0.0)
    assert patience.failed("list", 0.0)
