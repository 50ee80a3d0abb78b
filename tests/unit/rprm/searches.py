"""Scripted policies and judges for tests of guided search, and a tiny format for their steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rprm.benchmarks.guided_search import (
    JudgeSide,
    PolicySide,
    SearchParams,
    SearchResult,
    guided_search,
)
from rprm.engines.base import Request, Sample, SamplingParams
from rprm.judge import JudgeParams
from rprm.policy import Proposal
from rprm.prompting import Renderer, load_template
from rprm.schema import MathProblem
from tests.unit.rprm.scripted_engines import (
    Script,
    ScriptedEngine,
    text_sample,
    unparsable_sample,
    verdict_sample,
)
from tests.unit.rprm.small_tokenizers import byte_level

TOKENIZER = byte_level(eos_token="</s>")
RENDERER = Renderer(load_template("bytes"), TOKENIZER)
UNUSABLE = "?"


class FakeFormat:
    """Steps are any text but "?"; prompts are "problem|step|step|", a number per character."""

    name: Any = "fake"
    stop: tuple[str, ...] = ("|",)

    def prompt(self, problem: str, steps: Sequence[str]) -> tuple[int, ...]:
        return tuple(map(ord, "".join(f"{part}|" for part in (problem, *steps))))

    def completion(self, steps: Sequence[str]) -> tuple[int, ...]:
        raise NotImplementedError

    def read_step(self, sample: Sample) -> Proposal | None:
        if sample.text in {"", UNUSABLE} or sample.finish == "length":
            return None
        return Proposal(
            text=sample.text, finished=sample.finish == "eos", num_tokens=len(sample.token_ids)
        )

    def read_solution(self, sample: Sample) -> Any:
        raise NotImplementedError

    def split(self, text: str) -> tuple[str, ...]:
        raise NotImplementedError

    def answer(self, steps: Sequence[str]) -> str | None:
        return steps[-1] if steps else None


def said_before(request: Request) -> tuple[str, ...]:
    """The problem and the steps of a policy's request."""
    return tuple("".join(map(chr, request.prompt_T)).split("|")[:-1])


def judged_step(request: Request) -> str:
    """The step that a judge's request asks about, without its number."""
    text: str = TOKENIZER.decode(request.prompt_T)
    return text.rpartition("Now: ")[2].rpartition("\n")[0].partition(". ")[2]


def problems(number: int) -> list[MathProblem]:
    return [
        MathProblem(id=f"p{index}", subset="", problem=f"question {index}", answer="")
        for index in range(number)
    ]


def policy_of(tree: Mapping[tuple[str, ...], Sequence[str]], *, temperature: float = 1.0) -> Any:
    """Says `tree[steps so far]` sample by sample; "." at the end of a text ends the solution."""

    def script(request: Request, k: int) -> Sample:
        texts = tree[said_before(request)[1:]]
        text = texts[k % len(texts)]
        return text_sample(text, finished=text.endswith("."))

    return policy_saying(script, temperature=temperature)


def policy_saying(script: Script, *, temperature: float = 1.0) -> PolicySide:
    params = SamplingParams(temperature=temperature, max_tokens=8)
    return PolicySide(engine=ScriptedEngine(script), format=FakeFormat(), params=params)


def judge_of(beliefs: Mapping[str, float], *, num_critiques: int = 1) -> JudgeSide:
    """Believes a step as far as it is told; what it has never heard of it cannot judge."""

    def script(request: Request, k: int) -> Sample:
        belief = beliefs.get(judged_step(request))
        return unparsable_sample() if belief is None else verdict_sample(RENDERER, belief)

    return judge_saying(script, num_critiques=num_critiques)


def judge_saying(script: Script, *, num_critiques: int = 1) -> JudgeSide:
    return JudgeSide(
        engine=ScriptedEngine(script),
        renderer=RENDERER,
        params=JudgeParams(num_critiques=num_critiques),
    )


def search(policy: PolicySide, judge: JudgeSide, **params: Any) -> SearchResult:
    (found,) = guided_search(problems(1), policy=policy, judge=judge, params=SearchParams(**params))
    return found


def rounds(side: PolicySide | JudgeSide) -> list[list[Request]]:
    assert isinstance(side.engine, ScriptedEngine)
    return side.engine.rounds
