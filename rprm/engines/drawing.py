"""Which token comes next?  One uniform number per token decides, and (seed, k) fixes them all.

Axes: B rows, V vocabulary.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

WORDS_PER_BLOCK = 4
"""Philox yields four 64-bit words per counter value."""

MASK = (1 << 64) - 1


def uniforms(seed: int, k: int, *, start: int, count: int) -> npt.NDArray[np.float64]:
    """Numbers `start` .. `start + count` of the stream of sample `k` under `seed`.

    Counter-based, so any stretch can be had at any time, whatever was drawn before.
    """
    key = np.array([seed & MASK, k & MASK], dtype=np.uint64)
    bits = np.random.Philox(key=key, counter=start // WORDS_PER_BLOCK)
    skip = start % WORDS_PER_BLOCK
    return np.random.Generator(bits).random(skip + count)[skip:]


def choose(
    logits_BV: torch.Tensor, uniforms_B: torch.Tensor, *, temperature: float, top_p: float
) -> torch.Tensor:
    """Invert the cumulative distribution of the kept tokens at each row's uniform.

    Kept is the smallest set of most probable tokens whose mass reaches `top_p`, and whatever is
    exactly as probable as its last one.  The distribution is summed in the order of the
    vocabulary, not of probability: rounding noise must not reorder near-equal tokens.
    """
    if temperature == 0:
        return logits_BV.argmax(dim=-1)
    probs_BV = torch.softmax(logits_BV.float() / temperature, dim=-1)
    if top_p < 1:
        probs_BV = probs_BV * (probs_BV >= _least_kept(probs_BV, top_p))
    cumulative_BV = probs_BV.double().cumsum(dim=-1)
    targets_B1 = uniforms_B[:, None] * cumulative_BV[:, -1:]
    return torch.searchsorted(cumulative_BV, targets_B1, right=True).squeeze(-1)


def _least_kept(probs_BV: torch.Tensor, top_p: float) -> torch.Tensor:
    """The smallest probability inside the top_p set of each row."""
    sorted_BV = probs_BV.sort(dim=-1, descending=True).values
    before_BV = sorted_BV.cumsum(dim=-1) - sorted_BV
    num_kept_B1 = (before_BV < top_p).sum(dim=-1, keepdim=True).clamp_(min=1)
    return sorted_BV.gather(-1, num_kept_B1 - 1)
