"""Does the live table say what is going on, on a screen of any height?"""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from jobs.backends.base import ArrayStatus
from jobs.fleet.told import Told
from jobs.plan.decide import StageState, decide
from jobs.plan.retry import Cause
from jobs.plan.shards import ShardPlan
from jobs.runtime.controller import Snapshot
from jobs.runtime.lines import Line, Meter, clock, fold, lines_of
from jobs.runtime.live import JsonView, TableView
from jobs.runtime.observing import Progress
from tests.unit.jobs.told import BROKEN, JUDGE, NOW_S

WORDS = ["sealed", "reused", "running", "queued", "waiting", "failed", "skipped"]


def lines(*words: str) -> list[Line]:
    return [Line(name=f"s{place}", word=word) for place, word in enumerate(words)]


@given(st.lists(st.sampled_from(WORDS), max_size=80), st.integers(3, 60))
def test_what_is_shown_fits_and_what_is_left_out_is_counted(words: list[str], room: int) -> None:
    all_lines = lines(*words)
    shown, told = fold(all_lines, room, finished=[])
    assert len(shown) + len(told) <= room
    left_out = len(all_lines) - len(shown)
    numbers = [int(word) for text in told for word in text.split() if word.isdigit()]
    assert sum(numbers) == left_out
    assert [line.name for line in shown] == [line.name for line in all_lines if line in shown], (
        "kept lines stay in the campaign's order"
    )


@pytest.mark.parametrize(
    ("words", "room", "kept"),
    [
        (["sealed"] * 3, 3, ["s0", "s1", "s2"]),  # all fit
        (["sealed", "sealed", "running", "waiting", "failed"], 4, ["s2", "s4"]),  # what matters
        (["waiting", "queued", "waiting", "waiting"], 3, ["s1"]),  # what comes next
        (["sealed"] * 9, 4, ["s4", "s6"]),  # what finished last
    ],
)
def test_what_matters_most_is_kept(words: list[str], room: int, kept: list[str]) -> None:
    shown, _ = fold(lines(*words), room, finished=["s0", "s4", "s6"])
    assert [line.name for line in shown] == kept


def test_the_rest_is_told_in_two_sentences() -> None:
    words = ["reused"] * 3 + ["sealed"] * 2 + ["running"] + ["waiting"] * 4 + ["skipped"]
    _, told = fold(lines(*words), 3, finished=[])
    assert told == ["… and 2 sealed, 3 reused", "… and 4 waiting, 1 skipped"]


def snapshot(**fields: object) -> Snapshot:
    state = StageState(name="sft[rows=2000,seed=1]", address="a", num_shards=10, **fields)  # type: ignore[arg-type]
    waiting = StageState(name="bench", needs=("sft[rows=2000,seed=1]",))
    states = [state, waiting]
    status = ArrayStatus(held={8, 9}, running={8: "x"}, failed=[])
    return Snapshot(
        states=states,
        actions=decide(states, draining=False),
        work={"a": status},
        plans={state.name: ShardPlan(1000, 10)},
    )


def no_progress(address: str, shard: int, attempt: str) -> Progress | None:
    return None


def test_a_running_stage_tells_its_share_its_speed_and_the_rest() -> None:
    meter = Meter()
    lines_of(snapshot(done={0, 1}, running={8, 9}), meter, 100.0, no_progress)
    (line, _) = lines_of(snapshot(done={0, 1, 2, 3}, running={8, 9}), meter, 110.0, no_progress)
    assert (line.word, line.done, line.shards) == ("running", 4, 10)
    assert line.fraction == pytest.approx(0.4)
    assert line.rows_per_s == pytest.approx(20.0)
    assert line.eta_s == pytest.approx(30.0)


def test_a_running_shard_counts_by_what_it_says_of_itself() -> None:
    def half(address: str, shard: int, attempt: str) -> Progress:
        assert (address, shard, attempt) == ("a", 8, "x")
        return Progress(done=5, total=10, unit="rows")

    (line, _) = lines_of(snapshot(done={0}, running={8, 9}), Meter(), 0.0, half)
    assert line.fraction == pytest.approx(0.15)


