"""Pose problems of the small world, with exact answers.

Writes   problems, one row each
Facts    problems
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import Field

from rprm.data import chains
from rprm.data.chain_checks import true_steps
from rprm.data.problem_tables import problems_to_table
from rprm.schema import MathProblem
from rprm.stages.io import StageIO
from rprm.stages.params import SplitName, StageParams


class ChainProblems:
    kind: ClassVar[str] = "map"
    version: ClassVar[str] = "1"
    preload: ClassVar[tuple[str, ...]] = ()

    class Params(StageParams):
        problems: int = Field(gt=0)
        split: SplitName
        """Splits share no problem, whatever the seeds."""
        seed: int = 0
        """Other stages of the same seed and split have the very same problems."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def num_rows(self) -> int:
        return self.params.problems

    def run(self, io: StageIO, rows: pa.Table) -> Iterator[pa.Table]:
        numbers: list[Any] = rows.column("row").to_pylist()
        posed = [chains.problem(self.params.seed, number, self.params.split) for number in numbers]
        io.note(problems=len(posed))
        yield problems_to_table(
            MathProblem(
                id=one.id,
                subset=chains.SUBSET,
                problem=one.text,
                answer=str(true_steps(one)[-1].result),
            )
            for one in posed
        )
