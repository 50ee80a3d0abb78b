"""What did our runs measure?  Rows and facts of artifacts, as sums that can be resampled.

A measured system is a judge (or a way to solve problems) at one point of a campaign's sweeps; its
samples are its training seeds.  Cells are named as in results.yaml: "math/f1", "overall".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from rprm.benchmarks.processbench import Outcome
from rprm.benchmarks.statistics import Interval
from rprm.data.prmbench import CLASSES
from rprm.errors import BadInput
from rprm.published.reading import Size
from rprm.reporting.solvers import WAYS, SolvedRow

Benchmark = Literal["processbench", "prmbench", "solving"]

SEED = "seed"
"""The axis whose points are runs of one system."""

POOLED = "all"
"""The one stratum of a benchmark that pools everything."""

POLICY_ALONE = ("pass_at_1", "majority", "pass_at_n")
"""Ways to solve a problem without a judge."""

Sums = Mapping[str, Mapping[str, tuple[float, ...]]]
"""By stratum (a subset) and problem, what the metric is a function of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One run on one set of problems."""

    sums: Sums
    data: frozenset[str] = frozenset()
    """What was measured: runs can be paired where it is equal."""
    seed: Any = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    name: str
    benchmark: Benchmark
    method: str = ""
    """Of a way to solve problems."""
    samples: tuple[Sample, ...] = ()
    points: Mapping[str, Interval] = field(default_factory=dict)
    """Cells that are known without rows to resample."""
    sizes: Mapping[str, Size] = field(default_factory=dict)
    """Of each part; empty where it is not known."""
    origin: str = ""
    """Address or file."""
    notes: tuple[str, ...] = ()

    def renamed(self, label: str, *, alone: bool) -> Measured:
        """As a person calls it; one of several of a run keeps its own name behind that."""
        if not label:
            return self
        return replace(self, name=label if alone else f"{label} {self.name}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Artifact:
    """What a measuring stage left."""

    address: str
    stage: str
    coordinates: Mapping[str, Any]
    facts: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    digest: str = ""
    """Of the labelled solutions that were judged."""

    @property
    def point(self) -> str:
        """Coordinates without the seed, such as "rows=4000"."""
        named = sorted((a, v) for a, v in self.coordinates.items() if a != SEED)
        return " ".join(f"{axis}={value}" for axis, value in named)


def measured_by(artifacts: Sequence[Artifact], *, k: int | None = None) -> list[Measured]:
    """All systems of these artifacts, seeds of one system together, in their order.

    `k` is critiques per step; None is the largest that was measured.  Raises BadInput where a judge
    lacks it.
    """
    lacking = [one for one in artifacts if k is not None and not _has(one, k)]
    if lacking:
        known = ", ".join(map(str, ks_of(lacking[0])))
        raise BadInput(
            f"{_name(lacking[0])} ({lacking[0].address}) was not measured with K = {k} critiques.",
            fix=f"use one of {known}",
        )
    found: dict[tuple[str, str, str], list[Measured]] = {}
    for artifact in artifacts:
        for one in systems_of(artifact, k=k):
            found.setdefault((one.name, one.benchmark, one.method), []).append(one)
    return [one for alike in found.values() for one in _joined(alike)]


def measured_at_every_k(artifacts: Sequence[Artifact]) -> list[Measured]:
    """The judges among them, once per number of critiques."""
    known = sorted({k for one in artifacts for k in ks_of(one)})
    return [
        replace(one, name=f"{one.name}, K = {k}", notes=())
        for k in known
        for one in measured_by([one for one in artifacts if k in ks_of(one)], k=k)
    ]


def ks_of(artifact: Artifact) -> list[int]:
    """Of a judge; [] of anything else."""
    return sorted({int(row["k"]) for row in artifact.rows if "k" in row})


def _has(artifact: Artifact, k: int) -> bool:
    """What scores steps without critiques has K = 1 alone, and stands in every table."""
    return ks_of(artifact) in ([], [1]) or k in ks_of(artifact)


def is_measuring(facts: Mapping[str, Any]) -> bool:
    return "system" in facts and any(kind in facts for kind in _READERS)


def systems_of(artifact: Artifact, *, k: int | None) -> list[Measured]:
    for kind, read in _READERS.items():
        if kind in artifact.facts:
            return read(artifact, k)
    return []


def _joined(alike: Sequence[Measured]) -> list[Measured]:
    """One system where every run has a seed of its own; else what differs stays apart.

    A policy alone is measured again with every judge: equal numbers count once.
    """
    different: list[Measured] = []
    for one in alike:
        if one.samples not in [other.samples for other in different]:
            different.append(one)
    seeds = [sample.seed for one in different for sample in one.samples]
    if len(different) == 1 or len(set(seeds)) < len(seeds):
        return different
    first = different[0]
    return [
        replace(
            first,
            samples=tuple(sample for one in different for sample in one.samples),
            origin=", ".join(one.origin for one in different),
            notes=(*first.notes, f"mean of {len(different)} seeds"),
        )
    ]


# --- ProcessBench ---------------------------------------------------------------------------------


def _judge(artifact: Artifact, k: int | None) -> list[Measured]:
    known = ks_of(artifact)
    chosen = k if k in known else max(known, default=1)
    outcomes = [
        Outcome(**{name: row[name] for name in _OUTCOME})
        for row in artifact.rows
        if row["k"] == chosen
    ]
    note = (f"K = {chosen} critiques per step",) if known != [1] else ()
    return [
        Measured(
            name=_name(artifact),
            benchmark="processbench",
            samples=(
                sample_of(outcomes, seed=artifact.coordinates.get(SEED), digest=artifact.digest),
            ),
            sizes=_kinds(outcomes),
            origin=artifact.address,
            notes=note,
        )
    ]


_OUTCOME = ("solution_id", "problem_id", "subset", "erroneous", "match")


def sample_of(outcomes: Sequence[Outcome], *, seed: Any = None, digest: str = "") -> Sample:
    """Two judges can be paired where they saw the same solutions with the same labels."""
    sums: dict[str, dict[str, list[float]]] = {}
    for one in outcomes:
        row = sums.setdefault(one.subset, {}).setdefault(one.problem_id, [0.0] * 4)
        column = 0 if one.erroneous else 2
        row[column] += one.match
        row[column + 1] += 1
    return Sample(
        sums=_frozen(sums),
        data=frozenset([digest, *(f"{one.solution_id}\0{one.erroneous}" for one in outcomes)]),
        seed=seed,
    )


def _kinds(outcomes: Sequence[Outcome]) -> Mapping[str, Size]:
    counts = Counter((one.subset, one.erroneous) for one in outcomes)
    subsets = sorted({one.subset for one in outcomes})
    return {name: Size(error=counts[name, True], correct=counts[name, False]) for name in subsets}


# --- solving problems -----------------------------------------------------------------------------


def _solver(artifact: Artifact, k: int | None) -> list[Measured]:
    rows = [SolvedRow(**{name: row[name] for name in _SOLVED}) for row in artifact.rows]
    methods = [method for method in WAYS if any(row.method == method for row in rows)]
    return [_way(artifact, method, [r for r in rows if r.method == method]) for method in methods]


_SOLVED = ("problem_id", "subset", "method", "correct")


def _way(artifact: Artifact, method: str, rows: Sequence[SolvedRow]) -> Measured:
    sums: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        kept = sums.setdefault(row.subset, {}).setdefault(row.problem_id, [0.0, 0.0])
        kept[0] += row.correct
        kept[1] += 1
    aggregator = artifact.facts.get("aggregator")
    judged = method not in POLICY_ALONE
    notes = (f"step scores joined by {aggregator}",) if judged and aggregator else ()
    return Measured(
        name=_way_name(artifact, method),
        benchmark="solving",
        method=method,
        samples=(
            Sample(
                sums=_frozen(sums),
                data=frozenset(f"{row.subset}\0{row.problem_id}" for row in rows),
                seed=artifact.coordinates.get(SEED),
            ),
        ),
        sizes={name: Size(rows=len(problems)) for name, problems in sorted(sums.items())},
        origin=artifact.address,
        notes=notes,
    )


def _way_name(artifact: Artifact, method: str) -> str:
    """A judge's name says enough in a table of judges; ways without one are named."""
    n = artifact.facts.get("n", "N")
    if method in ("best_of_n", "guided_search"):
        return _name(artifact)
    way = WAYS[method].format(n=n, system=artifact.facts["system"])
    return " ".join(filter(None, [way, artifact.point]))


