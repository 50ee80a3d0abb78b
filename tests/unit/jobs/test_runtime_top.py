"""Does the view from another terminal fit, say what is going on, and end when asked to?"""

from __future__ import annotations

import io
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from jobs.fleet.told import Told, write_told
from jobs.runtime.fleets_now import told_now
from jobs.runtime.lines import Line
from jobs.runtime.processes_alive import is_alive
from jobs.runtime.top import Look, picture, show_live, show_once
from tests.unit.jobs.told import HOSTILE, NOW_S, TOLD, names, tolds

STAGES = (
    Line(name="seed", word="sealed", done=4, shards=4, fraction=1.0),
    Line(name="judge", word="running", done=2, shards=8, fraction=0.25),
    Line(name="report", word="waiting", why="waits for judge"),
)
LOOK = Look(campaign="paper", running=True, at=NOW_S + 2, told=TOLD, stages=STAGES)

stages = st.lists(
    st.builds(
        Line,
        name=names,
        word=st.sampled_from(["sealed", "running", "waiting", "failed", "skipped", "reused"]),
        done=st.integers(0, 10**9),
        shards=st.none() | st.integers(1, 10**9),
        fraction=st.floats(0, 1),
        why=names,
    ),
    max_size=30,
).map(tuple)


@given(st.none() | tolds, stages, names, st.integers(0, 120), st.none() | st.integers(0, 40))
def test_a_picture_is_never_wider_nor_higher_than_asked(
    told: Told | None, lines: tuple[Line, ...], name: str, width: int, height: int | None
) -> None:
    look = Look(campaign=name, running=True, at=NOW_S, told=told, stages=lines)
    found = picture(look, width=width, height=height)
    assert all(cell_len(line.text) <= width and line.text.isprintable() for line in found)
    assert height is None or len(found) <= height


def test_stages_stand_above_and_fleets_beneath() -> None:
    texts = [line.text for line in picture(LOOK, width=80, height=23)]
    assert texts[:5] == [
        "campaign paper, told 0:02 ago by process 4711",
        "seed    sealed          4/4",
        "judge   running         2/8  ━━━━━",
        "report  waiting           ?  waits for judge",
        "fleet judge: 2 ready, 1 starting, 143 in flight, 4,812 tokens/s",
    ]
    assert texts[-1] == "  it cannot start: no such model"


def test_many_stages_leave_half_of_the_screen_to_the_fleets() -> None:
    many = tuple(Line(name=f"s{number}", word="running", shards=1) for number in range(50))
    texts = [line.text for line in picture(replace(LOOK, stages=many), width=80, height=23)]
    assert len(texts) <= 23
    assert "  judge-0   ready        12:36     120+23      4,812   63%   92%" in texts


def screen() -> Console:
    return Console(
        file=io.StringIO(), force_terminal=True, width=80, height=24, legacy_windows=False
    )


def test_a_live_view_ends_with_q() -> None:
    keys = iter(["", "x", "q"])
    seen = show_live(screen(), lambda: LOOK, lambda seconds: next(keys))
    assert seen.running
    assert list(keys) == []


def test_a_live_view_ends_with_the_campaign() -> None:
    looks = iter([LOOK, LOOK, replace(LOOK, running=False)])
    assert not show_live(screen(), lambda: next(looks), lambda seconds: "").running


def test_one_look_has_no_codes_of_a_terminal_in_it() -> None:
    console = Console(file=io.StringIO(), width=100)
    hostile = replace(TOLD, fleets=(replace(TOLD.fleets[0], name=HOSTILE, reason=HOSTILE),))
    show_once(console, replace(LOOK, told=hostile, campaign=HOSTILE))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b" not in text
    assert "[bold]x[/]" in text, "names are not markup"
    assert all(len(line) <= 100 for line in text.splitlines())


def test_a_look_as_a_dict_says_nothing_of_fleets_that_nobody_keeps() -> None:
    assert LOOK.as_dict()["fleets"][0]["replicas"][0]["kv_use"] == 0.634
    assert replace(LOOK, told=None, running=False).as_dict() == {
        "campaign": "paper",
        "running": False,
        "at": None,
        "pid": None,
        "fleets": [],
    }


@pytest.mark.parametrize("pid", [0, -1, 2**31 - 1, 2**70])
def test_numbers_of_no_process_are_not_alive(pid: int) -> None:
    assert not is_alive(pid)


def test_the_file_of_a_controller_that_is_gone_is_history(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    assert told_now(path) is None
    now_s = time.time()
    for told, known in [
        (replace(TOLD, at=now_s, pid=os.getpid()), True),
        (replace(TOLD, at=now_s, pid=2**31 - 1), False),  # gone
        (replace(TOLD, at=now_s - 3600, pid=os.getpid()), False),  # the number is another's now
    ]:
        write_told(path, told)
        assert (told_now(path) is not None) == known
