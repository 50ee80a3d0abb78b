"""Which candidates does a beam have for its next step, and what does the judge think of them?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace

from rprm.engines.base import Refused, Request, Sample
from rprm.judge import request_seed
from rprm.policy import Proposal
from rprm.schema import Case, Judgement, MathProblem
from rprm.search.beams import Beam, Expansion
from rprm.search.gathering import Gatherer
from rprm.search.params import SearchParams
from rprm.search.results import Spent


class Expander:
    """Carries on the beams of one problem."""

    def __init__(self, problem: MathProblem, params: SearchParams, gatherer: Gatherer) -> None:
        self.problem, self.params, self.gatherer = problem, params, gatherer
        self.spent = Spent()
        self._judged: dict[str, Judgement | Refused] = {}

    async def expand(self, beam: Beam, num_samples: int) -> Expansion:
        fmt = self.gatherer.policy.format
        said = await self.gatherer.sample(self._request(beam, num_samples))
        if isinstance(said, Refused):
            self.spent.refused += 1
            return Expansion(beam=beam, refused=said)
        self.spent.samples += len(said.samples)
        self.spent.policy_tokens += sum(len(one.token_ids) for one in said.samples)
        usable = distinct(fmt.read_step(sample) for sample in said.samples)
        self.spent.candidates += len(usable)
        made = Expansion(beam=beam, num_samples=len(said.samples))
        if usable:
            return await self._judged_expansion(made, usable)
        if beam.steps and any(ends_here(sample) for sample in said.samples):
            return replace(made, children=(replace(beam, finished=True),))
        self.spent.retries += 1
        return made

    async def _judged_expansion(self, made: Expansion, usable: Sequence[Proposal]) -> Expansion:
        beam = made.beam
        if len(usable) == 1 and self.params.beams == 1 and not self.params.judge_lone:
            return replace(made, children=(_child(beam, usable[0], None),))
        answers = await self._judge([self._case(beam, one) for one in usable])
        children = tuple(
            _child(beam, one, answer.score)
            for one, answer in zip(usable, answers, strict=True)
            if not isinstance(answer, Refused)
        )
        refusals = [answer for answer in answers if isinstance(answer, Refused)]
        return replace(made, children=children, refused=None if children else refusals[0])

    async def _judge(self, cases: Sequence[Case]) -> list[Judgement | Refused]:
        """What was judged before is not judged again: the same text, finished or not."""
        fresh = list({case.id: case for case in cases if case.id not in self._judged}.values())
        if fresh:
            answers = await self.gatherer.judgements(fresh)
            self.spent.add_judgements(answers)
            self._judged.update(zip([case.id for case in fresh], answers, strict=True))
        return [self._judged[case.id] for case in cases]

    def _request(self, beam: Beam, num_samples: int) -> Request:
        """Its seed depends on problem, steps so far and attempt, not on the beams beside it."""
        name = f"{self.problem.id}/{digest(beam.steps)}:{len(beam.steps)}:{beam.tries}"
        return Request(
            id=name,
            prompt_T=self.gatherer.policy.format.prompt(self.problem.problem, beam.steps),
            n=num_samples,
            seed=request_seed(self.params.seed, name),
        )

    def _case(self, beam: Beam, candidate: Proposal) -> Case:
        name = f"{self.problem.id}/{digest((*beam.steps, candidate.text))}"
        return Case(
            id=f"{name}:{len(beam.steps)}",
            solution_id=name,
            problem_id=self.problem.id,
            step=len(beam.steps),
            question=self.problem.problem,
            previous_steps=beam.steps,
            now_step=candidate.text,
        )


def distinct(proposals: Iterable[Proposal | None]) -> list[Proposal]:
    """Usable ones in their order.  A step that ends its solution differs from one that does not."""
    found: dict[tuple[str, bool], Proposal] = {}
    for one in proposals:
        if one is not None:
            found.setdefault((one.text, one.finished), one)
    return list(found.values())


def ends_here(sample: Sample) -> bool:
    """The policy adds nothing: it had ended the step before as if another were to come."""
    return sample.finish == "eos" and not sample.text.strip()


def digest(steps: Sequence[str]) -> str:
    text = json.dumps(list(steps))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _child(beam: Beam, candidate: Proposal, score: float | None) -> Beam:
    return beam.grown(
        candidate.text, score, finished=candidate.finished, num_tokens=candidate.num_tokens
    )
