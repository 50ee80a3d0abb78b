"""Does a keeper start, watch, replace and remove replicas as the planner says, and tell of it?"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from jobs.backends.fake_replicas import FailedStart, FakeReplicas
from jobs.backends.slots import Machine, Slots
from jobs.fleet.keeper import FAILED_STARTS, Keeper, Kept
from jobs.fleet.probing import Seen, ServerMetrics
from jobs.fleet.vllm_command import ModelSource, Serving
from jobs.plan.fleet import Demand, Spec
from jobs.plan.needs import Need
from jobs.plan.pulse import Rules

WORK = (Demand(stage="sample", rows_left=1000, workers=1),)
IDLE = ServerMetrics(running=0, waiting=0, kv_use=0.0, generation_tokens=0, prompt_tokens=0)


class World:
    """One fleet, whose time and servers a test moves."""

    def __init__(
        self, folder: Path, *, host: FakeReplicas | None = None, spec: Spec | None = None
    ) -> None:
        self.host = host or FakeReplicas()
        self.now = 1000.0
        self.events: list[dict[str, Any]] = []
        self.said: dict[str, Seen] = {}
        self.kept = Kept(
            name="judge",
            fleet="judge",
            role="judge",
            model="sft-1",
            serving=Serving(
                source=ModelSource(model="m"),
                name="judge",
                engine={},
                cpus=1,
                gpus=0,
                memory_bytes=2**30,
            ),
            python=sys.executable,
            spec=spec or Spec(max_replicas=3, hold_down_s=10.0, cold_start_s=10.0),
            rules=Rules(start_deadline_s=100.0, hang_s=30.0, settled_s=20.0),
            folder=folder / "judge",
        )
        self.keeper = self.new_keeper()

    def new_keeper(self) -> Keeper:
        return Keeper(self.kept, host=self.host, seen=self.said.get, tell=self.tell)

    def tell(self, event: str, **fields: Any) -> None:
        self.events.append({"event": event, **fields})

    def look(
        self,
        demands: tuple[Demand, ...] | None = WORK,
        *,
        after_s: float = 1.0,
        due_in_s: float | None = None,
        together: bool = False,
    ) -> None:
        self.now += after_s
        need = Need(demands=demands, due_in_s=due_in_s, together=together)
        self.keeper.look(self.host.observe(), need, self.now)

    def live(self) -> list[str]:
        return [name for name, one in self.host.observe().items() if not one.ended]

    def answer(self, *names: str, **metrics: float) -> None:
        """These answer now; without names all that live."""
        for name in names or self.live():
            said = replace(IDLE, **metrics)  # type: ignore[arg-type]
            self.said[name] = Seen(at=self.now, metrics=said)

    def endpoints(self) -> dict[str, str]:
        body = json.loads(self.kept.endpoints.read_bytes())
        return {row["name"]: row["state"] for row in body["replicas"]}

    def count(self, event: str) -> int:
        return Counter(one["event"] for one in self.events)[event]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_replicas_start_when_they_are_needed_and_are_known_once_they_are_ready(
    world: World,
) -> None:
    assert world.endpoints() == {}
    world.look()
    assert len(world.live()) == 3
    assert world.endpoints() == {}
    assert world.keeper.num_ready == 0
    assert "none ready" in world.keeper.state
    first = world.live()[0]
    world.answer(first)
    world.look()
    assert world.endpoints() == {first: "ready"}
    assert world.keeper.num_ready == 1


def test_nobody_starts_for_nobody(world: World) -> None:
    world.look(())
    assert world.live() == []
    assert world.keeper.told().wanted == 0


def test_a_fleet_goes_to_zero_when_no_stage_needs_it(world: World) -> None:
    world.look()
    world.answer()
    world.look()
    world.look(())
    assert set(world.endpoints().values()) == {"draining"}
    world.answer()
    world.look((), after_s=2.0)
    assert world.live() == []
    assert world.endpoints() == {}
    assert world.keeper.told().wanted == 0


def test_the_least_of_replicas_stays_for_a_later_stage_and_goes_with_the_last_one(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, spec=Spec(min_replicas=1, max_replicas=1, idle_timeout_s=5.0))
    world.look()
    world.answer()
    world.look()
    for _ in range(5):
        world.answer()
        world.look((), after_s=10.0, due_in_s=math.inf)
    assert len(world.live()) == 1
    for _ in range(2):
        world.answer()
        world.look((), after_s=2.0)
    assert world.live() == []


def test_a_replica_that_still_works_is_not_removed_before_its_time(tmp_path: Path) -> None:
    spec = Spec(max_replicas=1, drain_deadline_s=50.0, cold_start_s=10.0)
    world = World(tmp_path, spec=spec)
    world.look()
    world.answer()
    world.look()
    for tokens in range(1, 20):
        world.answer(running=1, generation_tokens=tokens)
        world.look((), after_s=2.0)
        assert len(world.live()) == 1
    world.answer(running=1, generation_tokens=99)
    world.look((), after_s=20.0)
    assert world.live() == []


def test_a_replica_that_dies_is_told_of_and_replaced(world: World) -> None:
    world.look()
    world.answer()
    world.look(after_s=30.0)  # long enough to have settled
    world.answer()
    victim = world.live()[0]
    world.host.end(victim, -9)
    world.look()
    assert victim not in world.endpoints()
    assert world.keeper.told().lost == 1
    world.answer()
    world.look()
    assert len(world.live()) == 3
    lost = next(one for one in world.events if one["event"] == "replica_lost")
    assert "exit code -9" in lost["reason"]


def test_a_replica_that_hangs_is_ended_and_replaced(tmp_path: Path) -> None:
    world = World(tmp_path, spec=Spec(min_replicas=3, max_replicas=3))
    world.look()
    world.answer(running=2, generation_tokens=5)
    world.look(after_s=2.0)
    hung, *fine = world.live()
    for number in range(20):
        world.answer(hung, running=2, generation_tokens=5)
        world.answer(*fine, running=2, generation_tokens=6 + number)
        world.look(after_s=2.0)
    assert hung not in world.endpoints()
    assert hung not in world.live()
    assert set(fine) <= set(world.live())
    assert len(world.live()) == 3


def test_a_replica_that_answers_nothing_any_more_is_replaced(tmp_path: Path) -> None:
    world = World(tmp_path, spec=Spec(min_replicas=3, max_replicas=3))
    world.look()
    world.answer()
    world.look()
    silent, *fine = world.live()
    for _ in range(20):
        world.answer(*fine)
        world.look(after_s=2.0)
    assert silent not in world.live()
    assert len(world.live()) == 3


def test_a_fleet_that_cannot_start_says_why_in_the_servers_own_words(tmp_path: Path) -> None:
    failed = FailedStart(last_lines=("Traceback", "ValueError: no such model"))
    host = FakeReplicas(fails={"judge": [failed] * 10})
    world = World(tmp_path, host=host, spec=Spec(max_replicas=1))
    for _ in range(40):
        world.look(after_s=2.0)
    assert "ValueError: no such model" in world.keeper.problem
    assert len(host.works) == FAILED_STARTS  # and then it is left alone
    assert world.keeper.told().failed_starts == FAILED_STARTS


def test_a_replica_that_is_not_ready_in_time_has_failed(tmp_path: Path) -> None:
    world = World(tmp_path, spec=Spec(max_replicas=1))
    for _ in range(60):
        world.look(after_s=10.0)
    assert "not ready after" in world.keeper.problem
    assert world.live() == []


def test_a_start_that_fails_once_is_tried_again(tmp_path: Path) -> None:
    host = FakeReplicas(fails={"judge": [FailedStart()]})
    world = World(tmp_path, host=host, spec=Spec(max_replicas=1))
    for _ in range(5):
        world.look(after_s=2.0)
    world.answer()
    world.look()
    assert world.keeper.num_ready == 1
    assert world.keeper.problem == ""


def test_what_can_never_fit_is_no_reason_to_wait(tmp_path: Path) -> None:
    world = World(tmp_path, host=FakeReplicas(Slots(Machine(cpus=1))))
    serving = replace(world.kept.serving, gpus=1)
    world.kept = replace(world.kept, serving=serving)
    world.keeper = world.new_keeper()
    world.look()
    assert "GPUs" in world.keeper.problem


def test_a_fleet_waits_for_room_unless_a_stage_needs_it_beside_another(tmp_path: Path) -> None:
    slots = Slots(Machine(cpus=2))
    assert slots.take(cpus=2, gpus=0) is not None
    world = World(tmp_path, host=FakeReplicas(slots))
    world.look()
    assert world.live() == []
    assert "no room" in world.keeper.state
    world.look(together=True)
    assert len(world.live()) == 1
    assert "no room" in world.keeper.told().reason


def test_measurements_outlive_the_controller_and_replicas_do_not(world: World) -> None:
    world.look()
    world.now += 42.0
    world.answer()
    world.look()
    start_s = world.keeper.told().cold_start_s
    assert start_s is not None
    again = world.new_keeper()
    assert world.endpoints() == {}
    again.look({}, Need(), world.now)
    assert again.told().cold_start_s == start_s
    assert again.told().replicas == ()


def test_another_model_of_the_fleet_is_taken_to_be_as_fast(world: World, tmp_path: Path) -> None:
    world.look()
    world.now += 42.0
    world.answer()
    world.look()
    kept = replace(world.kept, name="judge[rows=500]", folder=tmp_path / "other")
    other = Keeper(kept, host=world.host, seen=world.said.get, tell=world.tell, like=world.keeper)
    assert other.told().cold_start_s == world.keeper.told().cold_start_s is not None
    assert other.told().replicas == ()


def test_a_full_disk_ends_no_fleet(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    world.look()
    world.answer()
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        world.look()
    assert world.endpoints() == {}
    world.look()
    assert len(world.endpoints()) == 3


class Fate(RuleBasedStateMachine):
    """Whatever becomes of replicas and of the work, promises hold."""

    @initialize()
    def begin(self) -> None:
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.world = World(Path(self.folder.name))
        self.removed_busy = 0

    @rule(rows=st.integers(0, 2000), after_s=st.floats(0.1, 30))
    def work(self, rows: int, after_s: float) -> None:
        demands = (Demand(stage="s", rows_left=rows, workers=1),) if rows else ()
        self.world.look(demands, after_s=after_s)

    @rule(running=st.integers(0, 300), tokens=st.integers(0, 10**6))
    def say(self, running: int, tokens: int) -> None:
        self.world.answer(running=running, generation_tokens=tokens)

    @rule(which=st.integers(0, 5))
    def kill(self, which: int) -> None:
        live = self.world.live()
        if live:
            self.world.host.end(live[which % len(live)], -9)

    @invariant()
    def never_more_than_allowed_beside_those_that_drain(self) -> None:
        told = self.world.keeper.told()
        live = [one for one in told.replicas if one.state != "draining"]
        assert len(live) <= told.max_replicas
        assert 0 <= told.wanted <= told.max_replicas

    @invariant()
    def clients_are_told_of_replicas_that_exist_alone(self) -> None:
        known = {one.name for one in self.world.keeper.told().replicas}
        assert set(self.world.endpoints()) <= known

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()


TestFate = Fate.TestCase
TestFate.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
