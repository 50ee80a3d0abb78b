"""How fast is the in-process sampler beside `generate`?

Peer      transformers' generate with num_return_sequences, prompts sorted by length and padded
          on the left, at its best batch size
Setting   Qwen2 of the small world's size, fp32, one thread.  Once all samples have the same
          length, which favours generate: it pays for finished rows, the sampler does not; once
          they end where they end
Measure   sampled tokens per second of CPU time, the two taking turns
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from rprm.engines.base import Request, SamplingParams
from rprm.engines.transformers import TransformersEngine
from tests.unit.rprm.engine_models import CHAIN, WORDS, save_tiny, word_tokenizer

SAMPLES = 9
NEW_TOKENS = 41
PROMPTS = 112
PEER_BATCHES = (28, 56)
ROUNDS = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("tiny"), word_tokenizer(), hidden=128)


def load(folder: Path, *, ragged: bool) -> TransformersEngine:
    engine = TransformersEngine(folder, threads=1)
    if not ragged:  # every sample runs to the limit
        engine.model.generation_config.eos_token_id = None
        object.__setattr__(engine.judge, "eos", frozenset())
    return engine


def prompts() -> list[tuple[int, ...]]:
    rng = random.Random(0)
    return [
        tuple(rng.randrange(3, len(WORDS)) for _ in range(rng.randint(35, 59)))
        for _ in range(PROMPTS)
    ]


def sample_all(engine: TransformersEngine) -> int:
    requests = [
        Request(id=str(index), prompt_T=prompt, n=SAMPLES, seed=index)
        for index, prompt in enumerate(prompts())
    ]
    params = SamplingParams(max_tokens=NEW_TOKENS, verdict=CHAIN)
    answers: list[Any] = list(engine.sample(requests, params))
    return sum(len(sample.token_ids) for answer in answers for sample in answer.samples)


def generate_all(engine: TransformersEngine, batch: int) -> int:
    ordered, num_tokens = sorted(prompts(), key=len), 0
    for start in range(0, PROMPTS, batch):
        group = ordered[start : start + batch]
        width = max(len(prompt) for prompt in group)
        pads = [width - len(prompt) for prompt in group]
        texts = engine.model.generate(
            torch.tensor(
                [[0] * pad + list(prompt) for pad, prompt in zip(pads, group, strict=True)]
            ),
            attention_mask=torch.tensor([[0] * pad + [1] * (width - pad) for pad in pads]),
            do_sample=True,
            temperature=0.95,
            top_p=0.95,
            top_k=0,
            num_return_sequences=SAMPLES,
            max_new_tokens=NEW_TOKENS,
            pad_token_id=0,
        )
        num_tokens += count(texts[:, width:], engine.model.generation_config.eos_token_id)
    return num_tokens


def count(texts: torch.Tensor, eos: int | None) -> int:
    """Sampled tokens, the end token being the last of a text and padding none of it."""
    ends = texts == eos if eos is not None else torch.zeros_like(texts, dtype=torch.bool)
    return int((ends.cumsum(dim=1) - ends.long() == 0).sum())


def tokens_per_cpu_s(work: Callable[[], int]) -> float:
    start = time.process_time()
    return work() / (time.process_time() - start)


@pytest.mark.bench
@pytest.mark.slow
@pytest.mark.parametrize("ragged", [False, True])
def test_sampling_is_faster_than_generate(
    folder: Path, ragged: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = load(folder, ragged=ragged)
    sample_all(engine)
    ours: list[float] = []
    peers: list[float] = []
    for _ in range(ROUNDS):
        ours.append(tokens_per_cpu_s(partial(sample_all, engine)))
        peers += [tokens_per_cpu_s(partial(generate_all, engine, batch)) for batch in PEER_BATCHES]
    ratio = max(ours) / max(peers)
    with capsys.disabled():
        kind = "ragged" if ragged else "equal lengths"
        print(
            f"\n{kind}: sampler {max(ours):.0f} tokens/s, generate {max(peers):.0f}: {ratio:.1f}x"
        )
    assert ratio > 1
