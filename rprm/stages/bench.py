"""Measure a judge: can it find the first wrong step of each solution?

Reads    solutions, labelled; judged, the critiques of their steps; model, the artifact judged
Writes   one row per solution and K: how often the prediction matched
Facts    system, curve (accuracies and F1 with intervals per K), thresholds (F1 at others, with
         all critiques), early stopping, examples, data (which bytes were judged), warnings
Metrics  {benchmark}/{subset}/f1, acc_error, acc_correct, and …_by_k with K as the step
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field

from rprm.benchmarks import thresholds
from rprm.benchmarks.early_stop import replay
from rprm.benchmarks.k_curve import expected_outcomes, gather
from rprm.benchmarks.processbench import Outcome, evaluate, metrics, num_relevant, weak_spots
from rprm.data.tables import table_to_solutions
from rprm.schema import Solution
from rprm.scoring import THRESHOLD, Aggregate, score
from rprm.stages.examples import choose_examples
from rprm.stages.io import ArtifactView, StageIO
from rprm.stages.judged import JudgedCase, judgements_of, table_to_judged
from rprm.stages.measuring import (
    OUTCOMES,
    checkpoint_of,
    dataset_of,
    origin_of,
    outcomes_table,
    point,
    read_outcomes,
    threshold_curve,
)
from rprm.stages.params import StageParams

__all__ = ["OUTCOMES", "Bench", "read_outcomes"]


class Bench:
    kind: ClassVar[str] = "single"
    version: ClassVar[str] = "1"
    preload: ClassVar[tuple[str, ...]] = ()

    class Params(StageParams):
        benchmark: str = "processbench"
        """First part of metric names."""
        system: str
        """What the report calls the judge, such as "sft" or "dpo"."""
        ks: tuple[int, ...] = (1, 2, 4, 10)
        """Critiques per step to report; the largest is the headline.  With an even number a mean
        of exactly 0.5 is possible, and counts as right."""
        threshold: float = THRESHOLD
        aggregate: Aggregate = Aggregate.SOFT
        orders: int = Field(default=20, gt=0)
        """A smaller K is averaged over so many orders of the critiques drawn."""
        resamples: int = Field(default=1000, gt=0)
        """Bootstrap resamples of whole problems."""
        examples: int = Field(default=8, ge=0)
        """Steps of each kind (found, missed, false alarm) whose critiques the report shows."""
        seed: int = 0

    def __init__(self, params: Params) -> None:
        self.params = params

    def run(self, io: StageIO) -> None:
        source = io.artifact("solutions")
        solutions = table_to_solutions(source.table(), source="solutions")
        rows = list(table_to_judged(io.artifact("judged").table(), source="judged"))
        by_k = self._outcomes(solutions, rows)
        curve = [
            point(k, by_k[k], resamples=self.params.resamples, seed=self.params.seed)
            for k in self.params.ks
        ]
        savings = replay(
            [row.critiques_K for row in rows],
            threshold=self.params.threshold,
            aggregate=self.params.aggregate,
        )
        io.note(
            system=self.params.system,
            benchmark=self.params.benchmark,
            solutions=len(solutions),
            curve=curve,
            early_stopping={
                "tokens_saved": savings.saved,
                "labels_changed": savings.labels_changed,
                "critiques_per_step": max(self.params.ks),
            },
            unparsed=sum(not hasattr(one, "verdict") for row in rows for one in row.critiques_K),
            critiques=sum(len(row.critiques_K) for row in rows),
            refused=io.artifact("judged").errors().num_rows,
            thresholds=threshold_curve(_matches(solutions, rows, self.params.aggregate)),
            data=origin_of(source),
            warnings=weak_spots(evaluate(by_k[max(self.params.ks)])),
            examples=choose_examples(solutions, rows, self.params.examples, self.params.threshold),
        )
        self._log(io, by_k, source)
        io.write(outcomes_table(by_k))

    def _outcomes(
        self, solutions: Sequence[Solution], rows: Sequence[JudgedCase]
    ) -> dict[int, list[Outcome]]:
        data = gather(
            solutions,
            judgements_of(rows, self.params.aggregate),
            num_critiques=max(self.params.ks),
            aggregate=self.params.aggregate,
        )
        expected = expected_outcomes(
            data,
            num_orders=self.params.orders,
            seed=self.params.seed,
            threshold=self.params.threshold,
        )
        return {k: expected[k] for k in self.params.ks}

    def _log(
        self, io: StageIO, by_k: Mapping[int, Sequence[Outcome]], source: ArtifactView
    ) -> None:
        checkpoint, dataset = checkpoint_of(io), dataset_of(self.params.benchmark, source)
        for k, outcomes in by_k.items():
            named = metrics(evaluate(outcomes), prefix=self.params.benchmark)
            by_name = {f"{name}_by_k": value for name, value in named.items()}
            io.log(by_name, step=k, checkpoint=checkpoint, dataset=dataset)
            if k == max(by_k):
                io.log(named, checkpoint=checkpoint, dataset=dataset)


def _matches(
    solutions: Sequence[Solution], rows: Sequence[JudgedCase], aggregate: Aggregate
) -> thresholds.Matches:
    scores = {row.case.id: score(row.critiques_K, aggregate) for row in rows}
    return thresholds.gather(
        solutions,
        {
            one.id: [scores.get(f"{one.id}:{step}") for step in range(num_relevant(one))]
            for one in solutions
        },
    )
