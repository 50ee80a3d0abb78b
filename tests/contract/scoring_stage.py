"""Which stages stand in for a peer and a judge in tests?  They score steps by what they say."""

from __future__ import annotations

from typing import ClassVar

from rprm.data.problem_tables import StepScores, scores_to_table
from rprm.data.tables import cases_of, table_to_solutions
from rprm.schema import Critique, Unparsed, Verdict
from rprm.stages.io import StageIO
from rprm.stages.judged import JudgedCase, judged_to_table
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


class TextJudged:
    """The same as two critiques per step, of which "?" has none that can be read."""

    kind: ClassVar[str] = "single"
    version: ClassVar[str] = "1"
    preload: ClassVar[tuple[str, ...]] = ()

    class Params(StageParams):
        all_steps: bool = False

    def __init__(self, params: Params) -> None:
        self.params = params

    def run(self, io: StageIO) -> None:
        solutions = table_to_solutions(io.artifact("solutions").table())
        cases = [
            case
            for one in solutions
            if "refuse" not in one.steps
            for case in cases_of(one, up_to_first_error=not self.params.all_steps)
        ]
        io.write(
            judged_to_table(
                JudgedCase(case=case, engine="text", critiques_K=_critiques(case.now_step))
                for case in cases
            )
        )


def _critiques(step: str) -> tuple[Critique | Unparsed, ...]:
    if step == "?":
        return (Unparsed(text="?", cause="no_marker", num_tokens=1),) * 2
    belief = float(step)
    verdict = Verdict.YES if belief > 0.5 else Verdict.NO
    return (Critique(text=step, verdict=verdict, p_yes=belief, num_tokens=1),) * 2
