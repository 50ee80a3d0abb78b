"""What does a judge say of whole solutions?  Each step's judgement, and the first error."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rprm.data.tables import cases_of
from rprm.engines.base import Completion, Engine, Refused, Request, SamplingParams
from rprm.errors import BadInput
from rprm.finding import FoundModel
from rprm.judge import JudgeParams, judge
from rprm.models import max_positions
from rprm.prompting import Renderer, Template
from rprm.reading import Given
from rprm.schema import Case, Critique, Judgement, Unparsed
from rprm.scoring import first_error, is_error

BATCH_SOLUTIONS = 64
"""Judged together; the answers do not depend on it."""

MAX_TOKENS = 4096
"""Tokens of a critique in the paper."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judge:
    """A loaded model with the prompt it reads."""

    model: FoundModel
    engine: Engine
    renderer: Renderer


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgedStep:
    text: str
    answer: Judgement | Refused | None
    """None where the step was not judged, because an earlier one is wrong."""

    @property
    def score(self) -> float | None:
        return self.answer.score if isinstance(self.answer, Judgement) else None

    @property
    def critiques(self) -> tuple[Critique | Unparsed, ...]:
        return self.answer.critiques_K if isinstance(self.answer, Judgement) else ()


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgedSolution:
    given: Given
    steps: tuple[JudgedStep, ...]
    params: JudgeParams

    @property
    def first_error(self) -> int | None:
        """0-based; -1 when every step is right; None when a step without a score comes first."""
        return first_error([step.score for step in self.steps], threshold=self.params.threshold)

    @property
    def agrees(self) -> bool | None:
        """With the label, where one was given."""
        return None if self.given.label is None else self.first_error == self.given.label

    @property
    def num_drawn(self) -> int:
        return sum(len(step.critiques) for step in self.steps)

    @property
    def num_at_most(self) -> int:
        """Critiques that judging these steps without early stopping would have drawn."""
        judged = sum(isinstance(step.answer, Judgement) for step in self.steps)
        return judged * self.params.num_critiques

    def is_right(self, step: JudgedStep) -> bool | None:
        return None if step.score is None else not is_error(step.score, self.params.threshold)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Watched:
    """An engine that tells how many critiques it has drawn."""

    engine: Engine
    on_drawn: Callable[[int], None]

    @property
    def name(self) -> str:
        return self.engine.name

    def sample(
        self, requests: Sequence[Request], params: SamplingParams
    ) -> Iterator[Completion | Refused]:
        for answer in self.engine.sample(requests, params):
            self.on_drawn(len(answer.samples) if isinstance(answer, Completion) else 0)
            yield answer


def load_renderer(model: FoundModel, template: Template) -> Renderer:
    """Raises BadInput when the model has no tokenizer, or one that does not fit the template."""
    with_libraries()
    from rprm.engines.tokenizers import load_tokenizer

    return Renderer(template, load_tokenizer(model.folder))


def load_judge(
    model: FoundModel, template: Template, *, threads: int, url: str | None = None
) -> Judge:
    """`url`: vLLM servers of this very model; None: it runs in this process."""
    renderer = load_renderer(model, template)
    from rprm.engines.factory import make_engine

    engine = make_engine(model.folder, threads=threads, url=url)
    return Judge(model=model, engine=engine, renderer=renderer)


def with_libraries() -> None:
    """Raises BadInput where the packages that run a model are missing; quietens them elsewhere."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        import torch  # noqa: F401
        from transformers.utils import logging
    except ImportError as error:
        raise BadInput(
            f"Running a model here needs the package {error.name}.",
            fix="pip install 'rprm[train]'",
        ) from error
    logging.disable_progress_bar()


def default_max_tokens(model: FoundModel) -> int:
    """The paper's; but a critique leaves half of what the model can read to the prompt.

    It depends on nothing but the model, so that judging a solution alone or with others is one.
    """
    positions = max_positions(model.folder)
    return MAX_TOKENS if positions is None else max(1, min(MAX_TOKENS, positions // 2))


def cases_to_judge(given: Given) -> list[Case]:
    return cases_of(given.solution, up_to_first_error=False)


def judge_solutions(
    solutions: Sequence[Given],
    *,
    by: Judge,
    params: JudgeParams,
    on_drawn: Callable[[int], None],
) -> Iterator[JudgedSolution]:
    """In the order given, each once its steps are judged; `on_drawn` hears of new critiques."""
    engine = _Watched(engine=by.engine, on_drawn=on_drawn)
    for start in range(0, len(solutions), BATCH_SOLUTIONS):
        waiting = deque(solutions[start : start + BATCH_SOLUTIONS])
        cases = [case for given in waiting for case in cases_to_judge(given)]
        owner = {case.id: case.solution_id for case in cases}
        found: dict[str, Judgement | Refused] = {}
        for answer in judge(cases, engine=engine, renderer=by.renderer, params=params):
            case_id = answer.id if isinstance(answer, Refused) else answer.case_id
            while waiting[0].solution.id != owner[case_id]:
                yield _judged(waiting.popleft(), found, params)
            found[case_id] = answer
        for given in waiting:
            yield _judged(given, found, params)


def _judged(
    given: Given, found: Mapping[str, Judgement | Refused], params: JudgeParams
) -> JudgedSolution:
    steps = tuple(
        JudgedStep(text=case.now_step, answer=found.get(case.id)) for case in cases_to_judge(given)
    )
    return JudgedSolution(given=given, steps=steps, params=params)


def as_dict(judged: JudgedSolution, by: Judge) -> dict[str, Any]:
    """What `rprm judge --json` prints; steps count from 0, as labels do."""
    params, template = judged.params, by.renderer.template
    return {
        "id": judged.given.solution.id,
        "problem": judged.given.solution.problem,
        "label": judged.given.label,
        "first_error": judged.first_error,
        "agrees": judged.agrees,
        "scores": [step.score for step in judged.steps],
        "steps": [_step_dict(judged, index) for index in range(len(judged.steps))],
        "critiques_drawn": judged.num_drawn,
        "critiques_at_most": judged.num_at_most,
        "model": by.model.name,
        "template": template.name,
        "template_sha256": template.sha256,
        "num_critiques": params.num_critiques,
        "threshold": params.threshold,
        "aggregate": params.aggregate.value,
        "seed": params.seed,
    }


def _step_dict(judged: JudgedSolution, index: int) -> dict[str, Any]:
    step = judged.steps[index]
    refused = step.answer if isinstance(step.answer, Refused) else None
    return {
        "step": index,
        "text": step.text,
        "score": step.score,
        "right": judged.is_right(step),
        "refused": {"cause": refused.cause, "detail": refused.detail} if refused else None,
        "critiques": [_critique_dict(one) for one in step.critiques],
    }


def _critique_dict(one: Critique | Unparsed) -> dict[str, Any]:
    judged = one if isinstance(one, Critique) else None
    return {
        "verdict": judged.verdict.value if judged else None,
        "p_yes": judged.p_yes if judged else None,
        "cause": one.cause if isinstance(one, Unparsed) else None,
        "text": one.text,
        "num_tokens": one.num_tokens,
    }
