"""Does decoding from the KV store give the logits that the model gives on the whole text?

Models differ in ways their config does not tell; a few tokens through both paths do tell.
"""

from __future__ import annotations

from typing import Any

import torch

from rprm.engines.base import SamplingParams
from rprm.engines.batching import Limits, Shape, Unit
from rprm.engines.running import RunningBatch

PROMPTS = ((1, 2, 3, 4, 5, 6, 7), (3, 1, 2), (2, 7, 2, 1, 5))
"""Ragged, so that padding, positions and masks matter."""
STEPS = 3


@torch.inference_mode()
def disagreement(model: Any) -> float:
    """Largest difference of a logit, in standard deviations of the true logits."""
    vocabulary = int(model.get_input_embeddings().weight.shape[0])
    units = [
        Unit(
            request=index,
            prompt_T=tuple(token % vocabulary for token in prompt),
            seed=0,
            samples=range(1 + index % 2),
        )
        for index, prompt in enumerate(PROMPTS)
    ]
    batch = RunningBatch(
        model,
        SamplingParams(temperature=0, max_tokens=STEPS + 2),
        None,
        torch.zeros(vocabulary, dtype=torch.bool, device=model.device),
        Shape(rows=4, units=len(units), places=2, prompt=len(PROMPTS[0])),
    )
    limits = Limits(rows=4, batch_tokens=1 << 20, prefill_tokens=1 << 10)
    batch.join(units)
    for _ in range(STEPS):
        batch.make_room(limits)
        batch.step()
    texts = [
        (*row.slot.unit.prompt_T, *batch.draft(index).token_ids)
        for index, row in enumerate(batch.rows)
    ]
    batch.make_room(limits)
    ours = batch.logits()
    whole = [model(input_ids=torch.tensor([text], device=model.device)).logits for text in texts]
    expected = torch.cat([logits[:, -1] for logits in whole]).float()
    return float((ours.float() - expected).abs().max() / expected.std().clamp(min=1e-6))