def test_shards_given_up_and_attempts_tried_again_are_told_apart() -> None:
    failures = {
        3: {Cause.POISONED: 1},  # given up
        4: {Cause.FAILED: 2},  # will be tried again
        0: {Cause.FAILED: 1},  # was tried again
    }
    (line, _) = lines_of(
        snapshot(done={0}, failures=failures, running={8}), Meter(), 0.0, no_progress
    )
    assert (line.failed, line.retried) == (1, 3)


def test_a_waiting_stage_says_what_for() -> None:
    (_, line) = lines_of(snapshot(done={0}, running={8}), Meter(), 0.0, no_progress)
    assert (line.word, line.why) == ("waiting", "waits for sft[rows=2000,seed=1]")


@pytest.mark.parametrize("size", [(80, 24), (60, 8), (200, 50)])
def test_the_table_is_never_higher_or_wider_than_the_screen(size: tuple[int, int]) -> None:
    width, height = size
    states = [StageState(name=f"bench[rows={rows},seed=1]", sealed=True) for rows in range(70)]
    shot = Snapshot(states=states, outcomes={state.name: "sealed" for state in states})
    file = io.StringIO()
    console = Console(file=file, width=width, height=height, force_terminal=True, color_system=None)
    view = TableView(console, progress=no_progress, title="campaign wide")
    for number in range(6):
        reason = f"reason {number} " * 20
        view.event({"event": "attempt_failed", "stage": "a[x=1]", "shard": 3, "reason": reason})
    view.show(shot)
    frame = file.getvalue()
    assert frame.count("\n") < height
    assert "bench[rows=69,seed" in frame
    assert max(len(line) for line in frame.splitlines()) <= width + 20  # control codes
    view.close()
    assert "bench[rows=0,seed=1]" in file.getvalue(), "at the end all stages are told"


@pytest.mark.parametrize("size", [(80, 24), (40, 10), (200, 50)])
def test_fleets_have_a_line_each_under_the_stages_and_never_more_than_fits(
    size: tuple[int, int],
) -> None:
    width, height = size
    states = [StageState(name=f"s{number}", sealed=True) for number in range(70)]
    file = io.StringIO()
    console = Console(file=file, width=width, height=height, force_terminal=True, color_system=None)
    many = Told(at=NOW_S, pid=1, fleets=(BROKEN, JUDGE) * 20)
    view = TableView(console, progress=no_progress, title="t")
    outcomes = {state.name: "sealed" for state in states}
    view.show(Snapshot(states=states, outcomes=outcomes, told=many))
    frame = file.getvalue()
    assert frame.count("\n") < height
    assert "s69" in frame
    assert "fleet judge: 2 ready, 1 starting" in frame
    assert "… no room for more" in frame
    view.close()


def test_a_preemption_is_no_news_on_the_screen() -> None:
    file = io.StringIO()
    console = Console(file=file, width=80, height=24, force_terminal=True, color_system=None)
    view = TableView(console, progress=no_progress, title="t")
    view.event({"event": "attempt_failed", "stage": "a", "cause": "preempted", "reason": "left"})
    view.event({"event": "attempt_failed", "stage": "b", "cause": "lost", "reason": "gone"})
    view.show(snapshot(done={0}))
    view.close()
    assert "attempt failed b: gone" in file.getvalue()
    assert "attempt failed a" not in file.getvalue()


def test_the_json_view_writes_one_object_per_event() -> None:
    written: list[str] = []
    view = JsonView(written.append)
    view.event({"time": 1.0, "event": "campaign_started"})
    view.show(Snapshot())
    view.close()
    assert written == ['{"time": 1.0, "event": "campaign_started"}']


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.9, "0:00"),  # whole seconds
        (65, "1:05"),  # minutes
        (7384, "2:03:04"),  # hours
    ],
)
def test_times_are_told_like_a_clock(seconds: float, told: str) -> None:
    assert clock(seconds) == told
