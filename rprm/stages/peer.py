"""Let a published process reward model score every step of solutions.

Reads    solutions (rows); model, a folder in Hugging Face format, unless it comes from the Hub
Writes   step scores, one row per solution
Facts    the peer and how its scores are to be read; solutions, steps, truncated_solutions,
         unscored_steps, refused, and refused by cause
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Literal

import pyarrow as pa
from pydantic import Field, field_validator

from rprm.data.problem_tables import StepScores, scores_to_table
from rprm.data.tables import table_to_solutions
from rprm.engines.base import Refused
from rprm.errors import BadInput
from rprm.fetching import is_remote
from rprm.models import model_digest
from rprm.peers.base import CAUSES, PeerOptions, StepScorer
from rprm.peers.factory import PEERS, check_joint, label_of, make_peer, peer_card
from rprm.schema import Solution
from rprm.stages.io import StageIO
from rprm.stages.params import StageParams


class Peer:
    kind: ClassVar[str] = "map"
    version: ClassVar[str] = "1"
    preload: ClassVar[tuple[str, ...]] = (
        "torch",
        "transformers.models.qwen2.modeling_qwen2",
        "rprm.peers.batched",
    )

    class Params(StageParams):
        peer: str
        """Whose protocol; a name of `rprm.peers.factory.PEERS`."""
        model: str | None = None
        """Folder, Hub id or artifact of the weights; None: the input `model`, or else its own."""
        models: str | None = None
        """Folder that holds the weights of each peer in a folder of its name."""
        revision: str | None = None
        """Commit, tag or branch of the Hub's repository."""
        max_length: int | None = Field(default=None, gt=0)
        """Tokens of one solution; None: as many as the model has positions."""
        overlong: Literal["refuse", "truncate"] = "refuse"
        """"truncate" drops whole trailing steps, whose scores are then null."""
        batch_tokens: int | None = Field(default=None, gt=0)
        """Tokens of one forward pass, padding included; None suits the device."""
        batch_solutions: int = Field(default=256, gt=0)
        """Solutions sorted by length together; between them a worker may stop."""
        device: str = "auto"
        dtype: str = "auto"
        joint: str | None = None
        """rlhflow: what stands between the problem and the first step."""

        @field_validator("peer")
        @classmethod
        def _known(cls, name: str) -> str:
            if name not in PEERS:
                raise ValueError(f"no such peer; one of {', '.join(PEERS)}")
            return name

    def __init__(self, params: Params) -> None:
        self.params = params
        self.card = peer_card(params.peer)
        check_joint(self.card, params.joint)
        if params.model is not None and params.models is not None:
            raise BadInput("both `model` and `models` name the weights.", fix="give one of them")

    def digests(self) -> Mapping[str, str]:
        """Of the Hub's weights, their name and revision: a plan must not download."""
        given = self._model() or self.card.model
        if is_remote(given):
            return {"model": label_of(self.card, given, self.params.revision)}
        return {"model": model_digest(given)}

    def _model(self) -> str | None:
        """From the params; None: the peer's own on the Hub."""
        if self.params.models is None:
            return self.params.model
        return os.path.join(".", self.params.models, self.card.name)  # never a Hub id

    def run(self, io: StageIO, rows: pa.Table) -> Iterator[pa.Table]:
        scorer = self._scorer(io)
        solutions = table_to_solutions(rows, source=io.stage)
        io.note(
            peer=self.card.name,
            label_rule=self.card.rule.text,
            aggregator=self.card.aggregator,
            licence=self.card.licence,
        )
        totals = Counter(dict.fromkeys(("refused", *(f"refused_{one}" for one in CAUSES)), 0))
        size = self.params.batch_solutions
        for start in range(0, max(len(solutions), 1), size):  # one table even without rows
            io.progress(start, len(solutions), "solutions")
            scored = _score(io, scorer, solutions[start : start + size], totals)
            io.note(**totals)
            yield scores_to_table(scored)
        io.progress(len(solutions), len(solutions), "solutions")

    def _scorer(self, io: StageIO) -> StepScorer:
        params, given = self.params, io.artifacts("model")
        model = self._model()
        if given and model is not None:
            raise BadInput(
                f"stage {io.stage}: the model comes from the input `model` and from a param too.",
                fix="give one of them",
            )
        if given:
            model = str(given[0].path("model"))
        return make_peer(
            params.peer,
            model=model,
            revision=params.revision,
            label=given[0].address if given else None,
            options=PeerOptions(
                threads=io.cpus,
                device=params.device,
                dtype=params.dtype,
                max_length=params.max_length,
                overlong=params.overlong,
                batch_tokens=params.batch_tokens,
                joint=params.joint,
            ),
        )


def _score(
    io: StageIO, scorer: StepScorer, solutions: Sequence[Solution], totals: Counter[str]
) -> list[StepScores]:
    """The scores; refused solutions become error rows.  Counts what became of each."""
    scored = []
    for solution, answer in zip(solutions, scorer.score(solutions), strict=True):
        if isinstance(answer, Refused):
            io.error(answer.id, answer.cause, answer.detail)
            totals.update({"refused": 1, f"refused_{answer.cause}": 1})
            continue
        scores_S = answer.scores_S or ()
        unscored = sum(score is None for score in scores_S)
        totals.update(
            solutions=1,
            steps=len(solution.steps),
            unscored_steps=unscored,
            truncated_solutions=int(unscored > 0),
        )
        scored.append(answer)
    return scored
