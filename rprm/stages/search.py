"""Let a judge guide a policy through problems, step by step, and grade the answers.

Reads    problems (rows); model, the policy, and judge: training artifacts, unless they are params
Writes   solved problems, one row each, with what the search cost and the candidates it saw
Facts    solutions, correct, undecided, unusable, solution_tokens (of the steps that were kept),
         policy_tokens and judge_tokens (of everything that was sampled), candidates, critiques,
         unparsed, unscored, retries, refused, and stopped_CAUSE for every cause

A solution that its policy did not finish is unusable: it has no answer and is not correct.  Where
the policy refuses the bare problem there is nothing to keep, and the problem becomes an error row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import pyarrow as pa
from pydantic import Field, model_validator

from rprm.attempts import (
    NOTHING_WRITTEN,
    Attempt,
    counts_of,
    grades_of,
    solved_of,
)
from rprm.benchmarks.best_of_n import Aggregator
from rprm.benchmarks.grading import GraderName
from rprm.benchmarks.guided_search import (
    JudgeSide,
    PolicySide,
    SearchParams,
    SearchResult,
    StopCause,
    guided_search,
)
from rprm.data.problem_tables import SOLVED, Solved, solved_to_table, table_to_problems
from rprm.engines.base import SamplingParams
from rprm.judge import JudgeParams
from rprm.models import model_digest
from rprm.policy import SYSTEM_PROMPT, FormatName, Written, make_policy_format
from rprm.prompting import Renderer, load_template
from rprm.schema import MathProblem
from rprm.stages.critiquing import PRELOAD
from rprm.stages.given import Given, given_model, make_engine_of
from rprm.stages.io import StageIO
from rprm.stages.params import EngineSizes, StageParams

SEARCHED = pa.schema(
    [
        *SOLVED,
        ("scores", pa.list_(pa.float64())),  # of each step; null where no critique could be parsed
        ("stopped", pa.string()),  # what ended the search: a name in StopCause
        ("policy_tokens", pa.int64()),
        ("judge_tokens", pa.int64()),
        ("critiques", pa.int64()),
        ("unparsed", pa.int64()),
        ("trace", pa.string()),  # for people to read
    ]
)


class Search:
    kind: ClassVar[str] = "map"
    version: ClassVar[str] = "1"
    preload: ClassVar[tuple[str, ...]] = PRELOAD
    served_roles: ClassVar[tuple[str, ...]] = ("model", "judge")

    class Params(StageParams):
        """The defaults are the paper's."""

        model: str | None = None
        """The policy: a folder, builtin:NAME or a Hub id; None: the input `model`."""
        judge: str | None = None
        """A folder, builtin:NAME or a Hub id; None: the input `judge`."""
        format: FormatName = "chat"
        """How the policy writes steps."""
        system: str | None = SYSTEM_PROMPT
        """What a chat policy is told first; null: no system turn."""
        strategy: Literal["greedy", "beam"] = "greedy"
        candidates: int = Field(default=8, gt=0)
        """N: samples that a step costs, over all beams."""
        beams: int = Field(default=4, gt=0)
        """B, of the strategy "beam"."""
        expansion: int | None = Field(default=None, gt=0)
        """M: samples of each beam; None: the N are shared evenly."""
        aggregator: Aggregator = Aggregator.MIN
        """What the step scores of a beam are worth together."""
        temperature: float = Field(default=1.0, ge=0)
        top_p: float = Field(default=0.95, gt=0, le=1)
        max_tokens: int = Field(default=512, gt=0)
        """Of one step."""
        template: str = "rprm"
        """Of the judge's prompt: a name in rprm/prompts or a path."""
        num_critiques: int = Field(default=10, gt=0)
        """K: critiques of every candidate."""
        critique_temperature: float = Field(default=0.95, ge=0)
        critique_top_p: float = Field(default=0.95, gt=0, le=1)
        critique_max_tokens: int = Field(default=3072, gt=0)
        max_steps: int = Field(default=30, gt=0)
        """Rounds of a problem; trying again for a usable candidate is one."""
        token_budget: int | None = Field(default=None, gt=0)
        """Tokens of policy and judge together after which a problem starts no further step."""
        judge_lone: bool = True
        """Judge also the candidate that greedy search must take, as the paper does."""
        seed: int = 0
        """Samples depend on the models and (seed, problem id, steps so far, attempt) alone."""
        grader: GraderName = "math-verify"
        """"exact": the answer is the reference, character by character; needs no processes."""
        batch_problems: int = Field(default=64, gt=0)
        """Problems searched together; between batches a worker may stop."""
        engine: EngineSizes = EngineSizes()
        """Of the policy."""
        judge_engine: EngineSizes = EngineSizes()

        @model_validator(mode="after")
        def _check_beams(self) -> Search.Params:
            if self.strategy == "beam" and self.beams > self.candidates:
                raise ValueError(f"{self.candidates} candidates cannot fill {self.beams} beams")
            return self

    def __init__(self, params: Params) -> None:
        self.params = params

    def digests(self) -> Mapping[str, str]:
        models = {"model": self.params.model, "judge": self.params.judge}
        return {
            "template": load_template(self.params.template).sha256,
            **{name: model_digest(model) for name, model in models.items() if model is not None},
        }

    def run(self, io: StageIO, rows: pa.Table) -> Iterator[pa.Table]:
        problems = table_to_problems(rows, source=io.stage)
        author = given_model(io, self.params.model, self.params.engine)
        policy, judge = self._policy(io, author), self._judge(io)
        totals: Counter[str] = Counter()
        size = self.params.batch_problems
        for start in range(0, max(len(problems), 1), size):  # without rows: a table with columns
            batch = problems[start : start + size]
            found = guided_search(batch, policy=policy, judge=judge, params=self._search())
            results = list(_told(io, found, done=start, total=len(problems)))
            kept = [pair for pair in zip(batch, results, strict=True) if _is_kept(io, *pair)]
            solved = self._graded(kept, author.name, totals, workers=io.cpus)
            totals.update(_spent(results))
            io.note(**totals)
            yield searched_to_table(solved, [result for _, result in kept])
        io.progress(len(problems), len(problems), "problems")

    def _graded(
        self,
        found: Sequence[tuple[MathProblem, SearchResult]],
        name: str,
        totals: Counter[str],
        *,
        workers: int,
    ) -> list[Solved]:
        attempts = [attempt_of(problem, result) for problem, result in found]
        grades = grades_of(attempts, self.params.grader, workers=workers)
        solved = [
            solved_of(attempt, generator=name, correct=correct)
            for attempt, correct in zip(attempts, grades, strict=True)
        ]
        totals.update(counts_of(attempts, solved))
        return solved

    def _search(self) -> SearchParams:
        params = self.params
        return SearchParams(
            candidates=params.candidates,
            beams=params.beams if params.strategy == "beam" else 1,
            expansion=params.expansion,
            aggregator=params.aggregator,
            max_steps=params.max_steps,
            token_budget=params.token_budget,
            judge_lone=params.judge_lone,
            seed=params.seed,
        )

    def _policy(self, io: StageIO, author: Given) -> PolicySide:
        from rprm.engines.tokenizers import load_tokenizer

        params = self.params
        sampling = SamplingParams(
            temperature=params.temperature, top_p=params.top_p, max_tokens=params.max_tokens
        )
        return PolicySide(
            engine=make_engine_of(author, threads=io.cpus),
            format=make_policy_format(
                params.format, load_tokenizer(author.folder), system=params.system
            ),
            params=sampling,
        )

    def _judge(self, io: StageIO) -> JudgeSide:
        from rprm.engines.tokenizers import load_tokenizer

        params = self.params
        judge = given_model(io, params.judge, params.judge_engine, role="judge")
        sampling = SamplingParams(
            temperature=params.critique_temperature,
            top_p=params.critique_top_p,
            max_tokens=params.critique_max_tokens,
        )
        return JudgeSide(
            engine=make_engine_of(judge, threads=io.cpus),
            renderer=Renderer(load_template(params.template), load_tokenizer(judge.folder)),
            params=JudgeParams(
                num_critiques=params.num_critiques, sampling=sampling, seed=params.seed
            ),
        )


