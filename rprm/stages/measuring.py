"""What do all stages that measure a judge on labelled solutions note, log and write?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from rprm.benchmarks import thresholds
from rprm.benchmarks.processbench import Outcome, evaluate, metrics
from rprm.benchmarks.resampling import known
from rprm.benchmarks.statistics import bootstrap
from rprm.stages.io import ArtifactView, StageIO

COLUMNS: dict[str, pa.DataType] = {
    "solution_id": pa.string(),
    "problem_id": pa.string(),
    "subset": pa.string(),
    "erroneous": pa.bool_(),
    "k": pa.int64(),
    "match": pa.float64(),
}
OUTCOMES = pa.schema(list(COLUMNS.items()))
"""One row per solution and K."""

_ORIGIN = ("source", "revision", "digest", "subsets", "duplicates")
"""What the stage that loaded the data noted about its bytes."""


def origin_of(data: ArtifactView) -> dict[str, Any]:
    """Which bytes were judged; only the artifact where no loader told more."""
    told = {name: data.facts[name] for name in _ORIGIN if name in data.facts}
    return {"artifact": data.address, **told}


def dataset_of(benchmark: str, data: ArtifactView) -> dict[str, str]:
    """What tracked metrics are linked to."""
    return {"name": benchmark, "digest": data.address[-16:]}


def point(k: int, outcomes: Sequence[Outcome], *, resamples: int, seed: int) -> dict[str, Any]:
    """Averages over subsets, with intervals over problems; None where not defined."""
    values: dict[str, Any] = {"k": k}
    for metric in ("f1", "acc_error", "acc_correct"):
        found = bootstrap(outcomes, metric=metric, num_resamples=resamples, seed=seed)
        values[metric] = found.as_json()
    values["subsets"] = metrics(evaluate(outcomes), prefix="")
    return values


def threshold_curve(
    matches: thresholds.Matches | None, at: Sequence[float] = thresholds.SHOWN
) -> list[dict[str, Any]]:
    """F1 at other thresholds; nothing where none changes a prediction."""
    if matches is None:
        return []
    return [
        {
            "threshold": one.threshold,
            "f1": known(one.result.f1),
            "subsets": {name: known(of.f1) for name, of in one.result.subsets.items()},
            "undecided": one.num_undecided,
        }
        for one in thresholds.sweep(matches, at)
    ]


def checkpoint_of(io: StageIO) -> str | None:
    """Of the judge that was measured, where the stage is given its model."""
    model = io.artifacts("model")
    return model[0].facts.get("checkpoint") if model else None


def outcomes_table(by_k: Mapping[int, Sequence[Outcome]]) -> pa.Table:
    rows = [
        {
            "solution_id": one.solution_id,
            "problem_id": one.problem_id,
            "subset": one.subset,
            "erroneous": one.erroneous,
            "k": k,
            "match": one.match,
        }
        for k, outcomes in by_k.items()
        for one in outcomes
    ]
    return pa.Table.from_pylist(rows, schema=OUTCOMES)


def read_outcomes(table: pa.Table, *, k: int) -> list[Outcome]:
    """The outcomes of one K of an artifact that measures a judge."""
    return [
        Outcome(**{name: row[name] for name in OUTCOMES.names if name != "k"})
        for row in table.to_pylist()
        if row["k"] == k
    ]
