"""Which stage stands in for a peer in tests?  One that scores steps by what they say."""

from __future__ import annotations

from typing import ClassVar

from rprm.data.problem_tables import StepScores, scores_to_table
from rprm.data.tables import table_to_solutions
from rprm.stages.io import StageIO
from rprm.stages.params import StageParams


class TextScores:
    """A step that reads as a number has it as its score; "refuse" refuses the solution; "?" is a
    step without a score."""

    kind: ClassVar[str] = "single"
    version: ClassVar[str] = "1"
    preload: ClassVar[tuple[str, ...]] = ()

    class Params(StageParams):
        peer: str | None = None

    def __init__(self, params: Params) -> None:
        self.params = params

    def run(self, io: StageIO) -> None:
        solutions = table_to_solutions(io.artifact("solutions").table())
        rows = [
            StepScores(
                solution_id=one.id,
                engine="text",
                scores_S=tuple(None if step == "?" else float(step) for step in one.steps),
            )
            for one in solutions
            if "refuse" not in one.steps
        ]
        io.note(**({"peer": self.params.peer} if self.params.peer else {}))
        io.write(scores_to_table(rows))
