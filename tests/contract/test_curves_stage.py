"""Does the stage that draws curves say what the functions beneath it say?"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pytest

from rprm.data.problem_tables import StepScores, scores_to_table
from rprm.data.tables import cases_of, solutions_to_table
from rprm.errors import BadInput
from rprm.schema import Critique, Solution, Unparsed, Verdict
from rprm.stages.bench import Bench
from rprm.stages.curves import POINTS, Curves
from rprm.stages.judged import JudgedCase, judged_to_table

NUMBER = 60


@dataclass(kw_only=True)
class FakeView:
    data: pa.Table
    address: str = "rows-0123456789abcdef"
    facts: Mapping[str, Any] = field(default_factory=dict)

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        return self.data

    def errors(self) -> pa.Table:
        return pa.table({"row_id": pa.array([], type=pa.string())})


@dataclass(kw_only=True)
class FakeIO:
    inputs: Mapping[str, Sequence[FakeView]]
    stage: str = "curves"
    facts: dict[str, Any] = field(default_factory=dict)
    logged: list[tuple[str, int, float]] = field(default_factory=list)
    rows: pa.Table | None = None

    def artifact(self, name: str) -> FakeView:
        [found] = self.inputs[name]
        return found

    def artifacts(self, name: str) -> Sequence[FakeView]:
        return self.inputs.get(name, [])

    def note(self, **facts: Any) -> None:
        self.facts |= facts

    def log(self, metrics: Mapping[str, float], *, step: int = 0, **_: Any) -> None:
        self.logged += [(name, step, value) for name, value in metrics.items()]

    def write(self, table: pa.Table) -> None:
        self.rows = table


def solutions() -> list[Solution]:
    return [
        Solution(
            id=f"s{index}",
            problem_id=f"p{index // 2}",
            subset="math" if index < NUMBER / 2 else "gsm8k",
            generator="g",
            problem="q",
            steps=("one", "two", "three"),
            label=index % 4 - 1,
        )
        for index in range(NUMBER)
    ]


def critique(draw: random.Random, right: bool) -> Critique | Unparsed:
    if draw.random() < 0.05:
        return Unparsed(text="", cause="no_marker", num_tokens=1)
    p_yes = min(1.0, max(0.0, draw.gauss(0.65 if right else 0.35, 0.3)))
    verdict = Verdict.YES if p_yes >= 0.5 else Verdict.NO
    return Critique(text="", verdict=verdict, p_yes=p_yes, num_tokens=1)


def judged(critiques: int = 4) -> pa.Table:
    draw = random.Random(0)
    return judged_to_table(
        JudgedCase(
            case=case,
            engine="fake",
            critiques_K=tuple(critique(draw, bool(case.gold)) for _ in range(critiques)),
        )
        for one in solutions()
        for case in cases_of(one, up_to_first_error=True)
    )


def run(params: Mapping[str, Any], stage: type[Any] = Curves, **inputs: pa.Table) -> FakeIO:
    tables = {"solutions": solutions_to_table(solutions()), **inputs}
    io = FakeIO(inputs={name: [FakeView(data=data)] for name, data in tables.items()})
    defaults = {"system": "judge", "resamples": 100}
    stage(stage.Params(**defaults | dict(params))).run(io)
    return io


def test_every_k_has_its_interval_and_agrees_with_the_benchmark() -> None:
    io = run({}, judged=judged())
    bench = run({"ks": [1, 2, 3, 4]}, Bench, judged=judged())
    assert [one["k"] for one in io.facts["k_curve"]] == [1, 2, 3, 4]
    for ours, theirs in zip(io.facts["k_curve"], bench.facts["curve"], strict=True):
        assert ours["f1"] == theirs["f1"]
        assert ours["f1"]["low"] <= ours["f1"]["value"] <= ours["f1"]["high"]
    assert io.facts["k_curve"][0]["gain"] is None
    assert io.facts["k_curve"][3]["gain"]["value"] > 0


def test_the_threshold_curve_goes_through_the_headline() -> None:
    io = run({"thresholds": [0.3, 0.7]}, judged=judged())
    curve = {one["threshold"]: one for one in io.facts["threshold_curve"]}
    assert list(curve) == [0.3, 0.5, 0.7]
    assert curve[0.5]["f1"] == io.facts["k_curve"][-1]["f1"]
    assert curve[0.5]["gain"] is None
    assert ("processbench/average/f1_by_threshold", 300, curve[0.3]["f1"]["value"]) in io.logged
    assert ("processbench/average/f1_by_k", 1, io.facts["k_curve"][0]["f1"]["value"]) in io.logged


def test_a_row_is_written_per_curve_place_and_metric() -> None:
    io = run({"thresholds": [0.3, 0.7]}, judged=judged())
    assert io.rows is not None
    assert io.rows.schema == POINTS
    assert io.rows.num_rows == 3 * (4 + 3)


def test_scores_have_a_curve_over_thresholds_alone() -> None:
    found = [
        StepScores(
            solution_id=one.id,
            engine="peer",
            scores_S=tuple(0.2 if step == one.label else 0.6 for step in range(3)),
        )
        for one in solutions()
    ]
    io = run({"thresholds": [0.1, 0.7]}, scores=scores_to_table(found))
    assert io.facts["k_curve"] == []
    values = [one["f1"]["value"] for one in io.facts["threshold_curve"]]
    assert values == [0, 100, 0]


def test_what_has_no_curve_is_told() -> None:
    named = StepScores(solution_id="s0", engine="critic", scores_S=None, prediction=1)
    with pytest.raises(BadInput, match="name an index, such as 's0'"):
        run({}, scores=scores_to_table([named]))
    with pytest.raises(BadInput, match="0 inputs that judge"):
        run({})
    with pytest.raises(BadInput, match="has 4 critiques, not 5"):
        run({"critiques": 5}, judged=judged())
