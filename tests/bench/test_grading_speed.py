"""Do two grading processes use two cores, and does handing out cost anything?

Peer      two processes that only count, beside one that does: what this machine gives right now
Setting   different answers to compare symbolically, of the kinds that competition problems have;
          processes are warm
Measure   pairs per second with one and with two processes, taking turns with the peer; CPU time of
          this process, which hands out, per second of grading
Claim     two processes gain at least 85 % of what the counting ones gain; handing out takes less
          than 5 % of a core; 16,000 answers take minutes
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction

import pytest

from rprm.benchmarks.grading_pool import GradingPool, Pair

PAIRS = 240
ROUNDS = 3
COUNTING = "n = 0\nfor _ in range(30_000_000): n += 1"


def pairs(seed: int) -> list[Pair]:
    rng = random.Random(seed)
    return [next(_kinds(rng)) for _ in range(PAIRS)]


def _kinds(rng: random.Random) -> Iterator[Pair]:
    a, b, c = (rng.randint(2, 99) for _ in range(3))
    ratio = Fraction(a, b + 100)
    yield rng.choice(
        [
            (str(a), str(a + rng.randint(0, 1)) + ".0"),
            (rf"\frac{{{a}}}{{{b + 100}}}", rf"\frac{{{ratio.numerator}}}{{{ratio.denominator}}}"),
            (rf"{a}\sqrt{{{b}}}", rf"\sqrt{{{a * a * b}}}"),
            (f"x^2+{a + b}x+{a * b}", f"(x+{a})(x+{b})"),
            (rf"\left({a},\frac{{{b}}}{{7}}\right)", rf"({a}, {b}/7)"),
            (rf"\frac{{{a}\pi}}{{{b}}}", rf"\frac{{{a * c}\pi}}{{{b * c}}}"),
            (f"({a},{a + b}]", f"({a},{a + b})"),
        ]
    )


def seconds_of_counting(processes: int) -> float:
    started = time.perf_counter()
    running = [subprocess.Popen([sys.executable, "-c", COUNTING]) for _ in range(processes)]
    for process in running:
        process.wait()
    return time.perf_counter() - started


def graded_per_second(pool: GradingPool, seed: int) -> float:
    made = pairs(seed)
    started = time.perf_counter()
    pool.grade(made, lambda _index, _outcome: None)
    return len(made) / (time.perf_counter() - started)


@pytest.mark.bench
def test_two_processes_share_the_work() -> None:
    rates: dict[int, list[float]] = {1: [], 2: []}
    counting: dict[int, list[float]] = {1: [], 2: []}
    handing, grading = 0.0, 0.0
    with (
        GradingPool("math-verify", workers=1, timeout_s=30) as one,
        GradingPool("math-verify", workers=2, timeout_s=30) as two,
    ):
        for pool in (one, two):
            graded_per_second(pool, 0)
        for seed in range(1, ROUNDS + 1):
            for processes, pool in ((1, one), (2, two)):
                counting[processes].append(processes / seconds_of_counting(processes))
                cpu, wall = time.process_time(), time.perf_counter()
                rates[processes].append(graded_per_second(pool, seed))
                handing += time.process_time() - cpu
                grading += time.perf_counter() - wall
    gain, possible = (
        statistics.median(found[2]) / statistics.median(found[1]) for found in (rates, counting)
    )
    fastest = statistics.median(rates[2])
    print(
        f"\ntwo processes / one: {gain:.2f} (counting: {possible:.2f}), "
        f"handing out: {handing / grading:.1%} of a core, "
        f"16,000 pairs on two: {16_000 / fastest / 60:.1f} minutes"
    )
    assert gain > 0.85 * possible
    assert handing < 0.05 * grading
    assert 16_000 / fastest < 15 * 60
