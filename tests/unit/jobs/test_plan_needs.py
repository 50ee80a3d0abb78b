"""Is every fleet asked for exactly the work of the stages that call it?"""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from jobs.plan.needs import Caller, FleetWord, Need, Turn, needs, verdict

NOW = Caller(
    stage="sample",
    fleets=frozenset({"judge"}),
    turn=Turn.NOW,
    rows=100,
    num_shards=4,
    done=1,
    at_work=2,
)
LATER = Caller(stage="search", fleets=frozenset({"judge", "policy"}), turn=Turn.LATER)
OVER = Caller(stage="seed", fleets=frozenset({"teacher"}), turn=Turn.OVER)


def test_a_stage_at_work_asks_for_the_rows_that_are_left() -> None:
    (demand,) = needs([NOW], draining=False)["judge"].demands
    assert (demand.rows_left, demand.rows_done, demand.rows_in_hand) == (75, 25, 50)
    assert demand.workers == 2


def test_a_later_stage_makes_its_fleets_due() -> None:
    found = needs([NOW, LATER], draining=False)
    assert found["judge"].demands
    assert found["judge"].due_in_s == math.inf
    assert found["policy"].demands == ()
    assert found["policy"].due_in_s == math.inf


def test_fleets_of_one_running_stage_are_needed_together() -> None:
    search = Caller(
        stage="search", fleets=frozenset({"judge", "policy"}), turn=Turn.NOW, rows=8, num_shards=1
    )
    assert not needs([NOW, LATER], draining=False)["judge"].together
    found = needs([NOW, search], draining=False)
    assert found["judge"].together
    assert found["policy"].together


def test_nobody_needs_the_fleet_of_a_stage_that_is_over() -> None:
    assert needs([OVER], draining=False)["teacher"] == Need()


def test_a_campaign_that_drains_needs_fleets_for_what_is_at_work_alone() -> None:
    found = needs([NOW, LATER], draining=True)
    assert found["judge"].demands[0].rows_left == 50
    assert found["judge"].due_in_s is None
    idle = Caller(stage="x", fleets=frozenset({"judge"}), turn=Turn.NOW, rows=9, num_shards=1)
    assert needs([idle], draining=True)["judge"].demands == ()


def test_a_stage_waits_for_each_of_its_fleets_and_fails_with_any() -> None:
    words = {
        "judge": FleetWord(ready=0, state="fleet judge: 1 starting"),
        "policy": FleetWord(ready=2, state="fleet policy: fine"),
        "teacher": FleetWord(ready=0, state="none", problem="fleet teacher cannot start"),
    }
    assert verdict(["judge", "policy"], words).held == "fleet judge: 1 starting"
    assert verdict(["policy"], words).held == ""
    assert verdict(["teacher", "policy"], words).blocked == "fleet teacher cannot start"
    assert verdict(["external"], words).held == ""


@given(
    rows=st.integers(0, 10_000),
    shards=st.integers(1, 50),
    data=st.data(),
)
def test_rows_done_and_left_add_up(rows: int, shards: int, data: st.DataObject) -> None:
    done = data.draw(st.integers(0, shards))
    at_work = data.draw(st.integers(0, shards - done))
    caller = Caller(
        stage="s",
        fleets=frozenset({"f"}),
        turn=Turn.NOW,
        rows=rows,
        num_shards=shards,
        done=done,
        at_work=at_work,
    )
    (demand,) = needs([caller], draining=False)["f"].demands
    assert abs(demand.rows_done + demand.rows_left - rows) <= 1
    assert 0 <= demand.rows_in_hand <= demand.rows_left + 1
