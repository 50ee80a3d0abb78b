"""What does a benchmark stage leave?  A stage that measures nothing and writes as one that does."""

from __future__ import annotations

import random
from typing import Any, ClassVar

import pyarrow as pa

from rprm.benchmarks.processbench import Outcome
from rprm.stages.io import StageIO
from rprm.stages.measuring import outcomes_table, point
from rprm.stages.params import StageParams

KS = (1, 4)


class Rows:
    """The solutions that are measured on."""

    kind: ClassVar[str] = "single"
    version: ClassVar[str] = "1"
    preload: ClassVar[tuple[str, ...]] = ()

    class Params(StageParams):
        number: int

    def __init__(self, params: Params) -> None:
        self.params = params

    def run(self, io: StageIO) -> None:
        io.write(pa.table({"id": [str(index) for index in range(self.params.number)]}))


class Measured:
    """Outcomes of a judge of that skill, from a seeded generator."""

    kind: ClassVar[str] = "single"
    version: ClassVar[str] = "1"
    preload: ClassVar[tuple[str, ...]] = ()

    class Params(StageParams):
        system: str
        skill: float
        seed: int = 0

    def __init__(self, params: Params) -> None:
        self.params = params

    def run(self, io: StageIO) -> None:
        ids = io.artifact("solutions").table().column("id").to_pylist()
        by_k = {k: self._outcomes(ids, k) for k in KS}
        curve: list[dict[str, Any]] = [
            point(k, outcomes, resamples=50, seed=0) for k, outcomes in by_k.items()
        ]
        io.note(system=self.params.system, benchmark="processbench", curve=curve)
        io.write(outcomes_table(by_k))

    def _outcomes(self, ids: list[str], k: int) -> list[Outcome]:
        draw = random.Random(f"{self.params.seed} {k}")
        skill = self.params.skill + 0.02 * k
        return [
            Outcome(
                solution_id=name,
                problem_id=name,
                subset="math",
                erroneous=int(name) % 2 == 0,
                match=float(draw.random() < skill),
            )
            for name in ids
        ]
