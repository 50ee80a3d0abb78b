"""Which judges were measured, and at which points of the campaign's sweeps?

A system is a judge by its name in the campaign ("sft", "dpo") at a point of its sweeps, such as
rows=2000.  Its runs differ in their training seed only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rprm.benchmarks.processbench import Outcome
from rprm.errors import BadInput

SEED = "seed"
"""The axis whose points are runs of one system."""

BENCHMARK = "benchmark"
"""The coordinate that keeps benchmarks apart where a report has several."""

Point = tuple[tuple[str, Any], ...]
"""Coordinates without the seed, sorted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One benchmark artifact."""

    system: str
    coordinates: Mapping[str, Any]
    facts: Mapping[str, Any]
    outcomes: Mapping[int, Sequence[Outcome]]
    """By K."""
    address: str = ""

    @property
    def point(self) -> Point:
        return tuple(sorted((a, v) for a, v in self.coordinates.items() if a != SEED))

    @property
    def seed(self) -> Any:
        """None where the campaign sweeps no seed."""
        return self.coordinates.get(SEED)


@dataclass(frozen=True, kw_only=True, slots=True)
class System:
    name: str
    point: Point
    runs: tuple[Run, ...]
    """One per seed, in the order of the seeds."""
    title: str = ""
    """What a reader calls it, where its name is not that."""

    @property
    def label(self) -> str:
        return " ".join(
            [self.title or self.name, *(f"{axis}={value}" for axis, value in self.point)]
        )

    @property
    def ks(self) -> list[int]:
        return sorted(set.intersection(*(set(run.outcomes) for run in self.runs)))

    def coordinate(self, axis: str) -> Any:
        return dict(self.point).get(axis)


def group(runs: Iterable[Run], *, order: Sequence[str] = ()) -> list[System]:
    """Runs of one name and point together; by `order` of names, then by point.

    Raises BadInput when two runs of a system have the same seed: they are two judges of one name.
    """
    found: dict[tuple[str, Point], list[Run]] = {}
    for run in _benchmarks_apart(list(runs)):
        found.setdefault((run.system, run.point), []).append(run)
    systems = [
        System(name=name, point=point, runs=tuple(sorted(members, key=lambda run: rank(run.seed))))
        for (name, point), members in found.items()
    ]
    for system in systems:
        _check_seeds(system)
    names = list(dict.fromkeys([*order, *(one.name for one in systems)]))
    return sorted(systems, key=lambda one: (names.index(one.name), _order(one.point)))


def matching(systems: Sequence[System], name: str, where: Mapping[str, Any]) -> list[System]:
    """Systems of that name at these coordinates, in their order."""
    return [
        one
        for one in systems
        if one.name == name and all(one.coordinate(axis) == v for axis, v in where.items())
    ]


def rank(value: Any) -> tuple[bool, float, str]:
    """Sorts numbers as numbers, before everything else."""
    if isinstance(value, int | float):
        return False, float(value), ""
    return True, 0.0, str(value)


def _order(point: Point) -> list[tuple[str, tuple[bool, float, str]]]:
    return [(axis, rank(value)) for axis, value in point]


def _benchmarks_apart(runs: Sequence[Run]) -> Sequence[Run]:
    if len({run.facts.get(BENCHMARK) for run in runs}) < 2:
        return runs
    return [
        replace(run, coordinates={**run.coordinates, BENCHMARK: run.facts.get(BENCHMARK)})
        for run in runs
    ]


def _check_seeds(system: System) -> None:
    seeds = [str(run.seed) for run in system.runs]
    twice = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if twice:
        addresses = ", ".join(run.address for run in system.runs)
        raise BadInput(
            f"{system.label!r} was measured {len(seeds)} times with seed {', '.join(twice)} "
            f"({addresses}); a report cannot tell these judges apart.",
            fix="give each bench stage its own `system` name, or gather only one of them",
        )
