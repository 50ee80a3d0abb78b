"""Which work arrives when?  Traces of stages that call one fleet."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.fleet_server import ROW_TOKENS, TOKENS_PER_S

SPREAD = 0.4
"""Of the logarithm of a row's tokens."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """Work that calls the fleet, from `at` on; or that long after an earlier stage has ended."""

    name: str
    at: float
    rows: tuple[float, ...]
    """Tokens of each."""
    after: str | None = None

    @property
    def work_s(self) -> float:
        """Of one full replica."""
        return sum(self.rows) / TOKENS_PER_S


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    name: str
    stages: tuple[Stage, ...]
    workers: int = 64
    """Shards that are worked on at once."""

    @property
    def work_s(self) -> float:
        return sum(stage.work_s for stage in self.stages)


def steady(rng: random.Random) -> Trace:
    """Two hours of equal stages, one a minute: five replicas' worth of work."""
    stages = tuple(
        _stage(f"steady-{minute}", 60.0 * minute, 60 * 5.0, rng) for minute in range(120)
    )
    return Trace(name="steady", stages=stages)


def burst(rng: random.Random) -> Trace:
    """Benchmarks of checkpoints as training leaves them: ProcessBench at K=10 is about 13,000 s of
    one replica after early stopping."""
    return _bursts("burst", 6_000, 20_000, rng)


def brief(rng: random.Random) -> Trace:
    """The same with bursts of little more than half that size."""
    return _bursts("brief", 3_500, 12_000, rng)


def diurnal(rng: random.Random) -> Trace:
    """Six hours of small stages from many people, between half a replica's work and seven."""
    at, number, stages = 0.0, 0, []
    while at < 6 * 3600:
        load = 3.75 - 3.25 * math.cos(2 * math.pi * at / (3 * 3600))
        work_s = rng.uniform(100, 500)
        stages.append(_stage(f"diurnal-{number}", at, work_s, rng))
        at, number = at + rng.expovariate(load / 300), number + 1
    return Trace(name="diurnal", stages=tuple(stages))


def campaign(rng: random.Random) -> Trace:
    """Seed, then training, then sample, then training, then bench."""
    return Trace(
        name="campaign",
        stages=(
            _stage("seed", 0.0, 12_000, rng),
            _stage("sample", 25 * 60.0, 24_000, rng, after="seed"),
            _stage("bench", 30 * 60.0, 8_000, rng, after="sample"),
        ),
    )


TRACES: tuple[Callable[[random.Random], Trace], ...] = (steady, burst, diurnal, campaign)


def small(rng: random.Random) -> Trace:
    """Stages of a few minutes of one replica, far apart: a cold start is as long as the work."""
    at, stages = 0.0, []
    for number in range(12):
        stages.append(_stage(f"small-{number}", at, rng.uniform(60, 900), rng))
        at += rng.uniform(600, 1500)
    return Trace(name="small", stages=tuple(stages))


def narrow(rng: random.Random) -> Trace:
    """One long stage whose two workers can fill two replicas, however many there are."""
    return Trace(name="narrow", stages=(_stage("narrow", 0.0, 8_000, rng),), workers=2)


def _bursts(name: str, least_s: float, most_s: float, rng: random.Random) -> Trace:
    """Eight of them, and up to half an hour of nothing between two."""
    at, stages = 0.0, []
    for number in range(8):
        work_s = rng.uniform(least_s, most_s)
        stages.append(_stage(f"{name}-{number}", at, work_s, rng))
        at += work_s / 8 + rng.uniform(120, 1800)
    return Trace(name=name, stages=tuple(stages))


def _stage(
    name: str, at: float, work_s: float, rng: random.Random, after: str | None = None
) -> Stage:
    """Rows of lognormal length that are about so many seconds of one full replica."""
    count = max(1, round(work_s * TOKENS_PER_S / ROW_TOKENS))
    lengths = [rng.lognormvariate(-SPREAD * SPREAD / 2, SPREAD) for _ in range(count)]
    return Stage(name=name, at=at, rows=tuple(ROW_TOKENS * one for one in lengths), after=after)
