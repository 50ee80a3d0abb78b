"""Does the stage read solutions and judgements rightly, and leave no answer to the labels?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pytest

from rprm.data.problem_tables import Solved, StepScores, scores_to_table, solved_to_table
from rprm.data.tables import cases_of
from rprm.errors import BadInput
from rprm.schema import Critique, Solution, Unparsed, Verdict
from rprm.stages.best_of_n import BestOfN
from rprm.stages.judged import JudgedCase, judged_to_table


@dataclass
class FakeArtifact:
    rows: pa.Table
    facts: dict[str, Any] = field(default_factory=dict)
    stage: str = "upstream"
    address: str = "upstream-0123456789abcdef"
    refused: tuple[str, ...] = ()

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        return self.rows if columns is None else self.rows.select(list(columns))

    def errors(self) -> pa.Table:
        return pa.table({"row_id": pa.array(self.refused, type=pa.string())})


@dataclass
class FakeIO:
    inputs: dict[str, FakeArtifact]
    stage: str = "choose"
    facts: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    tracked: list[Any] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)

    def artifact(self, name: str) -> FakeArtifact:
        return self.inputs[name]

    def artifacts(self, name: str) -> list[FakeArtifact]:
        return [self.inputs[name]] if name in self.inputs else []

    def note(self, **facts: Any) -> None:
        self.facts.update(facts)

    def log(self, metrics: dict[str, float], **more: Any) -> None:
        self.metrics.update(metrics)
        self.tracked.append(more)

    def write(self, table: pa.Table) -> None:
        self.rows = table.to_pylist()


def solution(problem: str, sample: int, correct: bool | None, *, label: int = -1) -> Solved:
    return Solved(
        solution=Solution(
            id=f"{problem}/{sample}",
            problem_id=problem,
            subset="chain",
            generator="",
            problem=problem,
            steps=("one", "two"),
            label=label,
        ),
        sample=sample,
        answer=str(sample % 2),
        reference="0",
        correct=correct,
        num_tokens=10,
    )


SOLVED = [
    solution("a", 0, False),
    solution("a", 1, True),
    solution("b", 0, True),
    solution("b", 1, None),
]


def critique(p_yes: float | None) -> Critique | Unparsed:
    if p_yes is None:
        return Unparsed(text="?", cause="no_marker", num_tokens=5)
    return Critique(text="!", verdict=Verdict.YES, p_yes=p_yes, num_tokens=5)


def judged(beliefs: dict[str, list[list[float | None]]], **options: Any) -> FakeArtifact:
    """By solution: K beliefs per step."""
    rows = [
        JudgedCase(
            case=case,
            engine="judge",
            critiques_K=tuple(map(critique, beliefs[case.solution_id][case.step])),
        )
        for one in SOLVED
        for case in cases_of(one.solution, up_to_first_error=False)
        if case.step < len(beliefs.get(one.solution.id, []))
    ]
    return FakeArtifact(judged_to_table(rows), **options)


BELIEFS: dict[str, list[list[float | None]]] = {
    "a/0": [[0.9, 0.1], [0.9, 0.1]],
    "a/1": [[0.8, 0.8], [0.8, 0.8]],
    "b/0": [[0.5, 0.5], [0.9, 0.9]],
    "b/1": [[0.6, 0.6], [0.6, 0.6]],
}


def run(judge: FakeArtifact, name: str = "judged", **params: Any) -> FakeIO:
    io = FakeIO({"solved": FakeArtifact(solved_to_table(reversed(SOLVED))), name: judge})
    options = {"benchmark": "world", "system": "sft", "resamples": 50} | params
    BestOfN(BestOfN.Params(**options)).run(io)  # type: ignore[arg-type]
    return io


def test_the_solution_with_the_highest_reward_is_chosen() -> None:
    io = run(judged(BELIEFS))
    assert io.facts["methods"]["best_of_n"]["value"] == 50  # a/1 and b/1, which nobody graded
    assert io.facts["methods"]["pass_at_n"]["value"] == 100
    assert io.facts["differences"]["best_of_n - pass_at_1"]["value"] == 0
    assert {name: io.facts[name] for name in ("n", "problems", "undecided", "unjudged")} == {
        "n": 2,
        "problems": 2,
        "undecided": 1,
        "unjudged": 0,
    }
    assert io.facts["aggregator"] == "min"
    assert io.facts["policy_tokens"] == 40
    assert io.facts["judge_tokens"] == 80
    chosen = {row["problem_id"]: row["correct"] for row in io.rows if row["method"] == "best_of_n"}
    assert chosen == {"a": 1.0, "b": 0.0}


def test_the_aggregator_decides_which_step_counts() -> None:
    io = run(judged(BELIEFS), aggregator="last")
    assert io.facts["methods"]["best_of_n"]["value"] == 100


def test_fewer_critiques_are_the_first_ones_drawn() -> None:
    io = run(judged(BELIEFS), critiques=1)
    assert io.facts["methods"]["best_of_n"]["value"] == 0  # a/0 looked best at first
    assert io.facts["judge_tokens"] == 40
    with pytest.raises(BadInput, match="has 2 critiques, not 3"):
        run(judged(BELIEFS), critiques=3)


def test_a_step_without_a_parsed_critique_leaves_its_solution_unjudged() -> None:
    io = run(judged(BELIEFS | {"a/1": [[None, None], [0.8, 0.8]]}))
    assert io.facts["unjudged"] == 1
    assert io.facts["methods"]["best_of_n"]["value"] == 0


def test_a_refused_step_leaves_its_solution_unjudged() -> None:
    io = run(judged(BELIEFS | {"a/1": [[0.8, 0.8]]}, refused=("a/1:1",)))
    assert io.facts["unjudged"] == 1


def test_steps_that_were_never_judged_are_no_hint_which_solution_is_right() -> None:
    with pytest.raises(BadInput, match="1 steps were not judged, such as a/0:1") as caught:
        run(judged(BELIEFS | {"a/0": [[0.1, 0.1]]}))
    assert "all_steps" in str(caught.value)


def scores(values: dict[str, tuple[float | None, ...]], **options: Any) -> FakeArtifact:
    rows = [
        StepScores(solution_id=name, engine="peer", scores_S=found)
        for name, found in values.items()
    ]
    return FakeArtifact(scores_to_table(rows), **options)


PEER: dict[str, tuple[float | None, ...]] = {
    "a/0": (-1.0, -2.0),
    "a/1": (-1.0, -3.0),
    "b/0": (2.0, 1.0),
    "b/1": (0.5, 0.5),
}


def test_step_scores_are_read_and_joined_as_their_judge_was_published() -> None:
    product = run(scores(PEER, facts={"aggregator": "product"}), "scores")
    assert product.facts["aggregator"] == "product"
    assert product.facts["judge_tokens"] is None
    assert product.facts["methods"]["best_of_n"]["value"] == 100  # 3 > 2 and 2 > 0.25
    mean = run(scores(PEER), "scores", aggregator="mean")
    assert mean.facts["methods"]["best_of_n"]["value"] == 50  # -1.5 > -2 and 1.5 > 0.5


def test_a_step_that_a_judge_could_not_score_leaves_its_solution_unjudged() -> None:
    assert run(scores(PEER | {"b/0": (2.0, None)}), "scores").facts["unjudged"] == 1
    gone = {name: found for name, found in PEER.items() if name != "b/0"}
    assert run(scores(gone, refused=("b/0",)), "scores").facts["unjudged"] == 1
    with pytest.raises(BadInput, match="2 steps were not judged"):
        run(scores(gone), "scores")


def test_one_judge_is_needed() -> None:
    io = FakeIO({"solved": FakeArtifact(solved_to_table(SOLVED))})
    with pytest.raises(BadInput, match="0 judges are given"):
        BestOfN(BestOfN.Params(benchmark="b", system="s")).run(io)  # type: ignore[arg-type]


def test_metrics_are_named_by_benchmark_and_subset() -> None:
    io = run(judged(BELIEFS))
    assert io.metrics["world/chain/best_of_n"] == io.metrics["world/average/best_of_n"] == 50
    assert io.metrics["world/average/pass_at_n_by_n"] == 100
    assert [more.get("step") for more in io.tracked] == [1, 2, None]
    assert [point["n"] for point in io.facts["by_n"]] == [1, 2]
