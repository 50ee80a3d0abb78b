"""Is every observation answered with the right action and a reason a person can act upon?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from jobs.plan.decide import (
    Action,
    Fail,
    Prepare,
    Reuse,
    Seal,
    Skip,
    StageState,
    Stop,
    Submit,
    Wait,
    decide,
)
from jobs.plan.retry import Cause, RetryPolicy

TWO_RETRIES = RetryPolicy(failed=2, preempted=10)
USED_UP = {Cause.FAILED: 3}


def stage(name: str = "sft", **known: Any) -> StageState:
    return StageState(name=name, address=f"{name}-0", policy=TWO_RETRIES, **known)


def verdict(**known: Any) -> Action:
    (action,) = decide([stage(**known)], draining=False)
    return action


TABLE: list[tuple[dict[str, Any], type, str]] = [
    ({"sealed": True}, Reuse, "sealed as sft-0"),
    ({}, Prepare, "all inputs are sealed"),
    ({"num_shards": 3}, Submit, "3 of 3 shards to run"),
    ({"num_shards": 3, "running": True}, Wait, "running: 0 of 3 shards committed"),
    ({"num_shards": 3, "done": {0, 1, 2}}, Seal, "all 3 shards committed"),
    # late twins of committed shards hold nothing up
    ({"num_shards": 1, "done": {0}, "running": {0}}, Seal, "all 1 shard committed"),
    (
        {"num_shards": 3, "done": {1}, "failures": {2: {Cause.FAILED: 1}}},
        Submit,
        "2 of 3 shards to run, 1 of them again (shard 2: failed once)",
    ),
    # what happened to a shard before it was committed is history
    ({"num_shards": 2, "done": {0, 1}, "failures": {0: USED_UP}}, Seal, "all 2"),
    # a bad configuration stops the stage at once, whatever else runs
    (
        {"num_shards": 9, "done": {1, 2}, "failures": {0: {Cause.BAD_CONFIG: 1}}},
        Fail,
        "shard 0: the worker refused the configuration (exit code 64): read `jobs logs sft`",
    ),
    # a poisoned shard lets the rest finish first
    (
        {"num_shards": 3, "failures": {0: {Cause.POISONED: 1}}},
        Submit,
        "1 shard given up, so the stage will fail once the rest is finished (shard 0: its rows",
    ),
    (
        {"num_shards": 3, "done": {1, 2}, "failures": {0: {Cause.POISONED: 1}}},
        Fail,
        "1 of 3 shards given up, 2 committed; shard 0: its rows fail every time (exit code 65)",
    ),
    (
        {"num_shards": 3, "done": {1}, "failures": {0: USED_UP}, "running": {2}},
        Wait,
        "running: 1 of 3 shards committed; 1 shard given up",
    ),
    # a shard that is being tried once more is not given up yet
    ({"num_shards": 1, "failures": {0: USED_UP}, "running": {0}}, Wait, "running"),
    # three shards used up and none ever succeeded: the code is broken, do not burn the rest
    (
        {"num_shards": 100, "failures": {0: USED_UP, 1: USED_UP, 2: USED_UP}},
        Fail,
        "3 shards used up their retries and none ever succeeded; shard 0: failed 3 times",
    ),
    (
        {"num_shards": 100, "done": {9}, "failures": {0: USED_UP, 1: USED_UP, 2: USED_UP}},
        Submit,
        "96 of 100 shards to run; 3 shards given up",
    ),
    # error rows
    (
        {"num_shards": 1, "done": {0}, "num_rows": 100, "error_rows": 1},
        Fail,
        "1 of 100 rows are error rows, more than the error budget of 0 allows",
    ),
    (
        {"num_shards": 1, "done": {0}, "num_rows": 100, "error_rows": 29, "error_budget": 0.29},
        Seal,  # 0.29 * 100 is 28.999…
        "",
    ),
    (
        {"num_shards": 9, "done": {0}, "num_rows": 100, "error_rows": 30, "error_budget": 0.29},
        Fail,  # no later row can make up for it
        "`jobs retry --rows`",
    ),
    ({"num_shards": 2, "done": {0, 5}, "running": {1}}, Wait, ""),  # a foreign shard is no shard
    ({"cancelled": True, "num_shards": 3}, Skip, "cancelled by a person"),
    ({"cancelled": True, "sealed": True}, Reuse, ""),
]


@pytest.mark.parametrize(("known", "expected", "part"), TABLE)
def test_one_stage(known: dict[str, Any], expected: type, part: str) -> None:
    action = verdict(**known)
    assert isinstance(action, expected), action
    assert part in action.reason
    assert action.stage == "sft"


def test_missing_shards_are_those_that_are_not_done_running_or_given_up() -> None:
    action = verdict(
        num_shards=6, done={1}, running={2}, failures={3: USED_UP, 4: {Cause.FAILED: 1}}
    )
    assert isinstance(action, Submit)
    assert action.shards == (0, 4, 5)
    assert action.failures == {4: {Cause.FAILED: 1}}


def test_a_fresh_stage_submits_a_range() -> None:
    action = verdict(num_shards=100_000)
    assert isinstance(action, Submit)
    assert action.shards == range(100_000)


@pytest.mark.parametrize(
    "known",
    [
        {"failures": {0: {Cause.BAD_CONFIG: 1}}},
        {"cancelled": True},
    ],
)
def test_live_work_of_a_lost_cause_is_stopped(known: dict[str, Any]) -> None:
    stop, last = decide([stage(num_shards=5, running=True, **known)], draining=False)
    assert isinstance(stop, Stop)
    assert isinstance(last, Fail | Skip)
    assert stop.reason == last.reason


def chain() -> list[StageState]:
    bad = {0: {Cause.BAD_CONFIG: 1}}
    return [
        stage("a", num_shards=1, failures=bad),
        stage("b", needs=("a",)),
        stage("c", needs=("b",), num_shards=2, running=True),
        stage("d"),
        stage("e", needs=("d", "c")),
        stage("f", needs=("d",)),
    ]


def test_failure_reaches_everything_downstream_and_nothing_else() -> None:
    actions = decide(chain(), draining=False)
    assert [(type(one), one.stage) for one in actions] == [
        (Fail, "a"),
        (Skip, "b"),
        (Stop, "c"),  # an observation of older work: it must not go on
        (Skip, "c"),
        (Prepare, "d"),
        (Skip, "e"),
        (Wait, "f"),
    ]
    skipped = [one for one in actions if isinstance(one, Skip)]
    assert {one.root for one in skipped} == {"a"}
    assert skipped[-1].reason == "a did not succeed (through c)"


def test_what_is_sealed_stays_usable_below_a_failure() -> None:
    a, b, *_ = chain()
    actions = decide([a, replace(b, sealed=True), stage("x", needs=("b",))], draining=False)
    assert [type(one) for one in actions] == [Fail, Reuse, Prepare]


def test_waiting_names_what_is_waited_for() -> None:
    many = [stage(f"s{i}") for i in range(7)]
    last = stage("last", needs=tuple(one.name for one in many))
    reason = decide([*many, last], draining=False)[-1].reason
    assert reason == "waits for s0, s1, s2, s3, s4 and 2 more"


def test_draining_starts_nothing_yet_seals_what_is_complete() -> None:
    states = [
        stage("a"),
        stage("b", num_shards=3, done={0}),
        stage("c", num_shards=1, done={0}),
        stage("d", num_shards=2, running={1}),
    ]
    actions = decide(states, draining=True)
    assert [type(one) for one in actions] == [Wait, Wait, Seal, Wait]
    assert actions[1].reason == "draining: 2 shards left for the next run"


def test_a_stage_before_its_input_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="'b' comes before 'a'"):
        decide([stage("b", needs=("a",)), stage("a")], draining=False)


class CountingSet(set[int]):
    """Counts how often it is asked."""

    asked = 0

    def __contains__(self, shard: object) -> bool:
        self.asked += 1
        return super().__contains__(shard)

    def __iter__(self) -> Iterator[int]:
        self.asked += len(self)
        return super().__iter__()


@pytest.mark.parametrize("running", [True, "set"])
@pytest.mark.parametrize("part_done", [0.0, 0.5, 1.0])
def test_work_grows_linearly_with_shards(running: object, part_done: float) -> None:
    def asked(num_shards: int) -> int:
        done = CountingSet(range(int(num_shards * part_done)))
        failures = {shard: {Cause.FAILED: 1} for shard in range(0, num_shards, 100)}
        live: Any = CountingSet(range(0, num_shards, 7)) if running == "set" else True
        state = stage(num_shards=num_shards, done=done, running=live, failures=failures)
        decide([state], draining=False)
        return done.asked + (live.asked if isinstance(live, CountingSet) else 0)

    small, large = asked(2_000), asked(20_000)
    assert large <= 10 * small + 10
    assert large <= 3 * 20_000, "a few looks per shard at most"
