"""How does a causal language model score a step?  By two words it could say next."""

from __future__ import annotations

from pathlib import Path

import torch
from torch.nn.functional import linear
from transformers import AutoModelForCausalLM

from rprm.peers.base import PeerOptions
from rprm.peers.batched import Network
from rprm.peers.loading import load_weights


def load_causal(folder: Path, *, good: int, bad: int, options: PeerOptions) -> Network:
    """P(good) against P(bad); only these two rows of the language head are ever computed."""
    model = load_weights(AutoModelForCausalLM, folder, options)
    output = model.get_output_embeddings()
    words = torch.tensor([good, bad], device=output.weight.device)
    weight_2H = output.weight[words]
    bias_2 = None if output.bias is None else output.bias[words]

    def head(hidden_NH: torch.Tensor) -> torch.Tensor:
        logits_N2 = linear(hidden_NH.to(weight_2H.device), weight_2H, bias_2)
        return logits_N2.float().softmax(dim=-1)[:, 0]

    return Network(backbone=model.get_decoder(), head=head)
