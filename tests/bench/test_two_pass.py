"""What does a judged step cost where reading it again costs something?  A judge of 30 M parameters.

Run with:  RPRM_VLLM=PYTHON pytest tests/bench/test_two_pass.py -m bench -s

A judge of 0.6 M parameters reads a critique in the time that calling it takes; a real judge does
not.  This one is large enough for a processor to be busy with, and has random weights: it costs
what a trained one of its size would.  Its texts have a fixed length, and prompts and critiques the
proportions of the method's (900 and 400 tokens), at two fifths of their length.

Early stopping needs a judge that believes something: here each step is given as many critiques as
would save what the small world's trained judge saves (a mean of 6.4 of ten), in two waves.  The
second pass reads each critique to its end, where a verdict stands; ours asks for the belief after a
word that every text has.
`gpu_two_pass.py` does the same with a model of 7B parameters on a GPU, without vLLM.
"""

from __future__ import annotations

import math
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rprm.data.chain_tokenizer import chain_tokenizer
from rprm.engines.base import Request, SamplingParams, VerdictFormat
from rprm.engines.vllm_http import VllmEngine
from tests.bench.judge_fleet import (
    CRITIQUES,
    VLLM_ARGS,
    SecondPass,
    drawn,
    engine_on,
    seconds,
    texts_of,
    tokens_of,
)
from tests.bench.rows import Row
from tests.contract.real_vllm import CHAIN_BASE, TOKENIZER_FILES, RealVllm, python_with_vllm

NEEDED = (5, 5, 6, 6, 6, 6, 6, 6, 6, 6, 7, 8, 10)
FIRST_WAVE = 5
STEPS = len(NEEDED)
ROUNDS = 2
PROMPT = 360
CRITIQUE = 160
SIZES = {
    "hidden_size": 512,
    "intermediate_size": 2048,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    "tie_word_embeddings": False,
    "initializer_range": 0.02,
}
VERDICT = VerdictFormat(marker="check", yes=" yes", no=" no")
TIMES_FASTER = 3.0
OF_MAXIMUM = 0.95
THREADS = (1, 2)

pytestmark = [pytest.mark.bench, pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A judge that never ends a text: all its states have a direction in common, which its EOS
    token points away from."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    config = AutoConfig.from_pretrained(str(CHAIN_BASE))
    config.update(SIZES)
    config.layer_types = ["full_attention"] * SIZES["num_hidden_layers"]
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        model.get_input_embeddings().weight += 1.0
        model.lm_head.weight[chain_tokenizer().eos_token_id] = -1.0
    path = tmp_path_factory.mktemp("random-judge")
    model.save_pretrained(path)
    for name in TOKENIZER_FILES:
        shutil.copy(CHAIN_BASE / name, path / name)
    return path


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[RealVllm]:
    with RealVllm(python_with_vllm(), model=folder, args=VLLM_ARGS) as found:
        yield found


def asked() -> list[Request]:
    rng = random.Random(1)
    return [
        Request(
            id=str(step),
            prompt_T=tuple(rng.choices(range(3, 46), k=PROMPT)),
            n=CRITIQUES,
            seed=step,
        )
        for step in range(STEPS)
    ]


def test_a_judge_of_some_size_is_read_once(
    server: RealVllm, folder: Path, tmp_path: Path, row: Row
) -> None:
    requests = asked()
    judged = SamplingParams(max_tokens=CRITIQUE, verdict=VERDICT)
    bare = replace(judged, verdict=None)
    with _fresh(server, folder, tmp_path) as engine:
        said = drawn(engine, requests, judged)
    read = sum(sample.p_yes is not None for answer in said for sample in answer.samples)
    assert tokens_of(said) == STEPS * CRITIQUES * CRITIQUE
    assert read >= 0.9 * STEPS * CRITIQUES, "nearly every text has its word"
    texts = texts_of(requests, said, None)

    ways: dict[str, Callable[[VllmEngine], Any]] = {
        "one pass": lambda engine: drawn(engine, requests, judged),
        "drawing": lambda engine: drawn(engine, requests, bare),
        "one pass, early stop": lambda engine: _draw_in_waves(engine, requests, judged),
    }
    took_s = dict.fromkeys(ways, math.inf)
    read_s = math.inf
    for _ in range(ROUNDS):
        for name, way in ways.items():
            with _fresh(server, folder, tmp_path) as engine:
                took_s[name] = min(took_s[name], seconds(partial(way, engine)))
        read_s = min(read_s, *(_reading_s(folder, texts, threads) for threads in THREADS))
    two_passes_s = took_s["drawing"] + read_s
    for name in ("one pass", "one pass, early stop"):
        faster = two_passes_s / took_s[name]
        row(
            f"(c) time per judged step, {name}, judge of 30 M parameters",
            f"{faster:.2f} x faster ({took_s[name] / STEPS:.2f} s)",
            f">= {TIMES_FASTER:.0f} x",
            faster >= TIMES_FASTER,
            f"two passes, {took_s['drawing'] / STEPS:.2f} s drawing and"
            f" {read_s / STEPS:.2f} s reading",
        )
    share = took_s["drawing"] / took_s["one pass"]
    row(
        f"(a) tokens/s with beliefs, critiques of {CRITIQUE} tokens, judge of 30 M parameters",
        f"{share:.3f} ({tokens_of(said) / took_s['one pass']:.0f} tokens/s)",
        f">= {OF_MAXIMUM}",
        share >= OF_MAXIMUM,
        "the same engine without beliefs",
    )
    assert two_passes_s >= TIMES_FASTER * took_s["one pass, early stop"]
    assert share >= OF_MAXIMUM


@contextmanager
def _fresh(server: RealVllm, folder: Path, files: Path) -> Iterator[VllmEngine]:
    """An engine that has worked has another limit of what may be in flight, and where so few
    requests are all alike, one more or less at a time decides."""
    engine = engine_on(server, folder, files)
    try:
        drawn(engine, asked()[:1], SamplingParams(max_tokens=1))  # a connection
        yield engine
    finally:
        engine.close()


def _draw_in_waves(engine: VllmEngine, requests: list[Request], params: SamplingParams) -> None:
    drawn(engine, [replace(one, n=FIRST_WAVE) for one in requests], params)
    later = [
        replace(one, n=needed - FIRST_WAVE, first_sample=FIRST_WAVE)
        for one, needed in zip(requests, NEEDED, strict=True)
        if needed > FIRST_WAVE
    ]
    drawn(engine, later, params)


def _reading_s(folder: Path, texts: list[tuple[int, ...]], threads: int) -> float:
    """Of all of them, from every tenth one."""
    second = SecondPass(folder, VERDICT, threads=threads)
    second.read(texts[:1])
    some = texts[::CRITIQUES]
    return seconds(lambda: second.read(some)) * len(texts) / len(some)
