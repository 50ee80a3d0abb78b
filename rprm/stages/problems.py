"""Load the problems that a policy is to solve.

Writes   problems, one row each: id, subset, problem, reference answer
Facts    problems, and per set: source, revision, digest, size
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from rprm.data.math_sets import (
    MATH_SETS,
    SEED_SUBSETS,
    MathSet,
    MathSetName,
    default_source,
    load_math_set,
)
from rprm.data.problem_tables import problems_to_table
from rprm.data.sources import pin
from rprm.schema import MathProblem
from rprm.stages.io import StageIO
from rprm.stages.params import StageParams


class Problems:
    kind: ClassVar[str] = "single"
    version: ClassVar[str] = "1"
    preload: ClassVar[tuple[str, ...]] = ()

    class Params(StageParams):
        sets: tuple[MathSetName, ...] = Field(min_length=1)
        """In this order."""
        sources: Mapping[MathSetName, str] = {}
        """Where a set is, if not at data:math/NAME.jsonl: a file, data:…, or hf://…@revision."""
        seed_subset: bool = False
        """Of OlympiadBench and College Math, the 200 problems each that the R-PRM tables used."""
        seed_source: str = SEED_SUBSETS
        """The file that lists them."""
        limit: int | None = Field(default=None, gt=0)
        """A seeded sample of so many problems of each set; None: all."""
        seed: int = 0

    def __init__(self, params: Params) -> None:
        self.params = params

    def digests(self) -> Mapping[str, str]:
        digests: dict[str, str] = {name: pin(self._source(name)) for name in self.params.sets}
        if self.params.seed_subset and any(MATH_SETS[name].seed_key for name in self.params.sets):
            digests["seed_subsets"] = pin(self.params.seed_source)
        return digests

    def run(self, io: StageIO) -> None:
        sets = [self._load(name) for name in self.params.sets]
        problems = [one for of in sets for one in self._sample(of.problems)]
        io.note(
            problems=len(problems),
            sets=[_facts(one) for one in sets],
            warnings=[warning for one in sets for warning in one.warnings],
        )
        io.write(problems_to_table(problems))

    def _source(self, name: MathSetName) -> str:
        return self.params.sources.get(name, default_source(name))

    def _load(self, name: MathSetName) -> MathSet:
        return load_math_set(
            name,
            source=self._source(name),
            seed_subset=self.params.seed_subset,
            seed_source=self.params.seed_source,
        )

    def _sample(self, problems: Sequence[MathProblem]) -> Sequence[MathProblem]:
        if self.params.limit is None or self.params.limit >= len(problems):
            return problems
        rng = random.Random(self.params.seed)
        chosen = set(rng.sample(range(len(problems)), self.params.limit))
        return [one for index, one in enumerate(problems) if index in chosen]


def _facts(one: MathSet) -> dict[str, Any]:
    return {
        "name": one.name,
        "problems": len(one.problems),
        "rows": one.num_rows,
        "source": one.source.name,
        "revision": one.source.revision,
        "digest": one.source.digest,
        "seed_subset": one.seed_source.digest if one.seed_source else None,
    }
