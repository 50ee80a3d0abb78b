"""Who takes part in a guided search, and how wide and how long does it search?"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from rprm.benchmarks.best_of_n import Aggregator
from rprm.engines.base import Engine, SamplingParams
from rprm.errors import BadInput
from rprm.judge import JudgeParams
from rprm.policy import PolicyFormat
from rprm.prompting import Renderer


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicySide:
    """Who proposes steps."""

    engine: Engine
    format: PolicyFormat
    params: SamplingParams = field(
        default_factory=lambda: SamplingParams(temperature=1.0, top_p=0.95, max_tokens=512)
    )
    """Of one step; its stop strings come from the format."""

    @property
    def sampling(self) -> SamplingParams:
        return replace(self.params, stop=self.format.stop)


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgeSide:
    """Who critiques them."""

    engine: Engine
    renderer: Renderer
    params: JudgeParams = field(default_factory=JudgeParams)
    """All critiques of a candidate are drawn, whatever it says of stopping early: to choose needs
    scores, not labels."""

    @property
    def judging(self) -> JudgeParams:
        return replace(self.params, early_stop=False, stop_at_first_error=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchParams:
    """The defaults are the published greedy search."""

    candidates: int = 8
    """N: samples that a step costs, shared evenly by the beams that are alive."""
    beams: int = 1
    """B; one beam is the greedy search."""
    expansion: int | None = None
    """M: samples of each beam instead, once there are several."""
    aggregator: Aggregator = Aggregator.MIN
    """What the step scores of a beam are worth together; greedy search does not depend on it."""
    max_steps: int = 30
    """Rounds of a problem; one in which no candidate was usable is tried again, and counts."""
    token_budget: int | None = None
    """Tokens of policy and judge together after which a problem starts no further step."""
    judge_lone: bool = True
    """Judge a candidate that greedy search has no choice but to take, for its score."""
    seed: int = 0

    def __post_init__(self) -> None:
        sizes = (self.candidates, self.beams, self.max_steps, self.expansion or 1)
        if min(sizes) < 1 or self.expansion == 0:
            raise BadInput("candidates, beams, expansion and max_steps must be at least 1.")
        if self.token_budget is not None and self.token_budget < 1:
            raise BadInput("token_budget must be at least 1.", fix="leave it out for no limit")
        if self.beams > self.candidates:
            raise BadInput(
                f"{self.candidates} candidates cannot fill {self.beams} beams.",
                fix="ask for at least as many candidates as beams",
            )

    def width(self, num_beams: int) -> int:
        """How many samples each of so many beams gets."""
        if num_beams > 1 and self.expansion is not None:
            return self.expansion
        return max(1, self.candidates // num_beams)
