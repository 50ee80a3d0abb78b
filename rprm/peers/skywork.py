"""Skywork's PRMs: which tokens do they read, and where are their scores?

Models    Skywork/Skywork-o1-Open-PRM-Qwen-2.5-7B and …-1.5B, Qwen2 with a value head `v_head`
Input     BOS, problem and a newline in one piece; then each step's tokens and a newline token
Score     sigmoid of the value at each step's last token, that newline
Label     ProcessBench takes the threshold of the best F1 on GSM8K and keeps it for the rest

A newline inside a step would be a further step to the published script, so it becomes a space.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import Qwen2Model, Qwen2PreTrainedModel

from rprm.engines.tokenizers import Tokenizer, load_tokenizer
from rprm.errors import BadInput
from rprm.peers.base import LaidOut, PeerOptions
from rprm.peers.batched import BatchedScorer, Network
from rprm.peers.loading import load_weights, require_type, require_weights
from rprm.schema import Solution

NEWLINE = "\n"


class ValueHead(nn.Module):
    """Its dropout of training is left out: it does nothing when scores are made."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.summary = nn.Linear(hidden, 1)


class SkyworkPrm(Qwen2PreTrainedModel):  # type: ignore[misc]
    """Qwen2 without its language head, under the published names of the weights."""

    _keys_to_ignore_on_load_unexpected = (r"^lm_head\.",)
    _keep_in_fp32_modules_strict = ("v_head",)  # as published, whatever the type of the rest

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.model = Qwen2Model(config)
        self.v_head = ValueHead(config.hidden_size)
        self.post_init()

    def probabilities(self, hidden_NH: torch.Tensor) -> torch.Tensor:
        summary = self.v_head.summary
        values_N1 = summary(hidden_NH.to(summary.weight.device, summary.weight.dtype))
        return torch.sigmoid(values_N1.float()).squeeze(-1)


@dataclass(frozen=True, kw_only=True, slots=True)
class SkyworkLayout:
    """Steps are tokenised one by one and joined as ids: no token crosses a border of steps."""

    tokenizer: Tokenizer
    newline: int

    def __call__(self, solution: Solution) -> LaidOut:
        bos = self.tokenizer.bos_token
        tokens = list(self.tokenizer.encode(f"{bos}{solution.problem}{NEWLINE}", verbose=False))
        positions_S = []
        for step in solution.steps:
            plain = step.rstrip(NEWLINE).replace(NEWLINE, " ")
            tokens += [*self.tokenizer.encode(plain, verbose=False), self.newline]
            positions_S.append(len(tokens) - 1)
        return LaidOut(id=solution.id, tokens_T=tuple(tokens), positions_S=tuple(positions_S))


def load(folder: Path, name: str, options: PeerOptions) -> BatchedScorer:
    require_weights(folder)
    require_type(folder, "qwen2")
    tokenizer = load_tokenizer(folder)
    if tokenizer.bos_token is None:
        raise BadInput(
            f"The tokenizer in {folder} has no BOS token, and inputs begin with one.",
            fix="use the tokenizer that comes with the model.",
        )
    model = load_weights(SkyworkPrm, folder, options)
    layout = SkyworkLayout(tokenizer=tokenizer, newline=tokenizer.encode(NEWLINE)[-1])
    network = Network(backbone=model.model, head=model.probabilities)
    return BatchedScorer(name, layout, network, options)
