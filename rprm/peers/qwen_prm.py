"""Qwen's PRMs: which tokens do they read, and where are their scores?

Models    Qwen/Qwen2.5-Math-7B-PRM800K, Qwen/Qwen2.5-Math-PRM-7B and -72B: Qwen2 with a head
          `score` of two layers and two classes
Input     the chat template with a system prompt, the problem as the user's turn, and the steps as
          the assistant's, each followed by <extra_0>
Score     softmax over the two classes at each <extra_0>: the second
Label     right where it is >= 0.5

The model card multiplies by a mask and drops zeros, which also drops a probability that is 0 in
bfloat16; here positions are indexed.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import Qwen2Model, Qwen2PreTrainedModel

from rprm.engines.base import Refused
from rprm.engines.tokenizers import Tokenizer
from rprm.peers.base import TAG_LOST, LaidOut, PeerOptions
from rprm.peers.batched import BatchedScorer, Network
from rprm.peers.loading import load_weights, require_type, require_weights
from rprm.peers.tagging import chat_tokenizer, encode, fill, marker_for, one_token, render
from rprm.schema import Solution

TAG = "<extra_0>"
SYSTEM = resources.files("rprm.peers").joinpath("qwen_prm_system.txt").read_text("utf-8").rstrip()


class QwenPrm(Qwen2PreTrainedModel):  # type: ignore[misc]
    """The published model without its code, under the published names of its weights."""

    _keys_to_ignore_on_load_unexpected = (r"^lm_head\.",)

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        width = config.hidden_size
        self.model = Qwen2Model(config)
        self.score = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2))
        self.post_init()

    def probabilities(self, hidden_NH: torch.Tensor) -> torch.Tensor:
        logits_N2 = self.score(hidden_NH.to(next(self.score.parameters()).device))
        return logits_N2.float().softmax(dim=-1)[:, 1]  # type: ignore[no-any-return]


@dataclass(frozen=True, kw_only=True, slots=True)
class QwenPrmLayout:
    tokenizer: Tokenizer
    tag: int

    def __call__(self, solution: Solution) -> LaidOut | Refused:
        steps = solution.steps
        marker = marker_for([solution.problem, *steps])
        messages = [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": solution.problem},
            {"role": "assistant", "content": "".join(f"{step}{marker}" for step in steps)},
        ]
        rendered = render(self.tokenizer, messages)
        text, ends_S = fill(rendered, marker=marker, tag=TAG, count=len(steps))
        tokens_T, found_S = encode(self.tokenizer, text, ends_S, special=True)
        positions_S = [t for t in found_S if t is not None and tokens_T[t] == self.tag]
        if len(positions_S) < len(steps):
            lost = f"{len(steps) - len(positions_S)} of {len(steps)} tags"
            return Refused(id=solution.id, cause=TAG_LOST, detail=f"{lost} are no token {TAG!r}")
        return LaidOut(id=solution.id, tokens_T=tokens_T, positions_S=tuple(positions_S))


def load(folder: Path, name: str, options: PeerOptions) -> BatchedScorer:
    require_weights(folder)
    require_type(folder, "qwen2")
    tokenizer = chat_tokenizer(folder)
    tag = one_token(tokenizer, TAG, where=str(folder))
    model = load_weights(QwenPrm, folder, options)
    network = Network(backbone=model.model, head=model.probabilities)
    return BatchedScorer(name, QwenPrmLayout(tokenizer=tokenizer, tag=tag), network, options)