def attempt_of(problem: MathProblem, result: SearchResult) -> Attempt:
    written = Written(steps=result.steps or (NOTHING_WRITTEN,), answer=result.answer)
    return Attempt(
        problem=problem,
        number=0,
        written=written,
        usable=result.finished,
        num_tokens=result.num_tokens,
    )


def searched_to_table(solved: Sequence[Solved], results: Sequence[SearchResult]) -> pa.Table:
    """The table of solved problems, with more columns; readers of that table can read it."""
    columns: dict[str, list[Any]] = {
        "scores": [list(one.scores_S) for one in results],
        "stopped": [one.stop.value for one in results],
        "policy_tokens": [one.spent.policy_tokens for one in results],
        "judge_tokens": [one.spent.judge_tokens for one in results],
        "critiques": [one.spent.critiques for one in results],
        "unparsed": [one.spent.unparsed for one in results],
        "trace": [one.trace for one in results],
    }
    table = solved_to_table(solved)
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values, type=SEARCHED.field(name).type))
    return table


def _told(
    io: StageIO, results: Iterable[SearchResult], *, done: int, total: int
) -> Iterator[SearchResult]:
    io.progress(done, total, "problems")
    for number, result in enumerate(results, start=1):
        io.progress(done + number, total, "problems")
        yield result


def _is_kept(io: StageIO, problem: MathProblem, result: SearchResult) -> bool:
    if result.steps or result.refused is None:
        return True
    io.error(problem.id, result.refused.cause, result.refused.detail)
    return False


def _spent(results: Sequence[SearchResult]) -> dict[str, int]:
    """Of every problem, also of those that became error rows."""
    counts = {f"stopped_{cause.value}": 0 for cause in StopCause}
    for one in results:
        counts[f"stopped_{one.stop.value}"] += 1
    names = ("policy_tokens", "judge_tokens", "candidates", "critiques", "unparsed")
    for name in (*names, "unscored", "retries", "refused"):
        counts[name] = sum(getattr(one.spent, name) for one in results)
    return counts
