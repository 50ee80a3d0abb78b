"""Measure a judge on PRMBench: which steps does it take for right, and which for wrong?

Reads    items, loaded with format prmbench; judged, the critiques of all their steps, or scores,
         of their steps
Writes   one row per item with its counts (tp, fp, tn, fn)
Facts    system, scores (every class, group and overall, with intervals), classes (their parts and
         counts), validity_rate, unscored_steps, thresholds (scores at others), data, warnings
Metrics  prmbench/{class}, prmbench/{group}, prmbench/overall
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import Field

from rprm.benchmarks import prmbench as bench
from rprm.benchmarks.resampling import known
from rprm.benchmarks.thresholds import SHOWN
from rprm.data.prmbench import PrmItem, table_to_items
from rprm.errors import BadInput
from rprm.scoring import THRESHOLD, Aggregate
from rprm.stages.bench_scores import published_rule
from rprm.stages.io import ArtifactView, StageIO
from rprm.stages.item_scores import ItemScores, Values, scores_of_judged, scores_of_table
from rprm.stages.measuring import dataset_of, origin_of
from rprm.stages.params import StageParams

_COLUMNS: dict[str, pa.DataType] = {
    "item_id": pa.string(),
    "problem_id": pa.string(),
    "subset": pa.string(),
    "usable": pa.bool_(),  # False: no score of it could be read
    **dict.fromkeys(bench.COUNTS, pa.int64()),
}
ITEM_COUNTS = pa.schema(list(_COLUMNS.items()))


class PrmBench:
    kind: ClassVar[str] = "single"
    version: ClassVar[str] = "1"
    preload: ClassVar[tuple[str, ...]] = ()

    class Params(StageParams):
        benchmark: str = "prmbench"
        """First part of metric names."""
        system: str
        """What the report calls the judge, such as "dpo"."""
        threshold: float | None = None
        """A step scored at or above it is right; None: the peer's published rule, where the scores
        tell the peer, else 0.5.  The recorded table of R-PRM used 0.61."""
        aggregate: Aggregate = Aggregate.SOFT
        """Of critiques; "hard" is what the published table used."""
        thresholds: tuple[float, ...] = SHOWN
        """Of the curve in the facts."""
        resamples: int = Field(default=1000, gt=0)
        """Bootstrap resamples of whole problems; variants of one question are one problem."""
        seed: int = 0

    def __init__(self, params: Params) -> None:
        self.params = params

    def run(self, io: StageIO) -> None:
        source, told = io.artifact("items"), _told(io)
        items = table_to_items(source.table())
        given = self._scores(io, items)
        scores = given.scores
        threshold = self._threshold(told)
        steps = bench.gather(items, scores)
        result = bench.evaluate(steps, threshold=threshold)
        found = bench.score_intervals(
            steps,
            threshold=threshold,
            num_resamples=self.params.resamples,
            seed=self.params.seed,
        )
        io.note(
            system=self.params.system,
            benchmark=self.params.benchmark,
            items=len(items),
            threshold=threshold,
            scores={
                name: found[name].as_json()
                for name, value in result.scores.items()
                if known(value) is not None
            },
            classes={name: asdict(one) for name, one in result.classes.items()},
            overall=asdict(result.overall),
            validity_rate=len(scores) / len(items),
            unscored_steps=steps.num_unscored,
            steps_beyond_the_last=given.num_beyond,
            thresholds=self._curve(steps),
            refused=told.errors().num_rows,
            data=origin_of(source),
            warnings=[
                f"{name}: a half is not defined, and counts -100" for name in result.undefined
            ],
        )
        values = {name: value for name, value in result.scores.items() if known(value) is not None}
        prefix = self.params.benchmark
        io.log(
            {f"{prefix}/{name}": value for name, value in values.items()},
            dataset=dataset_of(prefix, source),
        )
        io.write(_table(items, scores, threshold))

    def _scores(self, io: StageIO, items: Sequence[PrmItem]) -> ItemScores:
        judged = io.artifacts("judged")
        if judged:
            table = judged[0].table(["solution_id", "step", "critiques"])
            return scores_of_judged(table, items, self.params.aggregate)
        return scores_of_table(io.artifact("scores").table(), items)

    def _threshold(self, told: ArtifactView) -> float:
        if self.params.threshold is not None:
            return self.params.threshold
        rule = published_rule(told.facts.get("peer"))
        return THRESHOLD if isinstance(rule, str) else rule

    def _curve(self, steps: bench.Steps) -> list[dict[str, Any]]:
        swept = bench.sweep(steps, self.params.thresholds)
        return [
            {
                "threshold": threshold,
                "scores": {name: known(value) for name, value in result.scores.items()},
            }
            for threshold, result in swept.items()
        ]


def _told(io: StageIO) -> ArtifactView:
    given = [*io.artifacts("judged"), *io.artifacts("scores")]
    if len(given) != 1:
        raise BadInput(
            f"stage {io.stage} has {len(given)} inputs that judge.",
            fix="give either `judged` or `scores`",
        )
    return given[0]


def _table(items: Sequence[PrmItem], scores: Mapping[str, Values], threshold: float) -> pa.Table:
    rows = []
    for item in items:
        values = scores.get(item.solution.id)
        rows.append(
            {
                "item_id": item.solution.id,
                "problem_id": item.solution.problem_id,
                "subset": item.solution.subset,
                "usable": values is not None,
                **_counts(item, values or (), threshold),
            }
        )
    return pa.Table.from_pylist(rows, schema=ITEM_COUNTS)


def _counts(item: PrmItem, values: Values, threshold: float) -> dict[str, int]:
    counts = dict.fromkeys(bench.COUNTS, 0)
    for step, value in enumerate(values):
        if value is not None:
            right, wrong = value >= threshold, step in item.error_steps_S
            counts[("fp" if right else "tn") if wrong else ("tp" if right else "fn")] += 1
    return counts
