"""Does the in-process engine sample what its model says, and nothing else?"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from scipy import stats

from rprm.engines.base import Completion, Refused, Request, SamplingParams, in_request_order
from rprm.engines.loading import EngineOptions
from rprm.engines.transformers import TransformersEngine
from tests.unit.rprm.engine_models import CHAIN, ragged_requests, save_tiny, word_tokenizer

GREEDY = SamplingParams(temperature=0, max_tokens=24)
WARM = SamplingParams(max_tokens=24, verdict=CHAIN)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("tiny"), word_tokenizer())


@pytest.fixture(scope="module")
def engine(folder: Path) -> TransformersEngine:
    return TransformersEngine(folder, threads=1)


def small(folder: Path, **limits: int) -> TransformersEngine:
    return TransformersEngine(folder, threads=1, options=EngineOptions(**limits))  # type: ignore[arg-type]


def completions(
    engine: TransformersEngine, requests: list[Request], params: SamplingParams
) -> list[Completion]:
    answers = in_request_order(requests, engine.sample(requests, params))
    assert all(isinstance(answer, Completion) for answer in answers)
    return [answer for answer in answers if isinstance(answer, Completion)]


def ids_of(answers: list[Completion]) -> list[list[tuple[int, ...]]]:
    return [[sample.token_ids for sample in answer.samples] for answer in answers]


def test_greedy_equals_generate_token_for_token(engine: TransformersEngine) -> None:
    requests = ragged_requests(12, n=1)
    for request, answer in zip(requests, completions(engine, requests, GREEDY), strict=True):
        expected = engine.model.generate(
            torch.tensor([request.prompt_T]),
            attention_mask=torch.ones(1, len(request.prompt_T)),
            do_sample=False,
            max_new_tokens=GREEDY.max_tokens,
            pad_token_id=0,
        )[0, len(request.prompt_T) :]
        assert answer.samples[0].token_ids == tuple(expected.tolist())


def test_beliefs_equal_a_straight_forward_pass(engine: TransformersEngine) -> None:
    requests = ragged_requests(60, n=24)
    yes, no = (engine.tokenizer.convert_tokens_to_ids(word) for word in ("yes", "no"))
    marker = tuple(engine.tokenizer.convert_tokens_to_ids(["correct", "?"]))
    seen = 0
    for request, answer in zip(requests, completions(engine, requests, WARM), strict=True):
        for sample in answer.samples:
            ids = sample.token_ids
            after = [at + 2 for at in range(len(ids) - 1) if ids[at : at + 2] == marker]
            if not after:
                assert sample.p_yes is None
                continue
            whole = torch.tensor([request.prompt_T + ids[: after[0]]])
            logits = engine.model(input_ids=whole).logits[0, -1]
            expected = torch.softmax(logits[[yes, no]], dim=0)[0].item()
            assert sample.p_yes == pytest.approx(expected, abs=1e-4)
            seen += 1
    assert seen > 5, "a test that never sees a verdict proves nothing"


@pytest.mark.parametrize("top_p", [1.0, 0.7])
def test_first_tokens_follow_the_kept_distribution(
    engine: TransformersEngine, top_p: float
) -> None:
    params = SamplingParams(temperature=0.95, top_p=top_p, max_tokens=1)
    request = Request(id="a", prompt_T=(5, 17, 9, 30), n=4000, seed=3)
    (answer,) = completions(engine, [request], params)
    counts = Counter(sample.token_ids[0] for sample in answer.samples)
    logits = engine.model(input_ids=torch.tensor([request.prompt_T])).logits[0, -1]
    probs, order = torch.softmax(logits.double() / 0.95, dim=0).sort(descending=True)
    kept = (probs.cumsum(0) - probs) < top_p
    assert set(counts) <= set(order[kept].tolist())
    expected = probs[kept] / probs[kept].sum() * request.n
    observed = [counts[token] for token in order[kept].tolist()]
    big = int((expected >= 5).sum())
    tail = [[sum(observed[big:])], [float(expected[big:].sum())]]
    if tail[1][0] < 5:
        tail = [[], []]
        expected = expected / expected[:big].sum() * sum(observed[:big])
    result = stats.chisquare(observed[:big] + tail[0], expected[:big].tolist() + tail[1])
    assert result.pvalue > 0.001


def test_the_same_call_gives_the_same_answers(engine: TransformersEngine) -> None:
    requests = ragged_requests(30, n=3)
    assert list(engine.sample(requests, WARM)) == list(engine.sample(requests, WARM))


@pytest.mark.parametrize(
    "limits",
    [
        {"max_rows": 4},  # many refills
        {"max_rows": 1},  # nothing beside a sample
        {"max_batch_tokens": 400},  # few rows by memory
        {"max_prefill_tokens": 40},  # prompts prefilled nearly alone
    ],
)
def test_a_sample_does_not_depend_on_its_neighbours(
    engine: TransformersEngine, folder: Path, limits: dict[str, int]
) -> None:
    requests = ragged_requests(20, n=3)
    alone = ids_of(completions(small(folder, **limits), requests, WARM))
    assert alone == ids_of(completions(engine, requests, WARM))


def test_waves_draw_the_samples_of_one_large_request(engine: TransformersEngine) -> None:
    whole = ragged_requests(6, n=6)
    first = [replace(request, n=2) for request in whole]
    rest = [replace(request, n=4, first_sample=2) for request in whole]
    joined = [
        one + two
        for one, two in zip(
            ids_of(completions(engine, first, WARM)),
            ids_of(completions(engine, rest, WARM)),
            strict=True,
        )
    ]
    assert joined == ids_of(completions(engine, whole, WARM))


def test_samples_of_one_request_differ(engine: TransformersEngine) -> None:
    (answer,) = completions(engine, ragged_requests(1, n=8), WARM)
    assert len({sample.token_ids for sample in answer.samples}) == 8


def test_no_requests_no_answers(engine: TransformersEngine) -> None:
    assert list(engine.sample([], WARM)) == []


def test_a_prompt_that_cannot_fit_is_refused_with_its_numbers(engine: TransformersEngine) -> None:
    long = Request(id="long", prompt_T=(5,) * 500, n=2, seed=0)
    fits = Request(id="fits", prompt_T=(5,) * 488, n=1, seed=0)
    refused, answered = in_request_order([long, fits], engine.sample([long, fits], GREEDY))
    assert isinstance(refused, Refused)
    assert refused.cause == "prompt_too_long"
    assert "500" in refused.detail
    assert isinstance(answered, Completion)
