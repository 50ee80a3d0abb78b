"""What is a critic asked about a solution, and what do its replies make of it?

ProcessBench  which paragraph is the first wrong one: an index, -1 for none
PRMBench      how valid and how redundant each step is: scores per step
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from rprm.data.problem_tables import StepScores
from rprm.engines.chat import ChatRequest, ChatSampling, Usage
from rprm.peers.critic_prompts import CriticPrompt, load_prompt
from rprm.peers.critic_reading import (
    StepRatings,
    Unreadable,
    boxed,
    index_of,
    majority,
    ratings_of,
    score_of,
)
from rprm.peers.critics import CriticModel
from rprm.schema import Solution

ProtocolName = Literal["processbench", "prmbench"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What the replies of one critic say of one solution.  S steps, as many as it rated."""

    prediction: int | None = None
    scores_S: tuple[float, ...] | None = None
    redundancy_S: tuple[float, ...] | None = None
    """Above 0.5 where a step is redundant."""
    parsed: bool
    unparsed_replies: int = 0
    ask_again: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Critiqued:
    """All that is known of one solution's judging."""

    solution_id: str
    texts_K: tuple[str, ...]
    reading: Reading
    truncated: int
    """Replies that ended at the limit of tokens."""
    usage: Usage
    """Of all replies, those asked for again included."""

    def step_scores(self, engine: str) -> StepScores:
        return StepScores(
            solution_id=self.solution_id,
            engine=engine,
            scores_S=self.reading.scores_S,
            prediction=self.reading.prediction,
            texts=self.texts_K,
        )


class CriticProtocol(Protocol):
    @property
    def prompt(self) -> CriticPrompt: ...

    def request(self, solution: Solution) -> ChatRequest: ...

    def read(self, texts_K: Sequence[str]) -> Reading: ...


def make_protocol(name: ProtocolName, critic: CriticModel, *, votes: int) -> CriticProtocol:
    match name:
        case "processbench":
            return ProcessBenchCritique(critic, votes=votes)
        case "prmbench":
            return PrmBenchJudge(critic)


class ProcessBenchCritique:
    def __init__(self, critic: CriticModel, *, votes: int) -> None:
        self.prompt = load_prompt("processbench_critique")
        self.votes = votes
        self._sampling = critic.sampling(votes)

    def request(self, solution: Solution) -> ChatRequest:
        paragraphs = [
            f"<paragraph_{index}>\n{step}\n</paragraph_{index}>"
            for index, step in enumerate(solution.steps)
        ]
        return ChatRequest(
            id=solution.id,
            messages=self.prompt.messages(
                problem=solution.problem, solution="\n\n".join(paragraphs)
            ),
            n=self.votes,
            sampling=self._sampling,
        )

    def read(self, texts_K: Sequence[str]) -> Reading:
        prediction = majority(texts_K)
        return Reading(
            prediction=prediction,
            parsed=prediction is not None,
            unparsed_replies=sum(index_of(boxed(text)) is None for text in texts_K),
        )


_NUMBERED = re.compile(r"^(Step\s*\d+\.\s*|\d+\.\s*)", re.IGNORECASE)


class PrmBenchJudge:
    def __init__(self, critic: CriticModel) -> None:
        self.prompt = load_prompt("prmbench_judge")
        self._sampling = ChatSampling(temperature=0.0)

    def request(self, solution: Solution) -> ChatRequest:
        steps = [
            f"Step {number}: {_NUMBERED.sub('', step.strip())} \n\n"
            for number, step in enumerate(solution.steps, start=1)
        ]
        return ChatRequest(
            id=solution.id,
            messages=self.prompt.messages(problem=solution.problem, solution="".join(steps)),
            sampling=self._sampling,
        )

    def read(self, texts_K: Sequence[str]) -> Reading:
        match ratings_of(texts_K[0]):
            case StepRatings(validity_S=validity_S, redundancy_S=redundancy_S):
                return Reading(
                    scores_S=tuple(map(score_of, validity_S)),
                    redundancy_S=tuple(map(score_of, redundancy_S)),
                    parsed=True,
                )
            case Unreadable(ask_again=ask_again):
                return Reading(parsed=False, unparsed_replies=1, ask_again=ask_again)
