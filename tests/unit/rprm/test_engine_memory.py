"""Do the ways of saving memory and time leave the samples as they are?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import Qwen2Config, Qwen2ForCausalLM

from rprm.engines import grouped_attention
from rprm.engines.agreement import disagreement
from rprm.engines.base import Completion, Request, SamplingParams, in_request_order
from rprm.engines.batching import Limits, places_for, shape_for, units_of
from rprm.engines.drawing import choose, uniforms
from rprm.engines.loading import EngineOptions, batch_tokens
from rprm.engines.rows import closing_gaps
from rprm.engines.transformers import TransformersEngine
from tests.unit.rprm.engine_models import CHAIN, ragged_requests, save_tiny, word_tokenizer

WARM = SamplingParams(max_tokens=40, verdict=CHAIN)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("tiny"), word_tokenizer())


def never_ending(folder: Path, **options: int) -> TransformersEngine:
    engine = TransformersEngine(folder, threads=1, options=EngineOptions(**options))  # type: ignore[arg-type]
    object.__setattr__(engine.judge, "eos", frozenset())
    return engine


def answers(
    engine: TransformersEngine, requests: list[Request], params: SamplingParams
) -> list[Completion]:
    found = in_request_order(requests, engine.sample(requests, params))
    return [answer for answer in found if isinstance(answer, Completion)]


def assert_same(ones: list[Completion], others: list[Completion]) -> None:
    for one, other in zip(ones, others, strict=True):
        assert [s.token_ids for s in one.samples] == [s.token_ids for s in other.samples]
        for left, right in zip(one.samples, other.samples, strict=True):
            assert left.p_yes == pytest.approx(right.p_yes, abs=1e-4)


def test_samples_set_aside_for_memory_come_back_unchanged(folder: Path) -> None:
    requests = ragged_requests(4, n=4, longest=12)
    params = SamplingParams(max_tokens=220, verdict=CHAIN)
    tight = never_ending(folder, max_batch_tokens=2200)
    assert_same(answers(never_ending(folder), requests, params), answers(tight, requests, params))


def test_attention_by_prompt_draws_what_plain_attention_draws(folder: Path) -> None:
    grouped, plain = never_ending(folder, max_rows=7), never_ending(folder, max_rows=7)
    assert grouped.model.config._attn_implementation == grouped_attention.NAME
    plain.model.set_attn_implementation("sdpa")
    requests = ragged_requests(9, n=3)
    assert_same(answers(grouped, requests, WARM), answers(plain, requests, WARM))


def test_a_model_with_sliding_windows_keeps_its_own_attention(tmp_path: Path) -> None:
    tokenizer = word_tokenizer()
    torch.manual_seed(1)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.3,
        max_position_embeddings=128,
        use_sliding_window=True,
        sliding_window=5,
        max_window_layers=1,
        eos_token_id=1,
    )
    Qwen2ForCausalLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    engine = never_ending(tmp_path, max_rows=3)
    assert engine.model.config._attn_implementation == "sdpa"
    assert disagreement(engine.model) < 0.01
    engine.model.generation_config.eos_token_id = None
    requests = ragged_requests(5, n=1)
    greedy = SamplingParams(temperature=0, max_tokens=20)
    for request, answer in zip(requests, answers(engine, requests, greedy), strict=True):
        prompt = torch.tensor([request.prompt_T])
        whole = engine.model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            do_sample=False,
            max_new_tokens=20,
            pad_token_id=0,
        )
        assert answer.samples[0].token_ids == tuple(whole[0, prompt.shape[1] :].tolist())


def test_many_samples_and_equal_prompts_share_and_stay_apart(folder: Path) -> None:
    (one,) = ragged_requests(1, n=40)
    twin = replace(one, id="twin", seed=one.seed + 1)
    engine = never_ending(folder)
    first, second = answers(engine, [one, twin], WARM)
    assert len({sample.token_ids for sample in first.samples + second.samples}) == 80
    alone = answers(engine, [replace(one, n=3, first_sample=20)], WARM)
    assert [s.token_ids for s in alone[0].samples] == [s.token_ids for s in first.samples[20:23]]


def test_cache_memory_on_a_cpu_is_bounded_in_bytes(folder: Path) -> None:
    engine = TransformersEngine(folder, threads=1)
    layers, heads, size, float_bytes = 3, 2, 8, 4
    per_token = 2 * layers * heads * size * float_bytes
    assert batch_tokens(engine.model, EngineOptions()) * per_token <= 1 << 30
    assert batch_tokens(engine.model, EngineOptions(max_batch_tokens=77)) == 77


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30), st.integers(1, 60))
def test_units_cover_every_sample_once(counts: list[int], most_rows: int) -> None:
    requests = [
        Request(id=str(i), prompt_T=(1,) * (1 + i % 5), n=n, seed=i, first_sample=i)
        for i, n in enumerate(counts)
    ]
    units = units_of(requests, places=places_for(requests))
    covered = sorted((unit.request, sample) for unit in units for sample in unit.samples)
    assert covered == [(i, i + k) for i, n in enumerate(counts) for k in range(n)]
    lengths = [len(unit.prompt_T) for unit in units]
    assert lengths == sorted(lengths, reverse=True)
    limits = Limits(rows=most_rows, batch_tokens=10_000, prefill_tokens=100)
    shape = shape_for(units, SamplingParams(max_tokens=50), limits)
    assert max(len(unit.samples) for unit in units) <= shape.places <= shape.rows
    assert shape.rows <= max(most_rows, shape.places)
    assert shape.units >= 1


@given(st.integers(1, 30), st.sets(st.integers(0, 29)))
def test_closing_gaps_leaves_a_dense_list(size: int, gone: set[int]) -> None:
    gone = {index for index in gone if index < size}
    moves = closing_gaps(gone, size)
    entries = list(range(size))
    for source, target in zip(moves.sources, moves.targets, strict=True):
        entries[target] = entries[source]
    assert sorted(entries[: size - len(gone)]) == sorted(set(range(size)) - gone)


@given(st.integers(-(2**70), 2**70), st.integers(0, 2**40), st.integers(0, 99), st.integers(1, 9))
def test_any_stretch_of_a_stream_can_be_had_by_itself(
    seed: int, k: int, start: int, count: int
) -> None:
    whole = uniforms(seed, k, start=0, count=start + count)
    assert uniforms(seed, k, start=start, count=count).tolist() == whole[start:].tolist()
    assert ((whole >= 0) & (whole < 1)).all()


@pytest.mark.parametrize(
    ("uniform", "top_p", "token"),
    [
        (0.0, 1.0, 1),  # token 0 is impossible: even a zero never draws it
        (0.49, 1.0, 1),
        (0.51, 1.0, 2),
        (0.9999999, 1.0, 3),
        (0.9999999, 0.5, 1),  # the likeliest alone reaches one half
        (0.9999999, 0.7, 2),
    ],
)
def test_inverse_cdf_draws_the_token_the_uniform_points_at(
    uniform: float, top_p: float, token: int
) -> None:
    logits = torch.tensor([[0.0, 0.5, 0.3, 0.2]]).log()
    drawn = choose(
        logits, torch.tensor([uniform], dtype=torch.float64), temperature=1.0, top_p=top_p
    )
    assert drawn.item() == token
