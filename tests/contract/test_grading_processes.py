"""Are answers graded whatever becomes of the processes that grade them?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rprm.benchmarks import grading_pool
from rprm.benchmarks.grading import Grade, Graded, Grading, grade_all
from rprm.benchmarks.grading_pool import GradingPool
from rprm.errors import RprmError

R, W, U = Grade.RIGHT, Grade.WRONG, Grade.UNDECIDED
HANGS = ("5", "9^{9^{9^9}}")
ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="finds processes through /proc"
)


@pytest.fixture(scope="module")
def grading() -> Iterator[Grading]:
    with Grading(workers=1, timeout_s=2) as made:
        yield made


def grades(grading: Grading, pairs: list[tuple[str, str]]) -> list[Grade]:
    return [one.grade for one in grading.grade(pairs)]


def processes(parent: int) -> list[int]:
    """The grading processes that `parent` has started and that still run."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has gone
            continue
        if b"grading_worker" in command and int(fields[1]) == parent and fields[0] != "Z":
            found.append(int(folder.name))
    return found


def test_a_pair_that_hangs_costs_itself_alone(grading: Grading) -> None:
    pairs = [("1", f"{n}/{n}") for n in range(1, 40)]
    found = grading.grade([*pairs[:20], HANGS, *pairs[20:]])
    assert found[20] == Graded(grade=U, cause="timeout")
    assert {one.grade for one in found[:20] + found[21:]} == {R}


def test_a_killed_process_costs_nothing(grading: Grading) -> None:
    victims = set()

    def kill(_: int) -> None:
        for process in processes(os.getpid()):
            if len(victims) < 2:
                victims.add(process)
                os.kill(process, signal.SIGKILL)

    pairs = [("2", f"{2 * n}/{n}") for n in range(2, 60)]
    assert {one.grade for one in grading.grade(pairs, on_graded=kill)} == {R}
    assert len(victims) == 2


def test_a_process_that_is_stopped_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grading_pool, "PATIENCE", 1)
    before = set(processes(os.getpid()))
    with Grading(workers=1, timeout_s=1) as grading:
        grading.grade([("3", "6/2")])
        (process,) = set(processes(os.getpid())) - before
        os.kill(process, signal.SIGSTOP)
        found = grading.grade([("3", "9/3"), ("3", "12/4")])
    assert [one.cause for one in found] == ["timeout", None]


def test_huge_and_odd_texts_do_no_harm(grading: Grading) -> None:
    long = "x" * 1_000_000
    pairs = [
        ("5", long),
        (long, long),
        ("5", "\ud800 \x00 \u2028"),
        ("5\n6", "5"),
        ("\U0001d7d9" * 2000, "\\frac" * 400),
    ]
    found = grading.grade(pairs)
    assert found[0].cause == "too_long"
    assert found[1].grade is R
    assert {one.grade for one in found[2:4]} == {W}


def test_grades_come_in_order_and_equal_pairs_are_graded_once(grading: Grading) -> None:
    told: list[int] = []
    pairs = [("6", "12/2"), ("6", "7/1"), ("6", "12/2"), ("6", "6")] * 50
    assert [one.grade for one in grading.grade(pairs, on_graded=told.append)] == [R, W, R, R] * 50
    assert told == [198, 199, 200]
    told.clear()
    grading.grade(pairs, on_graded=told.append)
    assert told == [200]


def test_an_interrupted_run_leaves_no_process_and_the_next_one_works() -> None:
    def interrupt(done: int) -> None:
        if done > 3:
            raise KeyboardInterrupt

    before = set(processes(os.getpid()))
    with Grading(workers=2, timeout_s=3) as grading:
        with pytest.raises(KeyboardInterrupt):
            grading.grade([("8", f"{8 * n}/{n}") for n in range(2, 50)], on_graded=interrupt)
        assert grades(grading, [("8", "16/2")]) == [R]
    assert set(processes(os.getpid())) == before


def test_processes_end_with_a_parent_that_was_killed() -> None:
    program = (
        "from rprm.benchmarks.grading import grade_all\n"
        "pairs = [('1', f'{n}/{n}') for n in range(1, 400)]\n"
        "grade_all(pairs, workers=1, timeout_s=2, on_graded=lambda n: print(n, flush=True))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout
        while int(parent.stdout.readline()) < 5:
            pass
        children = processes(parent.pid)
        parent.kill()
    assert children
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_process_that_cannot_start_is_an_error_that_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(grading_pool, "MEMORY_BYTES", 2**24)
    with pytest.raises(RprmError, match=r"does not start: (?s:.)*Error"):
        grade_all([("1", "2.5")], workers=1)


def test_processes_live_as_long_as_the_pool() -> None:
    outcomes: dict[int, object] = {}
    with GradingPool("math-verify", workers=1, timeout_s=3) as pool:
        pool.grade([("1", "3/3")], outcomes.__setitem__)
        before = set(processes(os.getpid()))
        pool.grade([("1", "4/4"), ("1", "5/5")], outcomes.__setitem__)
        assert set(processes(os.getpid())) == before
    assert len(outcomes) == 2
