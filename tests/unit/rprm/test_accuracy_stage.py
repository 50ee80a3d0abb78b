"""Is the share of solved problems right where problems, samples or grades are missing?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pyarrow as pa
import pytest

from rprm.data.problem_tables import Solved, problems_to_table, solved_to_table
from rprm.errors import BadInput
from rprm.schema import MathProblem, Solution
from rprm.stages.accuracy import Accuracy
from rprm.stages.io import StageIO


@dataclass
class FakeArtifact:
    rows: pa.Table
    facts: dict[str, Any] = field(default_factory=dict)
    stage: str = "upstream"
    address: str = "upstream-0123456789abcdef"
    num_errors: int = 0

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        return self.rows if columns is None else self.rows.select(list(columns))

    def errors(self) -> pa.Table:
        return pa.table({"row_id": [str(number) for number in range(self.num_errors)]})


@dataclass
class FakeIO:
    inputs: dict[str, FakeArtifact]
    stage: str = "accuracy"
    facts: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)

    def artifact(self, name: str) -> FakeArtifact:
        return self.inputs[name]

    def artifacts(self, name: str) -> list[FakeArtifact]:
        return [self.inputs[name]] if name in self.inputs else []

    def note(self, **facts: Any) -> None:
        self.facts.update(facts)

    def log(self, metrics: dict[str, float], **_: Any) -> None:
        self.metrics.update(metrics)

    def write(self, table: pa.Table) -> None:
        self.rows = table.to_pylist()


def solved(grades: dict[str, list[bool | None]], **options: Any) -> FakeArtifact:
    """Problems "a" and "b" are of one set, the others of a second."""
    rows = [
        Solved(
            solution=Solution(
                id=f"{name}/{sample}",
                problem_id=name,
                subset=subset_of(name),
                generator="",
                problem=name,
                steps=("?",),
                label=-1,
            ),
            sample=sample,
            answer=None,
            reference="0",
            correct=correct,
            num_tokens=1,
        )
        for name, of in grades.items()
        for sample, correct in enumerate(of)
    ]
    return FakeArtifact(rows=solved_to_table(rows), **options)


def asked(names: str) -> FakeArtifact:
    return FakeArtifact(
        rows=problems_to_table(
            MathProblem(id=name, subset=subset_of(name), problem=name, answer="0") for name in names
        )
    )


def subset_of(name: str) -> str:
    return "first" if name in "ab" else "second"


def measure(**inputs: FakeArtifact) -> FakeIO:
    io = FakeIO(inputs=inputs)
    Accuracy(Accuracy.Params(benchmark="math", system="dpo", resamples=50)).run(
        cast("StageIO", cast("Any", io))
    )
    return io


def test_the_value_is_the_mean_over_sets_of_the_share_solved() -> None:
    io = measure(solved=solved({"a": [True], "b": [False], "c": [True], "d": [True]}))
    assert io.facts["methods"]["guided_search"]["value"] == 75
    assert io.metrics == {
        "math/average/guided_search": 75,
        "math/first/guided_search": 50,
        "math/second/guided_search": 100,
    }
    assert [row["correct"] for row in io.rows] == [1.0, 0.0, 1.0, 1.0]


def test_what_nobody_could_grade_is_not_solved_and_counted() -> None:
    io = measure(solved=solved({"a": [None], "b": [True]}))
    assert io.facts["undecided"] == 1
    assert io.facts["methods"]["guided_search"]["value"] == 50


@pytest.mark.parametrize(("given", "value", "missing"), [(True, 25, 2), (False, 50, 0)])
def test_a_problem_without_a_solution_is_not_solved_where_the_problems_are_known(
    given: bool, value: float, missing: int
) -> None:
    inputs = {"solved": solved({"a": [True], "b": [False]}, num_errors=2)}
    if given:
        inputs["problems"] = asked("abcd")
    io = measure(**inputs)
    assert io.facts["methods"]["guided_search"]["value"] == value
    assert (io.facts["missing"], io.facts["refused"]) == (missing, 2)


def test_the_difference_to_the_mean_over_samples_is_of_the_same_problems() -> None:
    io = measure(
        solved=solved({"a": [True], "b": [True], "c": [True]}, facts={"policy_tokens": 9}),
        baseline=solved({"a": [True, False], "b": [False, False]}, facts={"solution_tokens": 4}),
    )
    found = io.facts["differences"]["guided_search - pass_at_1"]
    assert (found["value"], found["problems"]) == (75, 2)
    assert (io.facts["policy_tokens"], io.facts["baseline_tokens"]) == (9, 4)


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ({"solved": solved({})}, "no solution to measure"),
        ({"solved": solved({"a": [True]}), "problems": asked("b")}, "were not asked, such as a"),
        ({"solved": solved({"a": [True]}), "baseline": solved({"b": [True]})}, "share no problem"),
    ],
)
def test_what_cannot_be_measured_is_refused(inputs: dict[str, FakeArtifact], reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        measure(**inputs)
