"""Are speed, work per row and cold starts measured right, and never from what cannot count?"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobs.plan.fleet import Demand, Load, Memory, Observed, Phase, Rates, Replica, Spec
from jobs.plan.rates import cold_start_s, measure, seconds_per_row

SPEC = Spec(max_replicas=8, max_num_seqs=100, cold_start_s=100.0)


def replica(at: float, tokens: float, *, running: int = 100, name: str = "a") -> Replica:
    load = Load(at=at, running=running, waiting=0, tokens=tokens)
    return Replica(name=name, phase=Phase.READY, since=0.0, load=load, start_s=80.0)


def look(rates: Rates, *replicas: Replica, demands: tuple[Demand, ...] = ()) -> Rates:
    memory = Memory(rates=rates)
    return measure(Observed(replicas=replicas, demands=demands, memory=memory), SPEC)


def demand(done: int, left: int, *, in_hand: int = 0, stage: str = "sample") -> Demand:
    return Demand(stage=stage, rows_left=left, rows_done=done, rows_in_hand=in_hand)


def test_speed_is_that_of_full_replicas() -> None:
    rates = look(Rates(), replica(0, 0))
    assert rates.tokens_per_s is None
    rates = look(rates, replica(10, 5000))
    assert rates.tokens_per_s == 500
    half = look(rates, replica(20, 5100, running=50))
    assert look(half, replica(30, 5200)).tokens_per_s == 500, "it was not full all the time"


def test_how_busy_a_replica_was_is_told_by_tokens_and_not_by_slots() -> None:
    rates = look(look(Rates(), replica(0, 0)), replica(10, 5000))
    assert rates.counted["a"].busy == 1
    rates = look(rates, replica(20, 9000, running=40))
    assert rates.counted["a"].busy == pytest.approx(0.8)
    assert look(rates, replica(20, 9000, running=40)).counted == rates.counted
    assert look(rates, replica(30, 9000, running=0)).counted["a"].busy == 0
    slow = look(look(rates, replica(30, 9100)), replica(40, 9200))
    assert slow.counted["a"].busy == 1, "full and slow is busy"


def test_speed_follows_slowly() -> None:
    rates = look(look(Rates(), replica(0, 0)), replica(10, 5000))
    later = look(rates, replica(20, 15000)).tokens_per_s
    assert later is not None
    assert 500 < later < 600


def test_a_counter_that_falls_is_another_process() -> None:
    rates = look(look(Rates(), replica(0, 9000)), replica(10, 50))
    assert rates.tokens_per_s is None
    assert look(rates, replica(20, 5050)).tokens_per_s == 500


def test_the_same_load_twice_counts_once() -> None:
    rates = look(look(Rates(), replica(0, 0)), replica(10, 5000))
    assert look(rates, replica(10, 5000)).tokens == rates.tokens


def test_work_per_row_needs_committed_rows() -> None:
    rates = look(Rates(), replica(0, 0), demands=(demand(0, 100, in_hand=40),))
    rates = look(rates, replica(10, 5000), demands=(demand(0, 100, in_hand=40),))
    assert rates.tokens_per_row is None
    assert seconds_per_row(rates) is None
    rates = look(rates, replica(20, 10000), demands=(demand(30, 70, in_hand=40),))
    assert rates.tokens_per_row == pytest.approx(10000 / (30 + 20), rel=0.01)
    assert seconds_per_row(rates) == pytest.approx(200 / 500, rel=0.01)


def test_a_stage_that_ended_committed_what_was_in_hand() -> None:
    rates = look(Rates(), replica(0, 0), demands=(demand(0, 9000, in_hand=50),))
    rates = look(rates, replica(10, 5000), demands=(demand(0, 30, stage="bench"),))
    assert rates.tokens_per_row == pytest.approx(100)


def test_what_was_measured_survives_a_fleet_at_zero() -> None:
    rates = replace(Rates(), tokens_per_s=500.0, tokens_per_row=100.0, cold_start_s=80.0)
    after = look(rates)
    assert seconds_per_row(after) == 0.2
    assert cold_start_s(after, SPEC) == 80


def test_each_start_counts_once_and_newer_ones_more() -> None:
    rates = look(Rates(), replica(0, 0))
    assert cold_start_s(rates, SPEC) == 80
    slow = replace(replica(0, 0, name="b"), start_s=120.0)
    rates = look(rates, replica(0, 0), slow)
    assert cold_start_s(rates, SPEC) == 100
    assert cold_start_s(look(rates, replica(0, 0), slow), SPEC) == 100


def test_nothing_measured_is_what_the_spec_says() -> None:
    assert cold_start_s(Rates(), SPEC) == 100


numbers = st.floats(0, 1e9)


@example([(0.0, 0.0, 90, 0), (2e-224, 1.0, 90, 0), (4492.0, 2.0, 90, 0)])  # speeds far apart
@given(st.lists(st.tuples(numbers, numbers, st.integers(0, 200), st.integers(0, 10**6))))
def test_whatever_counters_say_rates_are_positive_or_unknown(
    seen: list[tuple[float, float, int, int]],
) -> None:
    rates = Rates()
    for at, tokens, running, done in seen:
        one = replica(at, tokens, running=running)
        rates = look(rates, one, demands=(demand(done, 10, in_hand=5),))
        assert rates.tokens_per_s is None or rates.tokens_per_s > 0
        assert rates.tokens_per_row is None or rates.tokens_per_row > 0
