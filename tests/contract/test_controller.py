"""Does the controller bring a campaign to its end, however its stages behave?

Real stages on a fake backend and a store in memory: no processes, no sleeps.
"""

from __future__ import annotations

import pytest

from jobs.runtime.retrying import request_cancel, retry_errors, retry_failures
from tests.contract.controlled import ALL_REUSED, ALL_SEALED, CHAIN, MakeWorld, World


def test_a_campaign_runs_to_its_end(world: World) -> None:
    outcome = world.run()
    assert outcome.succeeded
    assert outcome.stages == ALL_SEALED
    assert world.rows("twice") == [2 * row for row in range(12)]
    assert world.rows("total") == [132]
    assert world.rows("aside") == [67]
    assert world.seal("numbers").facts == {"rows": 12}


def test_running_a_finished_campaign_again_does_nothing(world: World) -> None:
    world.run()
    backend = world.backend()
    outcome = world.controller(backend).run()
    assert outcome.succeeded
    assert outcome.stages == ALL_REUSED
    assert backend.num_attempts == 0


def test_changing_one_param_runs_exactly_the_stages_below_it(world: World) -> None:
    world.run()
    world.open(CHAIN.replace("scale: 2", "scale: 3"))
    outcome = world.run()
    assert outcome.stages == {**ALL_REUSED, "twice": "sealed", "total": "sealed"}
    assert world.rows("total") == [198]


def test_what_does_not_belong_to_the_address_changes_nothing(world: World) -> None:
    world.run()
    world.open(CHAIN.replace("shards: 3}", "shards: 3, timeout: 5h, retries: {failed: 9}}"))
    assert world.run().stages == ALL_REUSED


@pytest.mark.parametrize(
    ("codes", "ends"),
    [
        ([1, 1, 1], "sealed"),  # three retries are allowed
        ([1, 1, 1, 1], "failed"),  # and not a fourth
        ([75] * 20 + [1, 1, 1], "sealed"),  # to be preempted costs no retry
        ([-9] * 4, "sealed"),  # to be lost draws on the other budget
        ([75] * 51, "failed"),  # which ends too
        ([-11, -11, -11, -11], "failed"),  # crashing is failing
    ],
)
def test_every_cause_has_its_budget(world: World, codes: list[int], ends: str) -> None:
    outcome = world.run({("twice", 1): codes})
    assert outcome.stages["twice"] == ends
    assert len(world.told("attempt_failed")) == len(codes)


def test_a_poisoned_shard_is_not_tried_again_and_the_others_finish(world: World) -> None:
    outcome = world.run({("twice", 0): [65]})
    assert outcome.stages["twice"] == "failed"
    assert "1 of 3 shards given up, 2 committed" in outcome.reasons["twice"]
    assert len(world.told("attempt_failed")) == 1


def test_a_bad_configuration_stops_the_stage_at_once(world: World) -> None:
    backend = world.backend({("twice", 0): [64]})
    outcome = world.controller(backend).run()
    assert outcome.stages["twice"] == "failed"
    assert "refused the configuration" in outcome.reasons["twice"]
    assert backend.num_attempts == 4 + 1 + 1  # numbers, one shard of twice, aside


def test_what_is_below_a_failure_is_skipped_and_what_is_beside_it_goes_on(world: World) -> None:
    outcome = world.run({("twice", 0): [65]})
    assert outcome.stages["total"] == "skipped"
    assert "twice did not succeed" in outcome.reasons["total"]
    assert outcome.stages["aside"] == "sealed"
    assert not outcome.succeeded


def test_a_failed_stage_goes_on_after_a_retry(world: World) -> None:
    world.run({("twice", 0): [65], ("twice", 1): [1]})
    assert world.run().stages["twice"] == "failed"  # the store remembers
    assert retry_failures(world.session, world.session.matching("twice")) == 2
    backend = world.backend()
    assert world.controller(backend).run().succeeded
    assert backend.num_attempts == 2  # the missing shard, and total


BAD_ROWS = CHAIN.replace("scale: 2}", "scale: 2, bad_rows: [4, 5]}")


@pytest.mark.parametrize(
    ("budget", "ends"),
    [
        ("0", "failed"),  # by default no row may fail
        ("0.1", "failed"),  # two of twelve are more than a tenth
        ("0.2", "sealed"),  # and less than a fifth
    ],
)
def test_rows_that_cannot_be_judged_count_against_the_error_budget(
    make_world: MakeWorld, budget: str, ends: str
) -> None:
    body = BAD_ROWS.replace("shards: 3}", f"shards: 3, errorBudget: {budget}}}")
    world = make_world(body)
    outcome = world.run()
    assert outcome.stages["twice"] == ends
    if ends == "failed":
        assert "2 of 12 rows are error rows" in outcome.reasons["twice"]
    else:
        assert world.seal("twice").num_errors == 2
        assert world.rows("twice") == [2 * row for row in range(12) if row not in {4, 5}]


def test_rows_that_failed_are_redone_on_request_with_all_that_read_them(
    make_world: MakeWorld,
) -> None:
    world = make_world(BAD_ROWS.replace("shards: 3}", "shards: 3, errorBudget: 0.5}"))
    world.run()
    told = retry_errors(world.session, world.session.matching("twice"))
    assert told == [
        "twice: 1 shards with error rows",
        "total: made again, since it read what changes",
    ]
    backend = world.backend()
    outcome = world.controller(backend).run()
    assert outcome.stages == {**ALL_REUSED, "twice": "sealed", "total": "sealed"}
    assert backend.num_attempts == 2


def test_a_cancel_request_stops_at_the_next_look(world: World) -> None:
    request_cancel(world.session)
    backend = world.backend()
    outcome = world.controller(backend).run()
    assert outcome.drained
    assert not outcome.succeeded
    assert backend.num_attempts == 0


def test_a_controller_replaced_after_every_tick_does_the_same(
    world: World, make_world: MakeWorld
) -> None:
    script = {("numbers", 1): [1, -9], ("twice", 0): [75, 1], ("total", 0): [1]}
    patient = make_world(CHAIN)
    patient.run(script)
    backend = world.backend(script)
    for _ in range(200):
        snapshot = world.controller(backend).tick()
        if all(state.sealed for state in snapshot.states):
            break
        backend.wait(0.01)
    assert world.digests() == patient.digests()
    assert backend.num_attempts == 4 + 3 + 1 + 1 + 5


def test_backend_and_controller_replaced_after_every_tick_do_the_same(
    world: World, make_world: MakeWorld
) -> None:
    patient = make_world(CHAIN)
    patient.run()
    for _ in range(200):
        backend = world.backend()
        snapshot = world.controller(backend).tick()
        if all(state.sealed for state in snapshot.states):
            break
        backend.wait(0.01)
    assert world.digests() == patient.digests()
