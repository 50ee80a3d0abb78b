"""Does a judge choose well among sampled solutions?  Beside the votes and the policy alone.

Reads    solved, N solutions of every problem; and one of
         judged, critiques of every step of them (a sampling stage with `all_steps`)
         scores, step scores of a judge that writes no critiques, or none that are kept
         optional: model, the judge
Writes   one row per problem and method: how often the method was right
Facts    system, benchmark, n, aggregator, critiques, problems, responses, undecided, unjudged,
         refused (problems that the policy did not attempt: they are left out), methods, subsets,
         by_n, differences, policy_tokens, judge_tokens
Metrics  {benchmark}/{subset}/best_of_n and the other methods; …_by_n with n as the step
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import Field

from rprm.benchmarks import best_of_n
from rprm.benchmarks.best_of_n import Aggregator, Pool, Response
from rprm.benchmarks.n_curve import Point, curve
from rprm.benchmarks.resampling import intervals
from rprm.data.problem_tables import Solved, table_to_scores, table_to_solved
from rprm.errors import BadInput
from rprm.scoring import Aggregate, score
from rprm.stages.accuracy import SHARES
from rprm.stages.io import ArtifactView, StageIO
from rprm.stages.judged import JudgedCase, table_to_judged
from rprm.stages.measuring import checkpoint_of, dataset_of
from rprm.stages.params import StageParams

BASELINES = ("majority", "pass_at_1")
"""What choosing by reward is compared with, on the same problems."""

Scores = Mapping[str, Mapping[int, float | None]]
"""By solution and step."""


class BestOfN:
    kind: ClassVar[str] = "single"
    version: ClassVar[str] = "1"
    preload: ClassVar[tuple[str, ...]] = ()

    class Params(StageParams):
        benchmark: str
        """What the problems are called, such as "small_world" or "math"."""
        system: str
        """What the report calls the judge, such as "sft" or "dpo"."""
        aggregator: Aggregator | None = None
        """How step scores become a reward; None: as the published judge has it, else min."""
        critiques: int | None = Field(default=None, gt=0)
        """judged: K, the first so many critiques of every step; None: all of them."""
        aggregate: Aggregate = Aggregate.SOFT
        """judged: how critiques become the score of a step."""
        resamples: int = Field(default=2000, gt=0)
        """Bootstrap resamples of whole problems."""
        seed: int = 0

    def __init__(self, params: Params) -> None:
        self.params = params

    def run(self, io: StageIO) -> None:
        params, source = self.params, io.artifact("solved")
        solved = table_to_solved(source.table(), source=source.stage)
        given, scores, judge_tokens = self._judge(io)
        refused: list[Any] = given.errors()["row_id"].to_pylist()
        check_judged(solved, scores, frozenset(refused), io.stage)
        pools = make_pools(solved, scores)
        aggregator = params.aggregator or Aggregator(given.facts.get("aggregator", "min"))
        found = best_of_n.evaluate(pools, aggregator=aggregator)
        points = curve(pools, aggregator=aggregator, seed=params.seed)
        io.note(
            system=params.system,
            benchmark=params.benchmark,
            n=found.n,
            aggregator=aggregator.value,
            critiques=params.critiques,
            problems=len(found.problems),
            responses=found.num_responses,
            undecided=found.num_undecided,
            unjudged=found.num_unjudged,
            refused=source.errors().num_rows,
            subsets={name: dict(of) for name, of in found.subsets.items()},
            by_n=[{"n": point.n, **point.values} for point in points],
            policy_tokens=sum(one.num_tokens for one in solved),
            judge_tokens=judge_tokens,
            **self._intervals(found),
        )
        self._log(io, found, points)
        io.write(_table(found))

    def _judge(self, io: StageIO) -> tuple[ArtifactView, Scores, int | None]:
        """The artifact that judges, its scores, and the tokens they cost where that is known."""
        judged, scored = io.artifacts("judged"), io.artifacts("scores")
        if len(judged) + len(scored) != 1:
            raise BadInput(
                f"stage {io.stage}: {len(judged) + len(scored)} judges are given.",
                fix="give inputs.judged or inputs.scores, one artifact",
            )
        if scored:
            return scored[0], _given_scores(scored[0]), None
        rows = list(table_to_judged(judged[0].table(), source=judged[0].stage, need_gold=False))
        scores = step_scores(rows, critiques=self.params.critiques, aggregate=self.params.aggregate)
        used = (one for row in rows for one in row.critiques_K[: self.params.critiques])
        return judged[0], scores, sum(one.num_tokens for one in used)

    def _intervals(self, found: best_of_n.BestOfN) -> dict[str, Any]:
        methods = list(found.average)
        of_methods = best_of_n.method_metrics(methods)
        gains = best_of_n.difference_metrics(methods, baselines=BASELINES)
        values = intervals(
            list(found.sums().values()),
            of_methods | gains,
            num_resamples=self.params.resamples,
            seed=self.params.seed,
        )
        return {
            "methods": {name: values[name].as_json() for name in of_methods},
            "differences": {name: values[name].as_json() for name in gains},
        }

    def _log(self, io: StageIO, found: best_of_n.BestOfN, points: Sequence[Point]) -> None:
        prefix, checkpoint = self.params.benchmark, checkpoint_of(io)
        dataset = dataset_of(prefix, io.artifact("solved"))
        for point in points:
            by_n = {f"{prefix}/average/{name}_by_n": v for name, v in point.values.items()}
            io.log(by_n, step=point.n, checkpoint=checkpoint, dataset=dataset)
        named = {"average": found.average, **found.subsets}
        values = {f"{part}/{name}": v for part, of in named.items() for name, v in of.items()}
        io.log(
            {f"{prefix}/{name}": value for name, value in values.items()},
            checkpoint=checkpoint,
            dataset=dataset,
        )


def step_scores(
    rows: Sequence[JudgedCase], *, critiques: int | None, aggregate: Aggregate
) -> Scores:
    """None for a step whose critiques could not be parsed."""
    steps: dict[str, dict[int, float | None]] = {}
    for row in rows:
        if critiques is not None and len(row.critiques_K) < critiques:
            raise BadInput(
                f"{row.case.id} has {len(row.critiques_K)} critiques, not {critiques}.",
                fix="judge without early stopping, or ask for fewer critiques",
            )
        value = score(row.critiques_K[:critiques], aggregate)
        steps.setdefault(row.case.solution_id, {})[row.case.step] = value
    return steps


def _given_scores(artifact: ArtifactView) -> Scores:
    return {
        row.solution_id: dict(enumerate(row.scores_S or ()))
        for row in table_to_scores(artifact.table())
    }


def check_judged(solved: Sequence[Solved], scores: Scores, refused: Set[str], stage: str) -> None:
    """Every step was judged, or refused by name.

    A judge that stops at a labelled error would leave just the wrong solutions without a reward,
    and so tell which ones are right."""
    missing = [
        f"{one.solution.id}:{step}"
        for one in solved
        for step in range(len(one.solution.steps))
        if step not in scores.get(one.solution.id, {})
        and not {one.solution.id, f"{one.solution.id}:{step}"} & refused
    ]
    if missing:
        raise BadInput(
            f"stage {stage}: {len(missing)} steps were not judged, such as {missing[0]}.",
            fix="judge all steps (`all_steps: true`) of all solutions that are given as `solved`",
        )


def make_pools(solved: Sequence[Solved], scores: Scores) -> list[Pool]:
    """In the order of the problems; responses in that of the samples."""
    problems: dict[tuple[str, str], list[Solved]] = {}
    for one in solved:
        problems.setdefault((one.solution.subset, one.solution.problem_id), []).append(one)
    return [
        Pool(
            problem_id=name,
            subset=subset,
            responses_N=tuple(
                _response(one, scores.get(one.solution.id, {}))
                for one in sorted(of, key=lambda one: one.sample)
            ),
        )
        for (subset, name), of in problems.items()
    ]


def _response(one: Solved, scores: Mapping[int, float | None]) -> Response:
    """A solution with a step that has no score is an unjudged response."""
    found = [scores.get(step) for step in range(len(one.solution.steps))]
    known = tuple(value for value in found if value is not None)
    return Response(
        answer=one.answer,
        correct=one.correct,
        scores=known if len(known) == len(found) else (),
    )


def _table(found: best_of_n.BestOfN) -> pa.Table:
    rows = [
        {"problem_id": one.problem_id, "subset": one.subset, "method": method, "correct": value}
        for one in found.problems
        for method, value in one.correct.items()
    ]
    return pa.Table.from_pylist(rows, schema=SHARES)
