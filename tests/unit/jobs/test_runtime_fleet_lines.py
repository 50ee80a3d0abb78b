"""Is every fleet told of in lines that fit, whatever its replicas and names are?"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from jobs.fleet.told import Told, ToldReplica
from jobs.runtime.fleet_lines import cut, fleet_lines, plain, sentence, short_lines
from tests.unit.jobs.told import BROKEN, HOSTILE, JUDGE, NOW_S, TOLD, tolds

widths = st.integers(0, 130)


@given(tolds, widths, st.none() | st.integers(0, 30))
def test_lines_are_never_wider_nor_more_than_asked(
    told: Told, width: int, height: int | None
) -> None:
    for lines in (
        fleet_lines(told, now_s=NOW_S, width=width, height=height),
        short_lines(told, width=width, height=30 if height is None else height),
    ):
        assert all(cell_len(line.text) <= width and plain(line.text) == line.text for line in lines)
        assert height is None or len(lines) <= height


@given(st.text(max_size=60), widths)
def test_a_text_is_cut_only_where_it_is_too_wide(text: str, width: int) -> None:
    found = cut(text, width)
    assert cell_len(found) <= width
    assert (found == plain(text)) == (cell_len(plain(text)) <= width)


def test_a_replica_is_told_with_all_that_is_known_of_it() -> None:
    lines = [line.text for line in fleet_lines(TOLD, now_s=NOW_S, width=80)]
    assert lines == [
        "fleet judge: 2 ready, 1 starting, 143 in flight, 4,812 tokens/s",
        "  wants 3 (0 to 4): 4,120 rows left need 3 replicas within 600 s",
        "  replica   state          for  in flight   tokens/s    KV  hits",
        "  judge-0   ready        12:34     120+23      4,812   63%   92%",
        "  judge-1   ready         0:12          0",
        "  judge-2   starting      0:03",
        "fleet policy[rows=500]: no replica",
        "  wants 1 (0 to 1): the first replica is needed",
        "  it cannot start: no such model",
    ]


def test_a_name_cannot_break_a_line_or_move_the_cursor() -> None:
    hostile = replace(JUDGE, name=HOSTILE, replicas=(replace(JUDGE.replicas[0], name=HOSTILE),))
    lines = fleet_lines(Told(at=NOW_S, pid=1, fleets=(hostile,)), now_s=NOW_S, width=80)
    assert len(lines) == 4
    assert all(line.text.isprintable() for line in lines)
    assert "ready" in lines[3].text, "the columns beside a long name are whole"


@pytest.mark.parametrize("height", [5, 6, 8])
def test_replicas_that_are_not_ready_come_first_where_there_is_no_room_for_all(height: int) -> None:
    many = [ToldReplica(name=f"r{n}", state="ready", since=NOW_S) for n in range(20)]
    many[13] = replace(many[13], state="starting")
    told = Told(at=NOW_S, pid=1, fleets=(replace(JUDGE, replicas=tuple(many)),))
    lines = [line.text for line in fleet_lines(told, now_s=NOW_S, width=80, height=height)]
    assert len(lines) == height
    assert lines[-1].startswith("  … and ")
    shown = [line for line in lines if line.startswith("  r") and "replica" not in line]
    left_out = sum(int(word) for word in lines[-1].split() if word.isdigit())
    assert len(shown) + left_out == 20
    assert any("r13" in line for line in shown)


def test_what_small_fleets_leave_is_shared_by_the_others() -> None:
    many = tuple(ToldReplica(name=f"r{n}", state="ready", since=NOW_S) for n in range(6))
    told = Told(at=NOW_S, pid=1, fleets=(replace(JUDGE, replicas=many), BROKEN))
    lines = [line.text for line in fleet_lines(told, now_s=NOW_S, width=80, height=12)]
    assert len(lines) == 12
    assert not any(line.startswith("  …") for line in lines)


def test_a_fleet_in_one_line_says_why_it_is_so_large() -> None:
    first, second = short_lines(TOLD, width=200, height=9)
    assert first.text == f"{sentence(JUDGE)} — {JUDGE.reason}"
    assert (second.style, second.text.rpartition(" — ")[2]) == ("red", BROKEN.problem)


def test_a_fleet_without_replicas_says_so() -> None:
    assert sentence(replace(JUDGE, replicas=())) == "fleet judge: no replica"
