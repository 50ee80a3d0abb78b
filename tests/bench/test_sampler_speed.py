"""How fast is the in-process sampler beside `generate`?

Peer      transformers' generate with num_return_sequences, prompts sorted by length and padded
          on the left, at its best batch size
Setting   Qwen2 of the small world's size, fp32, one thread; every sample has the same length,
          which favours generate: it pays for finished rows, the sampler does not
Measure   sampled tokens per second of CPU time, the two taking turns
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch

from rprm.engines.base import Request, SamplingParams
from rprm.engines.transformers import TransformersEngine
from tests.unit.rprm.engine_models import CHAIN, WORDS, save_tiny, word_tokenizer

SAMPLES = 9
NEW_TOKENS = 41
PROMPTS = 84
PEER_BATCHES = (12, 28, 42)
ROUNDS = 3


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> TransformersEngine:
    folder = save_tiny(tmp_path_factory.mktemp("tiny"), word_tokenizer(), hidden=128)
    engine = TransformersEngine(folder, threads=1)
    engine.model.generation_config.eos_token_id = None
    object.__setattr__(engine.judge, "eos", frozenset())  # every sample runs to the limit
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
    ordered = sorted(prompts(), key=len)
    for start in range(0, PROMPTS, batch):
        group = ordered[start : start + batch]
        width = max(len(prompt) for prompt in group)
        pads = [width - len(prompt) for prompt in group]
        engine.model.generate(
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
    return PROMPTS * SAMPLES * NEW_TOKENS


def tokens_per_cpu_s(work: Callable[[], int]) -> float:
    start = time.process_time()
    return work() / (time.process_time() - start)


@pytest.mark.bench
@pytest.mark.slow
def test_sampling_is_faster_than_generate(
    engine: TransformersEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    sample_all(engine)
    ours: list[float] = []
    peers: dict[int, list[float]] = {batch: [] for batch in PEER_BATCHES}
    for _ in range(ROUNDS):
        ours.append(tokens_per_cpu_s(lambda: sample_all(engine)))
        for batch, speeds in peers.items():
            speeds.append(tokens_per_cpu_s(lambda batch=batch: generate_all(engine, batch)))  # type: ignore[misc]
    best = max(max(speeds) for speeds in peers.values())
    with capsys.disabled():
        print(f"\nsampler {max(ours):.0f} tokens/s, generate {best:.0f}: {max(ours) / best:.2f}x")
    assert max(ours) > best
