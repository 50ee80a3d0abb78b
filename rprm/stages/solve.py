"""Let a policy solve problems, several times each, and grade its answers.

Reads    problems (rows); model, a training artifact, unless it is a param
Writes   solved problems: N rows per problem, in the order of the samples
Facts    solutions, correct, undecided, unusable, solution_tokens
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
from pydantic import Field

from rprm.attempts import Attempt, attempt_of, counts_of, grades_of, solved_of
from rprm.benchmarks.grading import GraderName
from rprm.data.problem_tables import solved_to_table, table_to_problems
from rprm.engines.base import Engine, Refused, Request, SamplingParams, in_request_order
from rprm.judge import request_seed
from rprm.models import model_digest
from rprm.policy import SYSTEM_PROMPT, FormatName, PolicyFormat, make_policy_format
from rprm.schema import MathProblem
from rprm.stages.critiquing import PRELOAD
from rprm.stages.given import given_model, make_engine_of
from rprm.stages.io import StageIO
from rprm.stages.params import EngineSizes, StageParams


@dataclass(frozen=True, kw_only=True)
class Author:
    """Who writes solutions, in which format."""

    engine: Engine
    name: str
    """Goes into every row; without a path of this machine in it."""
    fmt: PolicyFormat


class Solve:
    kind: ClassVar[str] = "map"
    version: ClassVar[str] = "1"
    preload: ClassVar[tuple[str, ...]] = PRELOAD
    served_roles: ClassVar[tuple[str, ...]] = ("model",)

    class Params(StageParams):
        model: str | None = None
        """Folder, builtin:NAME or a Hub id; None: the input `model`."""
        format: FormatName = "chat"
        system: str | None = SYSTEM_PROMPT
        """What a chat policy is told first; null: no system turn."""
        samples: int = Field(default=8, gt=0)
        """N: solutions of every problem."""
        temperature: float = Field(default=1.0, ge=0)
        top_p: float = Field(default=1.0, gt=0, le=1)
        max_tokens: int = Field(default=2048, gt=0)
        """Of a whole solution."""
        seed: int = 0
        """Sample k of a problem depends on the model and (seed, problem id, k) alone."""
        grader: GraderName = "math-verify"
        """"exact": the answer is the reference, character by character; needs no processes."""
        batch_problems: int = Field(default=64, gt=0)
        """Problems solved together; between batches a worker may stop and progress is told."""
        engine: EngineSizes = EngineSizes()

    def __init__(self, params: Params) -> None:
        self.params = params

    def digests(self) -> Mapping[str, str]:
        model = self.params.model
        return {} if model is None else {"model": model_digest(model)}

    def run(self, io: StageIO, rows: pa.Table) -> Iterator[pa.Table]:
        problems = table_to_problems(rows, source=io.stage)
        author = self._author(io)
        totals: Counter[str] = Counter()
        size = self.params.batch_problems
        for start in range(0, max(len(problems), 1), size):  # without rows: a table with columns
            io.progress(start, len(problems), "problems")
            attempts = list(self._attempts(io, author, problems[start : start + size]))
            grades = grades_of(attempts, self.params.grader, workers=io.cpus)
            solved = [
                solved_of(attempt, generator=author.name, correct=correct)
                for attempt, correct in zip(attempts, grades, strict=True)
            ]
            totals.update(counts_of(attempts, solved))
            io.note(**totals)
            yield solved_to_table(solved)
        io.progress(len(problems), len(problems), "problems")

    def _author(self, io: StageIO) -> Author:
        from rprm.engines.tokenizers import load_tokenizer

        params = self.params
        model = given_model(io, params.model, params.engine)
        fmt = make_policy_format(params.format, load_tokenizer(model.folder), system=params.system)
        engine = make_engine_of(model, threads=io.cpus)
        return Author(engine=engine, name=model.name, fmt=fmt)

    def _attempts(
        self, io: StageIO, author: Author, problems: Sequence[MathProblem]
    ) -> Iterator[Attempt]:
        """In the order of the problems; a problem that the policy refuses is an error row."""
        params = self.params
        requests = [
            Request(
                id=one.id,
                prompt_T=author.fmt.prompt(one.problem, ()),
                n=params.samples,
                seed=request_seed(params.seed, one.id),
            )
            for one in problems
        ]
        sampling = SamplingParams(
            temperature=params.temperature, top_p=params.top_p, max_tokens=params.max_tokens
        )
        answers = in_request_order(requests, author.engine.sample(requests, sampling))
        for problem, answer in zip(problems, answers, strict=True):
            if isinstance(answer, Refused):
                io.error(answer.id, answer.cause, answer.detail)
                continue
            for number, sample in enumerate(answer.samples):
                yield attempt_of(problem, number, sample, author.fmt)
