"""Is the simulator honest?  Work is conserved, no row is lost, nobody sees what is not yet."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.plan.fleet import Load, Spec
from tests.bench.fleet_oracle import oracle, schedule
from tests.bench.fleet_policies import Fixed, Keda, Ours, Stepper
from tests.bench.fleet_server import (
    CLIENT_SLOTS,
    MAX_NUM_SEQS,
    ROW_SLOTS,
    ROW_TOKENS,
    SPEEDS,
    TOKENS_PER_S,
    Server,
)
from tests.bench.fleet_simulation import COLD_START_S, Seen, World, simulate
from tests.bench.fleet_traces import Stage, Trace

SPEC = Spec(max_replicas=4, max_num_seqs=MAX_NUM_SEQS)


def stage(name: str, rows: int, *, at: float = 0.0, after: str | None = None) -> Stage:
    rng = random.Random(rows)
    lengths = tuple(ROW_TOKENS * rng.uniform(0.2, 2) for _ in range(rows))
    return Stage(name=name, at=at, rows=lengths, after=after)


class Chaos:
    """Asks for any number at any time; never for none while there is work, or nothing ends."""

    name = "chaos"
    tick_s = 7.0
    delay_s = 10.0

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def wanted(self, seen: Seen, world: World) -> int:
        return 0 if world.is_over else self.rng.choice([1, 1, 2, 3, 4])


traces = st.lists(
    st.tuples(st.integers(1, 400), st.floats(0, 2000), st.booleans()), min_size=1, max_size=4
).map(
    lambda given: Trace(
        name="any",
        stages=tuple(
            stage(f"s{i}", rows, at=at, after=f"s{i - 1}" if chained and i else None)
            for i, (rows, at, chained) in enumerate(given)
        ),
        workers=5,
    )
)


@settings(max_examples=25, deadline=None)
@given(traces, st.integers(0, 1000), st.sampled_from([10.0, 300.0]))
def test_every_row_is_done_once_whatever_a_policy_asks_for(
    trace: Trace, seed: int, drain_deadline_s: float
) -> None:
    spec = replace(SPEC, drain_deadline_s=drain_deadline_s)
    world = World(trace, Chaos(seed), spec, seed=seed)
    done = world.run()
    assert done.rows == sum(len(one.rows) for one in trace.stages)
    assert done.tokens == pytest.approx(sum(sum(one.rows) for one in trace.stages))
    assert done.ended.keys() == {one.name for one in trace.stages}
    assert not world.queue
    assert not world.workers
    assert all(done.began[name] < done.ended[name] for name in done.ended)
    if drain_deadline_s > 200:
        assert done.aborted == 0, "everything could finish before its replica went"


@settings(max_examples=10, deadline=None)
@given(traces, st.sampled_from([Ours, Fixed, Keda, Stepper]))
def test_no_policy_beats_what_replicas_can_do(
    trace: Trace, kind: type[Ours | Fixed | Keda | Stepper]
) -> None:
    done = simulate(trace, kind(SPEC), SPEC)
    assert done.replica_s >= trace.work_s
    assert done.makespan_s >= trace.work_s / SPEC.max_replicas
    assert done.rows == sum(len(one.rows) for one in trace.stages)


def test_the_same_seed_gives_the_same_outcome() -> None:
    trace = Trace(name="one", stages=(stage("a", 500),))
    assert simulate(trace, Ours(SPEC), SPEC) == simulate(trace, Ours(SPEC), SPEC)


def test_a_replica_saturates_and_gives_no_more_than_its_speed() -> None:
    throughput = [rows * SPEEDS[rows] for rows in range(ROW_SLOTS + 1)]
    assert throughput == sorted(throughput)
    assert throughput[-1] == pytest.approx(TOKENS_PER_S)
    assert throughput[ROW_SLOTS // 2] == pytest.approx(TOKENS_PER_S * 5 / 6)


def test_rows_that_share_a_replica_end_when_arithmetic_says() -> None:
    server = Server(0, 0.0)
    server.give(1, 300.0)
    server.give(2, 600.0)
    both, alone = SPEEDS[2], SPEEDS[1]
    assert server.next_end() == pytest.approx(300 / both)
    server.advance(server.next_end())
    assert list(server.take_finished()) == [(1, 300.0)]
    assert server.next_end() == pytest.approx(300 / both + 300 / alone)


class Watcher(Fixed):
    """A fixed fleet that keeps what it sees beside what is true."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.saw: list[tuple[float, Load | None]] = []

    def wanted(self, seen: Seen, world: World) -> int:
        for replica in seen.observed.replicas:
            self.saw.append((seen.now, replica.load))
        if not seen.observed.demands:
            rows = sum(len(one.rows) for one in world.trace.stages)
            assert seen.now <= self.delay_s + self.tick_s or world.tally.rows == rows
        return super().wanted(seen, world)


def test_policies_see_what_is_as_old_as_metrics_are() -> None:
    watcher = Watcher(SPEC)
    simulate(Trace(name="one", stages=(stage("a", 500),)), watcher, SPEC)
    loads = [(now, load) for now, load in watcher.saw if load is not None]
    assert loads
    assert all(now - load.at >= watcher.delay_s for now, load in loads)
    assert all(load.running <= MAX_NUM_SEQS for _, load in loads)
    assert all(load.in_flight <= CLIENT_SLOTS * MAX_NUM_SEQS / ROW_SLOTS for _, load in loads)


def test_the_oracle_loses_no_time_and_costs_no_more_than_a_fixed_fleet() -> None:
    trace = Trace(
        name="two", stages=(stage("a", 1500), stage("b", 700, at=900.0, after="a"))
    )  # fmt: skip
    best, fixed = oracle(trace, SPEC), simulate(trace, Fixed(SPEC), SPEC)
    assert best.makespan_s <= fixed.makespan_s
    assert trace.work_s < best.replica_s < fixed.replica_s
    ours = simulate(trace, Ours(SPEC), SPEC)
    assert best.makespan_s <= ours.makespan_s


def test_a_plan_starts_nothing_before_a_cold_start_and_ends_with_nothing_left() -> None:
    trace = Trace(name="one", stages=(stage("a", 2000), stage("b", 10, at=3000.0)))
    fixed = simulate(trace, Fixed(SPEC), SPEC)
    plan = schedule(trace, SPEC, fixed, margin=1.0)
    assert not any(plan.replicas[: int(COLD_START_S / 20)])
    assert plan.backlog[-1] == 0
    risen = sum(max(0, late - early) for early, late in pairwise([0, *plan.replicas]))
    assert risen == 1, "one replica has time enough for all of it"


def test_a_constant_load_does_not_flap() -> None:
    """Growing pays back three cold starts, so starts are that far apart at the least."""
    for load in (0.3, 1.1, 2.5, 3.3):
        stages = tuple(stage(f"s{i}", round(load * 80), at=60.0 * i) for i in range(120))
        ours = Ours(SPEC)
        done = simulate(Trace(name="constant", stages=stages), ours, SPEC)
        settled = [at for at, _, _ in ours.reasons if at > 1800]
        hours = (done.makespan_s - 1800) / 3600
        assert len(settled) <= 2 * hours * 3600 / (4 * COLD_START_S), ours.reasons
