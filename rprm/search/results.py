"""What does a search come to, and what did it cost?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from rprm.engines.base import Refused
from rprm.schema import Judgement, Unparsed


class StopCause(StrEnum):
    FINISHED = "finished"  # every beam is finished
    STEPS = "steps"  # the last round was used
    TOKENS = "tokens"  # the token budget is spent
    STUCK = "stuck"  # rounds, or all that could differ, were used without a usable candidate
    REFUSED = "refused"  # an engine can never answer what comes next, such as a prompt too long


@dataclass(kw_only=True, slots=True)
class Spent:
    """Counts of one problem so far."""

    samples: int = 0
    candidates: int = 0
    """Usable samples that differ."""
    retries: int = 0
    """Rounds of a beam without a usable candidate."""
    policy_tokens: int = 0
    judge_tokens: int = 0
    critiques: int = 0
    unparsed: int = 0
    unscored: int = 0
    """Candidates of which no critique could be parsed."""
    refused: int = 0
    """Prompts of policy or judge that were refused."""

    @property
    def tokens(self) -> int:
        return self.policy_tokens + self.judge_tokens

    def add_judgements(self, answers: Iterable[Judgement | Refused]) -> None:
        for one in answers:
            if isinstance(one, Refused):
                self.refused += 1
                continue
            self.critiques += len(one.critiques_K)
            self.judge_tokens += sum(critique.num_tokens for critique in one.critiques_K)
            self.unparsed += sum(isinstance(critique, Unparsed) for critique in one.critiques_K)
            self.unscored += one.score is None


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchResult:
    problem_id: str
    steps: tuple[str, ...]
    """Of the best finished beam, else of the best there is; () where nothing was usable."""
    scores_S: tuple[float | None, ...]
    """Mean belief in each step; None where no critique could be parsed."""
    finished: bool
    """The policy ended this solution itself."""
    answer: str | None
    """None where it is not finished, or gives none."""
    stop: StopCause
    """What ended the search."""
    refused: Refused | None
    """Why a beam could not be carried on: of the last one that was refused."""
    num_tokens: int
    """Of the steps alone; what was sampled in all is in `spent`."""
    spent: Spent
    trace: str
    """Which candidates there were, for people to read."""
