"""Make solutions of the small world, with exact labels.

Writes   solutions, one row each
Facts    solutions, solutions_with_error, steps
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import Field

from rprm.data import chains
from rprm.data.tables import solutions_to_table
from rprm.stages.io import StageIO
from rprm.stages.params import SplitName, StageParams


class World:
    kind: ClassVar[str] = "map"
    version: ClassVar[str] = "1"
    preload: ClassVar[tuple[str, ...]] = ()

    class Params(StageParams):
        solutions: int = Field(gt=0)
        split: SplitName
        """Splits share no problem, whatever the seeds."""
        seed: int = 0
        erroneous: float = Field(default=chains.ERRONEOUS, ge=0, le=1)
        """Share of solutions with an error.  Every erroneous one also has right steps before it,
        so 1 makes about as many wrong as right steps."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def num_rows(self) -> int:
        return self.params.solutions

    def run(self, io: StageIO, rows: pa.Table) -> Iterator[pa.Table]:
        numbers: list[Any] = rows.column("row").to_pylist()
        params = self.params
        made = [
            chains.solution(params.seed, number, params.split, erroneous=params.erroneous)
            for number in numbers
        ]
        io.note(
            solutions=len(made),
            solutions_with_error=sum(one.label >= 0 for one in made),
            steps=sum(len(one.steps) for one in made),
        )
        yield solutions_to_table(made)
