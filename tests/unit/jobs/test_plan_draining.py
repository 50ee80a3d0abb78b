"""Do replicas leave without a request lost, and is none started that need not be?"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from jobs.plan.draining import SETTLE_S, Change, Drain, Recall, Remove, Start, changes
from jobs.plan.fleet import Demand, Load, Observed, Phase, Replica, Spec

SPEC = Spec(max_replicas=8, drain_deadline_s=300.0)


def replica(
    name: str, phase: Phase = Phase.READY, in_flight: int | None = 0, *, since: float = 0.0,
    at: float = 0.0,
) -> Replica:  # fmt: skip
    load = None
    if in_flight is not None:
        load = Load(at=at, running=in_flight, waiting=0, tokens=0.0)
    start_s = None if phase is Phase.STARTING else 100.0
    return Replica(name=name, phase=phase, since=since, load=load, start_s=start_s)


def plan(
    fleet: list[Replica], wanted: int, spec: Spec, now: float, *, reason: str = ""
) -> list[Change]:
    stage = Demand(stage="sample", rows_left=1)
    observed = Observed(replicas=tuple(fleet), demands=(stage,))
    return changes(observed, wanted, spec, now, reason=reason)


def names(found: list[Change], kind: type[Drain | Recall | Remove]) -> list[str]:
    return [one.name for one in found if isinstance(one, kind)]


def test_the_least_busy_replicas_drain_and_starting_ones_before_them() -> None:
    fleet = [replica("a", in_flight=5), replica("b", in_flight=2), replica("c", in_flight=None)]
    young = replica("d", Phase.STARTING, None, since=9.0)
    old = replica("e", Phase.STARTING, None, since=1.0)
    assert names(plan([*fleet, old, young], 4, SPEC, 10.0), Drain) == ["d"]
    assert names(plan([*fleet, old, young], 2, SPEC, 10.0), Drain) == ["d", "e", "b"]
    assert names(plan(fleet, 0, SPEC, 10.0), Drain) == ["b", "a", "c"]


def test_a_draining_replica_goes_when_it_has_nothing_left() -> None:
    busy = replica("a", Phase.DRAINING, 3, since=10.0, at=30.0)
    assert plan([busy], 0, SPEC, 31.0) == []
    empty = replica("a", Phase.DRAINING, 0, since=10.0, at=30.0)
    assert names(plan([empty], 0, SPEC, 31.0), Remove) == ["a"]


def test_an_old_load_does_not_prove_that_it_is_empty() -> None:
    before = replica("a", Phase.DRAINING, 0, since=10.0, at=10.0 + SETTLE_S / 2)
    assert plan([before], 0, SPEC, 31.0) == []


def test_without_a_stage_nobody_can_send_and_the_first_load_after_the_mark_will_do() -> None:
    before = replica("a", Phase.DRAINING, 0, since=10.0, at=9.0)
    assert changes(Observed(replicas=(before,), demands=()), 0, SPEC, 12.0) == []
    after = replica("a", Phase.DRAINING, 0, since=10.0, at=10.0)
    nobody = Observed(replicas=(after,), demands=())
    assert names(changes(nobody, 0, SPEC, 12.0), Remove) == ["a"]
    assert changes(replace(nobody, demands=None), 0, SPEC, 12.0) == []
    busy = replace(nobody, replicas=(replica("a", Phase.DRAINING, 2, since=10.0, at=10.0),))
    assert changes(busy, 0, SPEC, 12.0) == []


def test_a_draining_replica_goes_at_its_deadline_whatever_it_has() -> None:
    for in_flight in (3, None):
        late = replica("a", Phase.DRAINING, in_flight, since=10.0, at=309.0)
        assert plan([late], 0, SPEC, 309.0) == []
        assert names(plan([late], 0, SPEC, 310.0), Remove) == ["a"]


def test_one_that_was_never_ready_need_not_drain() -> None:
    never = replace(replica("a", Phase.DRAINING, None, since=10.0), start_s=None)
    assert names(plan([never], 0, SPEC, 10.0), Remove) == ["a"]


def test_what_drains_is_called_back_before_anything_is_started() -> None:
    fleet = [
        replica("a"),
        replica("b", Phase.DRAINING, 1, at=99.0),
        replica("c", Phase.DRAINING, 7, at=99.0),
        replica("d", Phase.DRAINING, 0, at=99.0),
    ]
    found = plan(fleet, 2, SPEC, 100.0, reason="work came")
    assert names(found, Recall) == ["c"], "the one whose cache is warmest"
    assert names(found, Remove) == ["d"]
    assert not [one for one in found if isinstance(one, Start)]
    found = plan(fleet, 6, SPEC, 100.0)
    assert names(found, Recall) == ["c", "b", "d"]
    assert [one.count for one in found if isinstance(one, Start)] == [2]


replicas = st.lists(
    st.builds(
        replica,
        name=st.sampled_from("abcdefghij"),
        phase=st.sampled_from(Phase),
        in_flight=st.none() | st.integers(0, 100),
        since=st.floats(0, 1000),
        at=st.floats(0, 1000),
    ),
    max_size=10,
    unique_by=lambda one: one.name,
)


@given(replicas, st.integers(0, 8), st.floats(0, 2000))
def test_the_fleet_gets_the_number_it_needs_and_only_drained_ones_go(
    fleet: list[Replica], wanted: int, now: float
) -> None:
    found = plan(fleet, wanted, SPEC, now)
    by_name = {one.name: one for one in fleet}
    draining = {one.name for one in fleet if one.phase is Phase.DRAINING}
    started = sum(one.count for one in found if isinstance(one, Start))
    recalled, drained = set(names(found, Recall)), set(names(found, Drain))
    removed = set(names(found, Remove))
    assert len(fleet) - len(draining) + len(recalled) - len(drained) + started == wanted
    assert removed <= draining - recalled, "nothing goes that was not draining"
    assert not (started and draining - recalled)
    assert not (drained and (started or recalled))
    for name in removed:
        one = by_name[name]
        is_late = now - one.since >= SPEC.drain_deadline_s
        is_empty = one.load is not None and one.load.in_flight == 0
        assert is_late or is_empty or one.start_s is None
    assert found == plan(fleet, wanted, SPEC, now)


@given(replicas, st.integers(0, 8), st.floats(0, 2000))
def test_what_was_carried_out_is_not_asked_for_again(
    fleet: list[Replica], wanted: int, now: float
) -> None:
    after = {one.name: one for one in fleet}
    for change in plan(fleet, wanted, SPEC, now):
        match change:
            case Start(count=count):
                after |= {
                    f"new-{i}": replica(f"new-{i}", Phase.STARTING, None, since=now)
                    for i in range(count)
                }
            case Drain(name=name):
                after[name] = replace(after[name], phase=Phase.DRAINING, since=now)
            case Recall(name=name):
                after[name] = replace(after[name], phase=Phase.READY, since=now)
            case Remove(name=name):
                del after[name]
    again = plan(list(after.values()), wanted, SPEC, now)
    assert all(isinstance(one, Remove) for one in again), "what was marked may go by now"
