"""Is every line of a growing file told once, and events that a kill tore left out?"""

from __future__ import annotations

from pathlib import Path

from jobs.runtime.events import Event, EventLog, read_events
from jobs.runtime.tailing import Tail


def test_every_line_is_told_once(tmp_path: Path) -> None:
    path, tail = tmp_path / "log", Tail()
    path.write_text("one\ntwo\n")
    assert tail.lines(path, growing=True) == ["one", "two"]
    assert tail.lines(path, growing=True) == []
    with path.open("a") as file:
        file.write("three\n")
    assert tail.lines(path, growing=True) == ["three"]


def test_half_a_line_waits_for_its_end_while_the_file_grows(tmp_path: Path) -> None:
    path, tail = tmp_path / "log", Tail()
    path.write_text("one\ntw")
    assert tail.lines(path, growing=True) == ["one"]
    with path.open("a") as file:
        file.write("o")
    assert tail.lines(path, growing=False) == ["two"]


def test_a_file_that_is_not_there_yet_has_no_lines(tmp_path: Path) -> None:
    assert Tail().lines(tmp_path / "nowhere", growing=True) == []


def test_bytes_that_are_no_text_are_shown_as_such(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"\xff ok\n")
    assert Tail().lines(path, growing=False) == ["� ok"]


def test_events_are_appended_and_told_and_a_torn_one_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "events.jsonl"
    heard: list[Event] = []
    for stage in ("a", "b[x=1]"):
        log = EventLog(path, listeners=(heard.append,))
        log.add("stage_sealed", stage=stage)
        log.close()
    with path.open("a") as file:
        file.write('{"event": "torn')
    assert [event["stage"] for event in read_events(path)] == ["a", "b[x=1]"]
    assert [event["stage"] for event in heard] == ["a", "b[x=1]"]
