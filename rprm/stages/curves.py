"""How does a judge's F1 change with K and with the threshold?  Every point with its interval.

Reads    solutions, labelled; judged, all K_max critiques of their steps (no early stopping); or
         scores, of their steps, which have a threshold but no K
Writes   one row per curve, place and metric, with the gain over the reference
Facts    system, k_curve (every K; gains over K = 1), threshold_curve (at K_max; gains over the
         threshold that is used), data
Metrics  {benchmark}/average/f1_by_k with K as the step; …/f1_by_threshold with thousandths
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import Field

from rprm.benchmarks import k_curve, thresholds
from rprm.benchmarks.curves import Point, Resampling, matches_at_k, threshold_curve
from rprm.benchmarks.curves import k_curve as points_by_k
from rprm.benchmarks.processbench import num_relevant
from rprm.benchmarks.statistics import Metric
from rprm.data.problem_tables import table_to_scores
from rprm.data.tables import table_to_solutions
from rprm.errors import BadInput
from rprm.schema import Solution
from rprm.scoring import THRESHOLD, Aggregate
from rprm.stages.io import ArtifactView, StageIO
from rprm.stages.judged import judgements_of, table_to_judged
from rprm.stages.measuring import dataset_of, origin_of
from rprm.stages.params import StageParams

COLUMNS: dict[str, pa.DataType] = {
    "curve": pa.string(),  # "k" or "threshold"
    "at": pa.float64(),
    "metric": pa.string(),
    "value": pa.float64(),
    "low": pa.float64(),
    "high": pa.float64(),
    "gain": pa.float64(),
    "gain_low": pa.float64(),
    "gain_high": pa.float64(),
    "p_value": pa.float64(),
}
POINTS = pa.schema(list(COLUMNS.items()))

METRICS: tuple[Metric, ...] = ("f1", "acc_error", "acc_correct")


class Curves:
    kind: ClassVar[str] = "single"
    version: ClassVar[str] = "1"
    preload: ClassVar[tuple[str, ...]] = ()

    class Params(StageParams):
        benchmark: str = "processbench"
        """First part of metric names."""
        system: str
        """What the report calls the judge, such as "sft" or "dpo"."""
        critiques: int | None = Field(default=None, gt=0)
        """K_max; None: as many as the step with the fewest has."""
        threshold: float = THRESHOLD
        """A step scored below it is wrong; the reference of the curve over thresholds."""
        thresholds: tuple[float, ...] = thresholds.SHOWN
        aggregate: Aggregate = Aggregate.SOFT
        orders: int = Field(default=20, gt=0)
        """A smaller K is averaged over so many orders of the critiques drawn."""
        resamples: int = Field(default=1000, gt=0)
        """Bootstrap resamples of whole problems."""
        seed: int = 0

    def __init__(self, params: Params) -> None:
        self.params = params
        self._by = Resampling(num_resamples=params.resamples, seed=params.seed)

    def run(self, io: StageIO) -> None:
        source = io.artifact("solutions")
        solutions = table_to_solutions(source.table(), source="solutions")
        beliefs, matches = self._read(io, solutions)
        by_k = {one: self._by_k(beliefs, one) for one in METRICS} if beliefs else {}
        by_threshold = {one: self._by_threshold(matches, one) for one in METRICS}
        io.note(
            system=self.params.system,
            benchmark=self.params.benchmark,
            critiques=beliefs.num_critiques if beliefs else None,
            k_curve=[_fact("k", int(one.at), one) for one in by_k.get("f1", ())],
            threshold_curve=[_fact("threshold", one.at, one) for one in by_threshold["f1"]],
            data=origin_of(source),
        )
        self._log(io, source, by_k.get("f1", ()), by_threshold["f1"])
        rows = [*_rows("k", by_k), *_rows("threshold", by_threshold)]
        io.write(pa.Table.from_pylist(rows, schema=POINTS))

    def _read(
        self, io: StageIO, solutions: Sequence[Solution]
    ) -> tuple[k_curve.Beliefs | None, thresholds.Matches]:
        judged, scores = io.artifacts("judged"), io.artifacts("scores")
        if len(judged) + len(scores) != 1:
            raise BadInput(
                f"stage {io.stage} has {len(judged) + len(scores)} inputs that judge.",
                fix="give either `judged` or `scores`",
            )
        if scores:
            return None, thresholds.gather(solutions, _scores(scores[0]))
        beliefs = self._beliefs(judged[0], solutions)
        return beliefs, matches_at_k(beliefs, num_critiques=beliefs.num_critiques)

    def _beliefs(self, judged: ArtifactView, solutions: Sequence[Solution]) -> k_curve.Beliefs:
        rows = table_to_judged(judged.table(), source="judged", need_gold=False)
        judgements = judgements_of(rows, self.params.aggregate)
        ids = [f"{one.id}:{step}" for one in solutions for step in range(num_relevant(one))]
        lengths = [len(judgements[name].critiques_K) for name in ids if name in judgements]
        most = self.params.critiques or min(lengths, default=0)
        if most < 1:
            raise BadInput(
                "no step has a critique, so there is no curve.",
                fix="give the critiques that were made of these solutions",
            )
        return k_curve.gather(
            solutions, judgements, num_critiques=most, aggregate=self.params.aggregate
        )

    def _by_k(self, beliefs: k_curve.Beliefs, metric: Metric) -> list[Point]:
        return points_by_k(
            beliefs,
            metric=metric,
            num_orders=self.params.orders,
            threshold=self.params.threshold,
            by=self._by,
        )

    def _by_threshold(self, matches: thresholds.Matches, metric: Metric) -> list[Point]:
        places = sorted({*self.params.thresholds, self.params.threshold})
        return threshold_curve(
            matches, places, metric=metric, reference=self.params.threshold, by=self._by
        )

    def _log(
        self,
        io: StageIO,
        source: ArtifactView,
        by_k: Sequence[Point],
        by_threshold: Sequence[Point],
    ) -> None:
        name, dataset = self.params.benchmark, dataset_of(self.params.benchmark, source)
        for one in by_k:
            values = _tracked(f"{name}/average/f1_by_k", one)
            io.log(values, step=int(one.at), dataset=dataset)
        for one in by_threshold:
            values = _tracked(f"{name}/average/f1_by_threshold", one)
            io.log(values, step=round(1000 * one.at), dataset=dataset)


def _scores(given: ArtifactView) -> dict[str, Sequence[float | None]]:
    found = table_to_scores(given.table())
    named = [
        one.solution_id for one in found if one.scores_S is None and one.prediction is not None
    ]
    if named:
        raise BadInput(
            f"{len(named)} row(s) name an index, such as {named[0]!r}: no threshold changes those.",
            fix="leave the curve of this judge out",
        )
    return {one.solution_id: one.scores_S or (None,) for one in found}


def _fact(place: str, at: float, one: Point) -> dict[str, Any]:
    gain = None
    if one.gain is not None:
        gain = {**one.gain.difference.as_json(), "p_value": one.gain.p_value}
    return {place: at, "f1": one.value.as_json(), "gain": gain}


def _tracked(name: str, one: Point) -> dict[str, float]:
    """What is not defined is left out."""
    value = one.value.as_json()["value"]
    return {} if value is None else {name: value}


def _rows(curve: str, by_metric: dict[Metric, list[Point]]) -> Iterator[dict[str, Any]]:
    for metric, points in by_metric.items():
        for one in points:
            gain = one.gain.difference.as_json() if one.gain else {}
            yield {
                "curve": curve,
                "at": one.at,
                "metric": metric,
                **one.value.as_json(),
                "gain": gain.get("value"),
                "gain_low": gain.get("low"),
                "gain_high": gain.get("high"),
                "p_value": one.gain.p_value if one.gain else None,
            }
