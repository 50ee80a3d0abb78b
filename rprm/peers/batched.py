"""How do many solutions go through a model at once and get the scores each would get alone?

Padding stands on the right, where no token of a causal model looks, so no mask is needed.  Hidden
states are taken at the scored tokens only: a head over all tokens and the whole vocabulary would
fill the memory.

Axes: B rows of a batch, T tokens, N scored tokens of a batch, H hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from rprm.data.problem_tables import StepScores
from rprm.engines.base import Refused
from rprm.errors import BadInput
from rprm.peers.base import LaidOut, Layout, PeerOptions, batches_of, fit
from rprm.schema import Solution

BATCH_TOKENS = {"cpu": 1024}
"""More leaves a CPU's caches, and batches are then no faster than single solutions."""

OTHER_BATCH_TOKENS = 32_768
"""Activations of a 7B model take a few gigabytes at this size."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """A model without its language head, and what makes probabilities of its states."""

    backbone: Any
    """A transformers decoder: ids in, `last_hidden_state` out."""
    head: Callable[[torch.Tensor], torch.Tensor]
    """Hidden states N H to probabilities N, in float32."""


class BatchedScorer:
    """Any discriminative process reward model: a layout and a network."""

    def __init__(self, name: str, layout: Layout, network: Network, options: PeerOptions) -> None:
        self.name = name
        self.layout, self.network, self.options = layout, network, options
        self.max_length = _max_length(network.backbone, options)

    def score(self, solutions: Sequence[Solution]) -> Iterator[StepScores | Refused]:
        """In the order of the solutions, whatever ran beside what."""
        torch.set_num_threads(self.options.threads)
        found = [self._prepare(one) for one in solutions]
        scores = self._scores([one for one in found if isinstance(one, LaidOut)])
        for solution, one in zip(solutions, found, strict=True):
            yield one if isinstance(one, Refused) else self._answer(solution, next(scores))

    def _scores(self, inputs: Sequence[LaidOut]) -> Iterator[tuple[float, ...]]:
        """In the order of the inputs, batched by length."""
        found: dict[int, tuple[float, ...]] = {}
        for batch in batches_of([one.length for one in inputs], batch_tokens=self._batch_tokens()):
            found |= zip(batch, self._run([inputs[index] for index in batch]), strict=True)
        return (found[index] for index in range(len(inputs)))

    def _prepare(self, solution: Solution) -> LaidOut | Refused:
        laid = self.layout(solution)
        if isinstance(laid, Refused):
            return laid
        return fit(laid, max_length=self.max_length, overlong=self.options.overlong)

    def _answer(self, solution: Solution, scores: Sequence[float]) -> StepScores:
        num_steps, kept = len(solution.steps), len(scores)
        cut = f"truncated: {kept} of {num_steps} steps fit {self.max_length} tokens"
        return StepScores(
            solution_id=solution.id,
            engine=self.name,
            scores_S=(*scores, *[None] * (num_steps - kept)),
            texts=(cut,) if kept < num_steps else (),
        )

    def _batch_tokens(self) -> int:
        device = self.network.backbone.device.type
        return self.options.batch_tokens or BATCH_TOKENS.get(device, OTHER_BATCH_TOKENS)

    @torch.inference_mode()
    def _run(self, batch: Sequence[LaidOut]) -> list[tuple[float, ...]]:
        """The scores of each row.  Every scored token is indexed, none is found by its value."""
        width = max(one.length for one in batch)
        counts = [len(one.positions_S) for one in batch]
        if not sum(counts):
            return [() for _ in batch]
        backbone = self.network.backbone
        rows = [(*one.tokens_T[: one.length], *[0] * (width - one.length)) for one in batch]
        tokens_BT = torch.tensor(rows, device=backbone.device)
        hidden_BTH = backbone(input_ids=tokens_BT, use_cache=False).last_hidden_state
        places = [(row, at) for row, one in enumerate(batch) for at in one.positions_S]
        at_N2 = torch.tensor(places, device=hidden_BTH.device)
        scores_N = self.network.head(hidden_BTH[at_N2[:, 0], at_N2[:, 1]])
        pieces = torch.split(scores_N.float().cpu(), counts)
        return [tuple(piece.tolist()) for piece in pieces]


def _max_length(backbone: Any, options: PeerOptions) -> int:
    positions = getattr(backbone.config, "max_position_embeddings", None)
    wanted = options.max_length or positions
    if wanted is None:
        raise BadInput("The model does not say how long its inputs may be.", fix="set max_length.")
    if positions is not None and wanted > positions:
        raise BadInput(
            f"max_length is {wanted}, but the model has {positions} positions.",
            fix="leave max_length out, or lower it.",
        )
    return int(wanted)
