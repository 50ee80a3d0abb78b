"""How many problems does a way to solve them solve?  With intervals, and beside a baseline.

Reads    solved (solved problems, such as a guided search's); optional: problems, those that were
         asked (one without a solution is not solved; without this input it is left out); baseline,
         solved problems of which the mean over samples is compared on the same problems; model,
         the judge
Writes   one row per problem: the share of its solutions that are right
Facts    system, benchmark, problems, undecided, refused, missing, methods, policy_tokens,
         judge_tokens, baseline_tokens, stopped, differences
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from rprm.benchmarks.resampling import Floats, interval, paired
from rprm.data.problem_tables import table_to_problems, table_to_solved
from rprm.errors import BadInput
from rprm.stages.io import ArtifactView, StageIO
from rprm.stages.measuring import checkpoint_of, dataset_of
from rprm.stages.params import StageParams

COLUMNS: dict[str, pa.DataType] = {
    "problem_id": pa.string(),
    "subset": pa.string(),
    "method": pa.string(),
    "correct": pa.float64(),
}
SHARES = pa.schema(list(COLUMNS.items()))
"""One row per problem: the share of its solutions that are right."""

BASELINE = "pass_at_1"
"""What the baseline is called: the mean over its samples is what its policy does alone."""

Problem = tuple[str, str]
"""Subset and problem id."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grades:
    """Per problem how many solutions there are and how many are right."""

    right: Mapping[Problem, int]
    number: Mapping[Problem, int]

    def share(self, problem: Problem) -> float:
        number = self.number.get(problem, 0)
        return self.right.get(problem, 0) / number if number else 0.0

    def sums(self, problems: Sequence[Problem]) -> list[Floats]:
        """By subset [P, 2]: the share solved, and 1, per problem."""
        subsets = sorted({subset for subset, _ in problems})
        return [
            np.array([[self.share(one), 1.0] for one in problems if one[0] == subset])
            for subset in subsets
        ]


class Accuracy:
    kind: ClassVar[str] = "single"
    version: ClassVar[str] = "1"
    preload: ClassVar[tuple[str, ...]] = ()

    class Params(StageParams):
        benchmark: str
        """What the problems are called, such as "small_world" or "math500"."""
        system: str
        """What the report calls the judge, such as "sft" or "dpo"."""
        method: str = "guided_search"
        """How the problems were solved."""
        resamples: int = Field(default=2000, gt=0)
        """Bootstrap resamples of whole problems."""
        seed: int = 0

    def __init__(self, params: Params) -> None:
        self.params = params

    def run(self, io: StageIO) -> None:
        params, source = self.params, io.artifact("solved")
        grades = _grades(source)
        problems = _asked(io, grades)
        strata = grades.sums(problems)
        found = interval(strata, _percent, num_resamples=params.resamples, seed=params.seed)
        io.note(
            system=params.system,
            benchmark=params.benchmark,
            problems=len(problems),
            undecided=sum(one is None for one in source.table(["correct"])["correct"].to_pylist()),
            refused=source.errors().num_rows,
            missing=sum(one not in grades.number for one in problems),
            methods={params.method: found.as_json()},
            **_costs(source),
            **self._beside_baseline(io, grades, problems),
        )
        self._log(io, grades, problems, found.estimate)
        rows = [
            {
                "problem_id": name,
                "subset": subset,
                "method": params.method,
                "correct": grades.share((subset, name)),
            }
            for subset, name in problems
        ]
        io.write(pa.Table.from_pylist(rows, schema=SHARES))

    def _beside_baseline(
        self, io: StageIO, ours: Grades, problems: Sequence[Problem]
    ) -> dict[str, Any]:
        given = io.artifacts("baseline")
        if not given:
            return {}
        theirs = _grades(given[0])
        shared = [one for one in problems if one in theirs.number]
        if not shared:
            raise BadInput(
                f"stage {io.stage}: solved and baseline share no problem.",
                fix="give solutions of the same problems",
            )
        found = paired(
            ours.sums(shared),
            theirs.sums(shared),
            _percent,
            num_resamples=self.params.resamples,
            seed=self.params.seed,
        )
        difference = found.difference.as_json() | {"problems": len(shared)}
        return {
            "differences": {f"{self.params.method} - {BASELINE}": difference},
            "baseline_tokens": _costs(given[0])["policy_tokens"],
        }

    def _log(
        self, io: StageIO, grades: Grades, problems: Sequence[Problem], average: float
    ) -> None:
        prefix, method = self.params.benchmark, self.params.method
        values = {f"{prefix}/average/{method}": average}
        for subset in sorted({subset for subset, _ in problems}):
            shares = [grades.share(one) for one in problems if one[0] == subset]
            values[f"{prefix}/{subset}/{method}"] = 100 * sum(shares) / len(shares)
        asked = (io.artifacts("problems") or [io.artifact("solved")])[0]
        io.log(
            values,
            checkpoint=checkpoint_of(io),
            dataset=dataset_of(prefix, asked),
        )


def _grades(artifact: ArtifactView) -> Grades:
    solved = table_to_solved(artifact.table(), source=artifact.stage)
    number = Counter((one.solution.subset, one.solution.problem_id) for one in solved)
    right = Counter((one.solution.subset, one.solution.problem_id) for one in solved if one.correct)
    return Grades(right=right, number=number)


def _asked(io: StageIO, grades: Grades) -> list[Problem]:
    given = io.artifacts("problems")
    problems = list(grades.number)
    if given:
        asked = table_to_problems(given[0].table(), source=given[0].stage)
        problems = [(one.subset, one.id) for one in asked]
    if not problems:
        raise BadInput(f"stage {io.stage}: there is no solution to measure.")
    strangers = sorted(grades.number.keys() - set(problems))
    if strangers:
        raise BadInput(
            f"stage {io.stage}: {len(strangers)} solved problems were not asked, such as"
            f" {strangers[0][1]}.",
            fix="give the problems that were solved",
        )
    return problems


def _costs(artifact: ArtifactView) -> dict[str, Any]:
    """What was sampled in all, by the counts of the stage that solved the problems."""
    facts = artifact.facts
    stopped = {
        name.removeprefix("stopped_"): value
        for name, value in facts.items()
        if name.startswith("stopped_")
    }
    return {
        "policy_tokens": facts.get("policy_tokens", facts.get("solution_tokens")),
        "judge_tokens": facts.get("judge_tokens", 0),
        "stopped": stopped,
    }


def _percent(sums_RC: Floats) -> Floats:
    """Of a resample, which has as many problems as there are."""
    values: Floats = 100 * sums_RC[:, 0] / sums_RC[:, 1]
    return values