# --- PRMBench -------------------------------------------------------------------------------------


def _steps(artifact: Artifact, k: int | None) -> list[Measured]:
    sums: dict[str, list[float]] = {}
    for row in artifact.rows:
        kept = sums.setdefault(row["problem_id"], [0.0] * (4 * len(CLASSES)))
        first = 4 * CLASSES.index(row["subset"])
        for place, count in enumerate(PRM_CELLS):
            kept[first + place] += row[count]
    sizes = Counter(row["subset"] for row in artifact.rows)
    threshold = artifact.facts.get("threshold")
    sample = Sample(
        sums=_frozen({POOLED: sums}),
        data=frozenset([artifact.digest, *(row["item_id"] for row in artifact.rows)]),
        seed=artifact.coordinates.get(SEED),
    )
    return [
        Measured(
            name=_name(artifact),
            benchmark="prmbench",
            samples=(sample,),
            sizes={name: Size(rows=sizes[name]) for name in CLASSES if name in sizes},
            origin=artifact.address,
            notes=() if threshold is None else (f"threshold {threshold:g}",),
        )
    ]


PRM_CELLS = ("fn", "tp", "tn", "fp")
"""The order in which `prmbench.metric_of` reads the counts of a class."""


def interval_of(value: Any) -> Interval:
    """From {value, low, high} or a number."""
    nan = float("nan")
    if not isinstance(value, Mapping):
        return Interval(estimate=float(value), low=nan, high=nan)
    low, high = value.get("low"), value.get("high")
    return Interval(
        estimate=nan if value.get("value") is None else float(value["value"]),
        low=nan if low is None else float(low),
        high=nan if high is None else float(high),
    )


_READERS = {"curve": _judge, "methods": _solver, "scores": _steps}
"""Which fact tells the kind of a measurement."""


def _name(artifact: Artifact) -> str:
    return " ".join(filter(None, [str(artifact.facts["system"]), artifact.point]))


def _frozen(sums: Mapping[str, Mapping[str, Sequence[float]]]) -> Sums:
    return {
        stratum: {problem: tuple(row) for problem, row in rows.items()}
        for stratum, rows in sums.items()
    }
