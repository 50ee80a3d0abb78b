"""Load labelled solutions from a real data set.

Writes   solutions, one row each
Facts    source, revision, digest, and the counts of every rule of the loader
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Literal

from pydantic import Field

from rprm.data.prm800k import Prm800kOptions, load_prm800k
from rprm.data.processbench import load_processbench
from rprm.data.sources import pin
from rprm.data.step_labels import exclude_overlap, load_step_labels
from rprm.data.tables import solutions_to_table
from rprm.schema import Solution
from rprm.stages.io import StageIO
from rprm.stages.params import StageParams

Loaded = tuple[Sequence[Solution], Mapping[str, Any]]


class Load:
    kind: ClassVar[str] = "single"
    version: ClassVar[str] = "1"
    preload: ClassVar[tuple[str, ...]] = ()

    class Params(StageParams):
        format: Literal["processbench", "step_labels", "prm800k"]
        source: str
        """A file, folder or glob, data:… below RPRM_DATA, or hf://org/name@revision."""
        revision: str | None = None
        subsets: tuple[str, ...] | None = None
        """processbench: which ones; None: all."""
        limit: int | None = Field(default=None, gt=0)
        """A seeded sample of so many solutions; None: all."""
        seed: int = 0
        exclude_problems_of: str | None = None
        """A ProcessBench source whose problems are left out: training on them would
        contaminate the benchmark."""
        neutral: Literal["good", "drop", "bad"] = "good"
        """prm800k: what a rating of 0 means."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def digests(self) -> Mapping[str, str]:
        params = self.params
        digests = {"source": pin(params.source, revision=params.revision)}
        if params.exclude_problems_of:
            digests["excluded"] = pin(params.exclude_problems_of)
        return digests

    def run(self, io: StageIO) -> None:
        solutions, facts = self._load()
        io.note(**facts)
        if self.params.exclude_problems_of:
            banned = load_processbench(self.params.exclude_problems_of).solutions
            excluded = exclude_overlap(solutions, {one.problem for one in banned})
            io.note(
                excluded_solutions=excluded.num_solutions, excluded_problems=excluded.num_problems
            )
            solutions = excluded.kept
        chosen = self._sample(solutions)
        io.note(
            solutions=len(chosen),
            solutions_with_error=sum(one.label >= 0 for one in chosen),
        )
        io.write(solutions_to_table(chosen))

    def _load(self) -> Loaded:
        params = self.params
        match params.format:
            case "processbench":
                bench = load_processbench(
                    params.source, subsets=params.subsets, revision=params.revision
                )
                facts = {
                    "subsets": [asdict(one) for one in bench.subsets],
                    "warnings": list(bench.warnings),
                }
                return bench.solutions, facts | _origin(bench.source)
            case "step_labels":
                labels = load_step_labels(params.source, revision=params.revision)
                return labels.solutions, {"rules": dict(labels.counts)} | _origin(labels.source)
            case "prm800k":
                raw = load_prm800k(
                    params.source,
                    options=Prm800kOptions(neutral=params.neutral),
                    revision=params.revision,
                )
                return raw.solutions, {"rules": dict(raw.counts)} | _origin(raw.source)

    def _sample(self, solutions: Sequence[Solution]) -> Sequence[Solution]:
        if self.params.limit is None or self.params.limit >= len(solutions):
            return solutions
        chosen = set(
            random.Random(self.params.seed).sample(range(len(solutions)), self.params.limit)
        )
        return [one for index, one in enumerate(solutions) if index in chosen]


def _origin(source: Any) -> dict[str, Any]:
    return {"source": source.name, "revision": source.revision, "digest": source.digest}
