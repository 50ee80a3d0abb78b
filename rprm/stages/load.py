"""Load labelled solutions from a real data set.

Writes   solutions, one row each; of PRMBench also error_steps, all wrong steps of each
Facts    source, revision, digest, and the counts of every rule of the loader
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

from pydantic import Field

from rprm.data.prm800k import Prm800kOptions, load_prm800k
from rprm.data.prmbench import PrmItem, items_to_table, load_prmbench
from rprm.data.processbench import load_processbench
from rprm.data.sources import pin
from rprm.data.step_labels import exclude_overlap, load_step_labels
from rprm.data.tables import solutions_to_table
from rprm.errors import BadInput
from rprm.schema import Solution
from rprm.stages.io import StageIO
from rprm.stages.params import StageParams


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    solutions: Sequence[Solution]
    facts: Mapping[str, Any]
    items: Mapping[str, PrmItem] | None = None
    """prmbench: the same by id, with all wrong steps."""


class Load:
    kind: ClassVar[str] = "single"
    version: ClassVar[str] = "1"
    preload: ClassVar[tuple[str, ...]] = ()

    class Params(StageParams):
        format: Literal["processbench", "step_labels", "prm800k", "prmbench"]
        source: str
        """A file, folder or glob, data:… below RPRM_DATA, or hf://org/name@revision."""
        revision: str | None = None
        subsets: tuple[str, ...] | None = None
        """processbench: which ones; prmbench: which classes; None: all."""
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
        loaded = self._load()
        solutions = loaded.solutions
        io.note(**loaded.facts)
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
        if loaded.items is None:
            io.write(solutions_to_table(chosen))
        else:
            io.write(items_to_table(loaded.items[one.id] for one in chosen))

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
                return Loaded(solutions=bench.solutions, facts=facts | _origin(bench.source))
            case "step_labels":
                labels = load_step_labels(params.source, revision=params.revision)
                facts = {"rules": dict(labels.counts)}
                return Loaded(solutions=labels.solutions, facts=facts | _origin(labels.source))
            case "prm800k":
                raw = load_prm800k(
                    params.source,
                    options=Prm800kOptions(neutral=params.neutral),
                    revision=params.revision,
                )
                facts = {"rules": dict(raw.counts)}
                return Loaded(solutions=raw.solutions, facts=facts | _origin(raw.source))
            case "prmbench":
                return self._load_prmbench()

    def _load_prmbench(self) -> Loaded:
        data = load_prmbench(self.params.source, revision=self.params.revision)
        wanted = self.params.subsets
        missing = sorted(set(wanted or ()) - {one.classification for one in data.classes})
        if missing:
            raise BadInput(
                f"{self.params.source} has no class {', '.join(missing)}.",
                fix=f"use {', '.join(one.classification for one in data.classes)}",
            )
        items = {
            item.solution.id: item
            for item in data.items
            if wanted is None or item.solution.subset in wanted
        }
        facts = {
            "rules": dict(data.counts),
            "duplicates": list(data.duplicates),
            "classes": [asdict(one) for one in data.classes],
        }
        solutions = [item.solution for item in items.values()]
        return Loaded(solutions=solutions, facts=facts | _origin(data.source), items=items)

    def _sample(self, solutions: Sequence[Solution]) -> Sequence[Solution]:
        if self.params.limit is None or self.params.limit >= len(solutions):
            return solutions
        chosen = set(
            random.Random(self.params.seed).sample(range(len(solutions)), self.params.limit)
        )
        return [one for index, one in enumerate(solutions) if index in chosen]


def _origin(source: Any) -> dict[str, Any]:
    return {"source": source.name, "revision": source.revision, "digest": source.digest}
