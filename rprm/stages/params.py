"""Which params do several stages share?"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from rprm.engines.base import SamplingParams
from rprm.judge import JudgeParams
from rprm.scoring import THRESHOLD, Aggregate


class StageParams(BaseModel):
    """Unknown keys are errors; every field says what it means."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EngineSizes(StageParams):
    """Where the model runs: in this process, or behind a URL.

    The url says where, not what: the same servers at another address write the same critiques.  Yet
    it is part of a stage's params, and so of its artifact's address, because what a server writes
    does depend on what nobody can ask it for (its version, its data type, the GPU under it), and
    critiques from one must never be taken for those of another.
    """

    url: str | None = None
    """vLLM servers of this very model: http://a:8000 (several separated by commas),
    file:///endpoints.json or dns://name:8000; None: in this process.  The rest is of no effect with
    a url."""
    key_env: str | None = None
    """Name of the environment variable that holds the servers' key."""
    device: str = "auto"
    dtype: str = "auto"
    max_rows: int | None = Field(default=None, gt=0)
    """Samples side by side; None: the engine's own choice."""
    max_batch_tokens: int | None = Field(default=None, gt=0)
    """Tokens whose keys and values are kept at once."""


class Critiquing(StageParams):
    """How critiques are drawn; the defaults are the paper's."""

    template: str = "rprm"
    """Prompt template: a name in rprm/prompts or a path."""
    num_critiques: int = Field(default=10, gt=0)
    """K: critiques of every case."""
    temperature: float = Field(default=0.95, ge=0)
    top_p: float = Field(default=0.95, gt=0, le=1)
    max_tokens: int = Field(default=4096, gt=0)
    seed: int = 0
    """Critique k of a case depends on the model, the prompt and (seed, case id, k) alone."""
    batch_solutions: int = Field(default=256, gt=0)
    """Solutions judged together; between batches a worker may stop and progress is told."""
    engine: EngineSizes = EngineSizes()

    def judge_params(
        self,
        *,
        aggregate: Aggregate = Aggregate.SOFT,
        threshold: float = THRESHOLD,
        early_stop: bool = False,
    ) -> JudgeParams:
        return JudgeParams(
            num_critiques=self.num_critiques,
            sampling=SamplingParams(
                temperature=self.temperature, top_p=self.top_p, max_tokens=self.max_tokens
            ),
            seed=self.seed,
            aggregate=aggregate,
            threshold=threshold,
            early_stop=early_stop,
        )


SplitName = Literal["train", "dev", "test"]
