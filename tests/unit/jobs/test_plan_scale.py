"""Is the number of replicas right, and does it stay so whatever is observed?"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.plan.fleet import (
    Demand,
    Idle,
    Load,
    Memory,
    Observed,
    Phase,
    Quiet,
    Rates,
    Replica,
    Shrunk,
    Spec,
    dump_memory,
    load_memory,
)
from jobs.plan.scale import Scaling, scale

SPEC = Spec(max_replicas=8, max_num_seqs=100, cold_start_s=100.0)
RATES = Rates(tokens_per_s=1000.0, tokens_per_row=1000.0)
"""So a row is a second of one replica."""


def fleet(
    ready: int, *, busy: float = 1.0, at: float = 0.0, starting: int = 0, tokens: float = 0.0
) -> list[Replica]:
    load = Load(at=at, running=round(100 * busy), waiting=0, tokens=tokens)
    replicas = [
        Replica(name=f"r{i}", phase=Phase.READY, since=0.0, load=load, start_s=100.0)
        for i in range(ready)
    ]
    return replicas + [
        Replica(name=f"s{i}", phase=Phase.STARTING, since=0.0) for i in range(starting)
    ]


def observed(
    rows: int, replicas: list[Replica], *, workers: int = 4, memory: Memory | None = None
) -> Observed:
    return Observed(
        replicas=tuple(replicas),
        demands=(Demand(stage="sample", rows_left=rows, workers=workers),),
        memory=memory or Memory(rates=RATES),
    )


@pytest.mark.parametrize(
    ("rows", "ready", "starting", "expected"),
    [
        (0, 0, 0, 0),  # nothing to do: nothing to start
        (1, 0, 0, 1),  # the smallest work needs one
        (450, 0, 0, 5),  # a cold start's worth of work each
        (9999, 0, 0, 8),  # never past the ceiling
        (450, 0, 5, 5),  # asked again while they start
        (300, 3, 0, 3),  # done before another one could help
        (900, 3, 0, 6),  # 600 s of work are left when more could begin
        (10, 3, 0, 3),  # the end of the work is no reason to stop working on it
    ],
)
def test_work_decides_how_many(rows: int, ready: int, starting: int, expected: int) -> None:
    scaling = scale(observed(rows, fleet(ready, starting=starting)), SPEC, 10.0)
    assert scaling.replicas == expected
    assert scaling.reason


def test_before_anything_is_measured_every_replica_is_filled_once() -> None:
    assert scale(observed(300, [], memory=Memory()), SPEC, 0.0).replicas == 4


def test_while_more_may_come_a_replica_must_pay_back_three_starts() -> None:
    seen = replace(observed(900, []), due_in_s=math.inf)
    assert scale(seen, SPEC, 0.0).replicas == 3
    assert scale(replace(seen, due_in_s=None), SPEC, 0.0).replicas == 8


def test_a_deadline_asks_for_no_more_than_it_takes() -> None:
    spec = replace(SPEC, deadline_at=2100.0)
    assert scale(observed(1800, []), spec, 0.0).replicas == 1
    assert scale(observed(3600, []), spec, 0.0).replicas == 2
    assert scale(observed(3600, []), spec, 2050.0).replicas == 8
    assert scale(observed(3600, []), spec, 9999.0).replicas == 8


def test_a_measured_cold_start_counts_and_not_the_assumed_one() -> None:
    memory = Memory(rates=replace(RATES, cold_start_s=400.0))
    assert scale(observed(900, [], memory=memory), SPEC, 0.0).replicas == 3


def test_without_a_stage_the_fleet_goes_to_zero_or_waits_for_the_next() -> None:
    nobody = Observed(replicas=tuple(fleet(4)), demands=())
    assert scale(nobody, SPEC, 0.0).replicas == 0
    assert scale(nobody, replace(SPEC, min_replicas=2), 0.0).replicas == 2
    soon = replace(nobody, due_in_s=30.0)
    assert scale(soon, SPEC, 0.0).replicas == 4
    assert scale(replace(nobody, due_in_s=3000.0), SPEC, 0.0).replicas == 0
    later = replace(nobody, due_in_s=math.inf)
    first = scale(later, SPEC, 0.0)
    assert first.replicas == 4
    again = replace(later, memory=first.memory, replicas=tuple(fleet(4, busy=0, at=100)))
    assert scale(again, SPEC, 100.0).replicas == 0


def test_what_nobody_knows_changes_nothing() -> None:
    silent = [replace(one, load=None) for one in fleet(3)]
    assert scale(observed(9999, silent), SPEC, 0.0).replicas == 3
    assert scale(observed(9999, fleet(3)), SPEC, 1000.0).replicas == 3, "stale"
    unknown = Observed(replicas=tuple(fleet(3)), demands=None, memory=Memory(rates=RATES))
    assert scale(unknown, SPEC, 0.0).replicas == 3


def test_one_silent_replica_counts_as_busy() -> None:
    replicas = fleet(2, busy=0.95)
    replicas[0] = replace(replicas[0], load=None)
    memory = Memory(rates=RATES, quiet=Quiet(since=-500.0, rows=10, workers=4))
    assert scale(observed(10, replicas, memory=memory), SPEC, 0.0).replicas == 2


def looks(
    rows: int, busy: float, ready: int, *, times: int, memory: Memory | None = None
) -> list[Scaling]:
    """One look every ten seconds at the same fleet; what it decides is carried out."""
    found: list[Scaling] = []
    tokens = 0.0
    for tick in range(times):
        now = 10.0 * tick
        share = min(1.0, busy / ready) if ready else 0.0
        tokens += 10.0 * 1000.0 * share
        memory = found[-1].memory if found else memory
        seen = observed(rows, fleet(ready, busy=share, at=now, tokens=tokens), memory=memory)
        found.append(scale(seen, SPEC, now))
        ready = found[-1].replicas
    return found


def test_replicas_that_nobody_fills_go_after_a_hold_down() -> None:
    found = looks(50, 1.9, 6, times=60)
    counts = [one.replicas for one in found]
    assert counts[:10] == [6] * 10
    assert counts[-1] == 2
    assert counts == sorted(counts, reverse=True)


def test_half_of_the_slots_may_give_most_of_the_speed() -> None:
    """What counts is tokens: decoding few sequences is faster for each of them."""
    memory = Memory(rates=RATES, idle=Idle(value=0.0, at=0.0))
    for tick in range(60):
        now = 10.0 * tick
        replicas = fleet(4, busy=0.5, at=now, tokens=950.0 * now)
        scaling = scale(observed(50, replicas, memory=memory), SPEC, now)
        assert scaling.replicas == 4
        memory = scaling.memory


def test_a_short_lull_is_no_reason_to_shrink() -> None:
    lull = looks(50, 1.0, 4, times=8)
    busy = looks(50, 4.0, 4, times=30, memory=replace(lull[-1].memory, idle=None))
    assert {one.replicas for one in lull + busy} == {4}


def test_clients_that_fill_only_two_replicas_do_not_get_more_again_and_again() -> None:
    found = looks(100_000, 2.0, 8, times=120)
    counts = [one.replicas for one in found]
    assert counts[-1] in (2, 3)
    falls = counts.index(min(counts))
    assert max(counts[falls:]) <= min(counts) + 1


def test_more_work_undoes_a_shrink_at_once() -> None:
    shrunk = Shrunk(at=0.0, replicas=2, rows=5000, workers=4)
    memory = Memory(rates=RATES, shrunk=shrunk)
    assert scale(observed(5000, fleet(2), memory=memory), SPEC, 10.0).replicas == 2
    assert scale(observed(5001, fleet(2), memory=memory), SPEC, 10.0).replicas == 8
    more = observed(5000, fleet(2), memory=memory, workers=5)
    assert scale(more, SPEC, 10.0).replicas == 8


def test_full_replicas_may_double_after_a_long_time() -> None:
    memory = Memory(rates=RATES, shrunk=Shrunk(at=0.0, replicas=2, rows=5000, workers=4))
    full = observed(5000, fleet(2, at=1001.0), memory=memory)
    assert scale(full, SPEC, 1001.0).replicas == 4
    half = observed(5000, fleet(2, busy=0.5, at=1001.0), memory=memory)
    assert scale(half, SPEC, 1001.0).replicas == 2


# Properties

numbers = st.floats(0, 1e6)
loads = st.none() | st.builds(
    Load,
    at=numbers,
    running=st.integers(0, 10**6),
    waiting=st.integers(0, 10**6),
    tokens=st.floats(0, 1e12),
)
replicas = st.lists(
    st.builds(
        Replica,
        name=st.sampled_from("abcdefghij"),
        phase=st.sampled_from(Phase),
        since=numbers,
        load=loads,
        start_s=st.none() | numbers,
    ),
    max_size=10,
    unique_by=lambda one: one.name,
).map(tuple)
demands = st.lists(
    st.builds(
        Demand,
        stage=st.sampled_from(["seed", "sample", "bench"]),
        rows_left=st.integers(0, 10**7),
        rows_done=st.integers(0, 10**7),
        rows_in_hand=st.integers(0, 10**5),
        workers=st.integers(0, 1000),
    ),
    max_size=3,
    unique_by=lambda one: one.stage,
).map(tuple)
positive = st.floats(0.01, 1e6)
memories = st.builds(
    Memory,
    idle=st.none() | st.builds(Idle, value=st.floats(0, 10), at=numbers),
    quiet=st.none()
    | st.builds(Quiet, since=numbers, rows=st.integers(0, 10**7), workers=st.integers(0, 1000)),
    shrunk=st.none()
    | st.builds(
        Shrunk,
        at=numbers,
        replicas=st.integers(0, 10),
        rows=st.integers(0, 10**7),
        workers=st.integers(0, 1000),
    ),
    idle_since=st.none() | numbers,
    rates=st.builds(
        Rates,
        tokens_per_s=st.none() | positive,
        tokens_per_row=st.none() | positive,
        cold_start_s=st.none() | positive,
    ),
)
observations = st.builds(
    Observed,
    replicas=replicas,
    demands=st.none() | demands,
    due_in_s=st.none() | numbers | st.just(math.inf),
    memory=memories,
)
specs = st.tuples(st.integers(0, 5), st.integers(0, 20)).flatmap(
    lambda given: st.builds(
        Spec,
        min_replicas=st.just(given[0]),
        max_replicas=st.just(max(1, sum(given))),
        max_num_seqs=st.integers(1, 1024),
        cold_start_s=st.floats(0.1, 1e4),
        target_utilisation=st.floats(0.05, 1),
        payback=st.floats(0.1, 10),
        hold_down_s=st.none() | st.floats(0, 1e4),
        idle_timeout_s=st.floats(0, 1e4),
        deadline_at=st.none() | numbers,
    )
)


@given(observations, specs, numbers)
def test_never_outside_the_range_and_always_with_a_reason(
    seen: Observed, spec: Spec, now: float
) -> None:
    scaling = scale(seen, spec, now)
    assert spec.min_replicas <= scaling.replicas <= spec.max_replicas
    assert scaling.reason


@given(observations, specs, numbers)
def test_a_controller_that_was_restarted_decides_the_same(
    seen: Observed, spec: Spec, now: float
) -> None:
    first = scale(seen, spec, now)
    assert first == scale(seen, spec, now)
    restored = load_memory(dump_memory(seen.memory))
    assert restored == seen.memory
    assert load_memory(dump_memory(first.memory)) == first.memory


def test_a_torn_memory_is_an_empty_one() -> None:
    assert load_memory(b'{"idle": {"va') == Memory()
    assert load_memory(b"[]") == Memory()


@given(observations, specs, numbers, st.integers(1, 10**6))
def test_more_backlog_never_asks_for_fewer(
    seen: Observed, spec: Spec, now: float, more: int
) -> None:
    if not seen.demands:
        return
    first, *rest = seen.demands
    grown = replace(seen, demands=(replace(first, rows_left=first.rows_left + more), *rest))
    assert scale(grown, spec, now).replicas >= scale(seen, spec, now).replicas


@given(
    st.integers(0, 10**6),
    st.floats(0, 12),
    st.integers(0, 8),
    st.integers(0, 200),
)
@settings(deadline=None, max_examples=30)
def test_a_constant_load_does_not_flap(rows: int, busy: float, ready: int, wait: int) -> None:
    """Up at most once, then down to what is used; up again only by a trial, every ten starts."""
    memory = None
    if wait:
        memory = Memory(rates=RATES, idle=Idle(value=0.0, at=-float(wait)))
    counts = [one.replicas for one in looks(rows, busy, ready, times=200, memory=memory)]
    turns = [tick for tick in range(1, len(counts) - 1) if counts[tick] > counts[tick - 1]]
    assert len(turns) <= 1 + len(counts) * 10 // 1000, counts


@given(observations, specs, numbers)
def test_missing_metrics_neither_start_nor_stop_anything(
    seen: Observed, spec: Spec, now: float
) -> None:
    silent = replace(seen, replicas=tuple(replace(one, load=None) for one in seen.replicas))
    current = sum(one.phase is not Phase.DRAINING for one in seen.replicas)
    if not seen.in_phase(Phase.READY) or not seen.demands:
        return
    kept = min(max(current, spec.min_replicas), spec.max_replicas)
    assert scale(silent, spec, now).replicas == kept
