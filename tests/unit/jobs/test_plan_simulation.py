"""Does any campaign come to an end, whatever fails and however often the controller is killed?

A small world runs what `decide` asks for.  Attempts end in every possible way, the controller
dies between any two actions, drains and comes back; after every look the rules are checked.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

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

POLICY = RetryPolicy(failed=2, preempted=4, backoff_s=0.0)
ENDS = [None] * 12 + [Cause.FAILED] * 4 + [Cause.PREEMPTED, Cause.LOST, Cause.TIMED_OUT]
RARE_ENDS = [Cause.POISONED, Cause.BAD_CONFIG]


@dataclass
class Stage:
    """What is true of one stage, whether or not a controller looks."""

    needs: tuple[str, ...]
    num_shards: int
    prepared: bool = False
    sealed: bool = False
    cancelled: bool = False
    done: set[int] = field(default_factory=set)
    live: set[int] = field(default_factory=set)
    failures: dict[int, Counter[Cause]] = field(default_factory=dict)
    error_rows: int = 0


class World:
    """The store and the backend."""

    def __init__(self, rng: random.Random, *, harsh: bool, sees_sets: bool) -> None:
        self.rng = rng
        self.sees_sets = sees_sets
        self.ends = ENDS + (RARE_ENDS if harsh else [])
        self.stages: dict[str, Stage] = {}
        for i in range(rng.randint(1, 6)):
            before = list(self.stages)
            needs = rng.sample(before, k=rng.randint(0, min(2, len(before))))
            self.stages[f"s{i}"] = Stage(needs=tuple(needs), num_shards=rng.randint(1, 5))

    def observe(self) -> list[StageState]:
        return [
            StageState(
                name=name,
                address=name,
                needs=stage.needs,
                sealed=stage.sealed,
                num_shards=stage.num_shards if stage.prepared else None,
                done=frozenset(stage.done),
                failures={shard: dict(seen) for shard, seen in stage.failures.items()},
                num_rows=stage.num_shards * 10,
                error_rows=stage.error_rows,
                error_budget=0.2,
                running=frozenset(stage.live) if self.sees_sets else bool(stage.live),
                policy=POLICY,
                cancelled=stage.cancelled,
            )
            for name, stage in self.stages.items()
        ]

    def act(self, action: Action) -> None:
        stage = self.stages[action.stage]
        match action:
            case Prepare():
                stage.prepared = True
            case Submit():
                stage.live |= set(action.shards)
            case Seal():
                stage.sealed = True
            case Stop():
                stage.live.clear()
            case Reuse() | Wait() | Fail() | Skip():
                pass

    def pass_time(self) -> None:
        """Some attempts end; now and then a person cancels a stage or a backend forgets one."""
        for stage in self.stages.values():
            for shard in sorted(stage.live):
                if self.rng.random() < 0.6:
                    self._end(stage, shard)
            if self.rng.random() < 0.002:
                stage.cancelled = True
            if self.rng.random() < 0.01:
                stage.live.clear()

    def _end(self, stage: Stage, shard: int) -> None:
        stage.live.discard(shard)
        cause = self.rng.choice(self.ends)
        if cause is not None:
            stage.failures.setdefault(shard, Counter())[cause] += 1
        elif shard not in stage.done:
            stage.done.add(shard)
            stage.error_rows += self.rng.choice([0, 0, 0, 0, 1, 4])


def check(states: list[StageState], actions: list[Action], *, draining: bool) -> None:
    by_name = {state.name: state for state in states}
    verdicts = [action for action in actions if not isinstance(action, Stop)]
    assert [action.stage for action in verdicts] == list(by_name), "one verdict per stage"
    assert all(action.reason for action in actions)
    for action in actions:
        state = by_name[action.stage]
        if isinstance(action, Submit | Prepare | Seal):
            assert all(by_name[need].sealed for need in state.needs), "inputs come first"
            assert not state.sealed
            assert not state.cancelled
        if isinstance(action, Submit):
            check_submit(state, action)
        if isinstance(action, Submit | Prepare):
            assert not draining
        if isinstance(action, Seal):
            assert state.num_shards is not None
            assert set(range(state.num_shards)) <= state.done
    check_broken(by_name, verdicts, actions)
    if not draining and not any(isinstance(one, Submit | Prepare | Seal) for one in actions):
        check_quiet(by_name, verdicts)


def check_submit(state: StageState, action: Submit) -> None:
    assert action.shards
    assert state.num_shards is not None
    assert list(action.shards) == sorted(set(action.shards))
    assert set(action.shards) <= set(range(state.num_shards))
    assert not set(action.shards) & state.done, "what is done is never done again"
    assert state.running is not True
    if not isinstance(state.running, bool):
        assert not set(action.shards) & state.running, "what runs is not started again"
    assert action.failures.keys() <= set(action.shards)


def check_broken(
    by_name: dict[str, StageState], verdicts: list[Action], actions: list[Action]
) -> None:
    broken = {one.stage for one in verdicts if isinstance(one, Fail | Skip)}
    stopped = [one.stage for one in actions if isinstance(one, Stop)]
    assert stopped == [name for name in by_name if name in broken and by_name[name].running]
    for one in verdicts:
        if isinstance(one, Skip):
            assert by_name[one.root].cancelled or one.root in broken
            assert by_name[one.stage].cancelled or set(by_name[one.stage].needs) & broken
        elif not isinstance(one, Reuse | Fail):
            assert not set(by_name[one.stage].needs) & broken, "nothing waits for a failure"


def check_quiet(by_name: dict[str, StageState], verdicts: list[Action]) -> None:
    """Nothing to start: then something runs, or everything has come to its end."""
    if not any(state.running for state in by_name.values()):
        assert all(isinstance(one, Reuse | Fail | Skip) for one in verdicts)


def ticks(world: World, rng: random.Random) -> Iterator[list[Action]]:
    draining = False
    while True:
        draining = rng.random() < (0.5 if draining else 0.05)
        states = world.observe()
        actions = decide(states, draining=draining)
        assert actions == decide(world.observe(), draining=draining), "a restart decides the same"
        check(states, actions, draining=draining)
        yield actions
        killed_after = rng.randint(0, len(actions)) if rng.random() < 0.2 else len(actions)
        for action in actions[:killed_after]:
            world.act(action)
        world.pass_time()


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.booleans(), st.booleans())
def test_every_campaign_ends_and_breaks_no_rule_on_the_way(
    seed: int, harsh: bool, sees_sets: bool
) -> None:
    rng = random.Random(seed)
    world = World(rng, harsh=harsh, sees_sets=sees_sets)
    ended: dict[str, type] = {}
    for i, actions in enumerate(ticks(world, rng)):
        assert i < 2000, "the campaign does not come to an end"
        for action in actions:
            if isinstance(action, Reuse | Fail | Skip):
                before = ended.setdefault(action.stage, type(action))
                # A person may cancel what has failed; apart from that the end is the end.
                assert before is type(action) or world.stages[action.stage].cancelled
        if len(ended) == len(world.stages) and not any(s.live for s in world.stages.values()):
            break
    for name, stage in world.stages.items():
        assert stage.sealed == (ended[name] is Reuse)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32))
def test_without_lasting_failures_everything_is_sealed(seed: int) -> None:
    rng = random.Random(seed)
    world = World(rng, harsh=False, sees_sets=True)
    world.ends = [None]
    world.rng = random.Random(1)
    for i, _ in enumerate(ticks(world, rng)):
        for stage in world.stages.values():
            stage.cancelled = False
            stage.error_rows = 0
        if all(stage.sealed for stage in world.stages.values()):
            return
        assert i < 2000
