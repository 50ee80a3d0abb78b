"""What can the method rely on, whichever engine writes the critiques?"""

from __future__ import annotations

import atexit
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from rprm.data.chain_tokenizer import chain_tokenizer
from rprm.data.chains import solution
from rprm.data.tables import cases_of
from rprm.engines.base import Completion, Engine, Refused, Request, SamplingParams, in_request_order
from rprm.engines.factory import make_engine
from rprm.engines.recorded import RecordedEngine, write_samples
from rprm.engines.scripted_teacher import ScriptedTeacher
from rprm.prompting import Renderer, load_template
from tests.contract.real_vllm import CHAIN_BASE, RealVllm, python_with_vllm
from tests.contract.vllm_standin import VllmStandin

PARAMS = SamplingParams(max_tokens=60)
pytestmark = pytest.mark.timeout(1200)  # a real server may take its time to start


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return chain_tokenizer()


@pytest.fixture(scope="module")
def requests(tokenizer: Any) -> list[Request]:
    renderer = Renderer(load_template("chain"), tokenizer)
    drawn = [
        case
        for index in range(4)
        for case in cases_of(solution(7, index, "dev"), up_to_first_error=False)
    ]
    return [
        Request(id=case.id, prompt_T=renderer.prompt(case), n=3, seed=index)
        for index, case in enumerate(drawn)
    ]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """Random weights: a contract says nothing of what is written."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.2,
        max_position_embeddings=256,
        eos_token_id=tokenizer.eos_token_id,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def in_process(model: Path, tokenizer: Any, requests: list[Request]) -> Engine:
    return make_engine(model, threads=1)


def in_process_few_rows(model: Path, tokenizer: Any, requests: list[Request]) -> Engine:
    return make_engine(model, threads=1, max_rows=12)


def vllm(model: Path, tokenizer: Any, requests: list[Request]) -> Engine:
    return make_engine(model, threads=1, url=standin().url)


@cache
def standin() -> VllmStandin:
    """Shares the lifetime of the test process, as its thread does."""
    return VllmStandin(max_model_len=256).__enter__()


def real_vllm(model: Path, tokenizer: Any, requests: list[Request]) -> Engine:
    return make_engine(CHAIN_BASE, threads=1, url=real_server().url)


@cache
def real_server() -> RealVllm:
    """For the rest of the test process.  Seeded prompts must not be read in parts: on a CPU, vLLM
    0.32 dies of it."""
    args = ("--max-model-len", "256", "--no-enable-chunked-prefill")
    server = RealVllm(python_with_vllm(), args=args)
    server.__enter__()
    atexit.register(server.__exit__)
    return server


def teacher(model: Path, tokenizer: Any, requests: list[Request]) -> Engine:
    return ScriptedTeacher(tokenizer)


def recorded(model: Path, tokenizer: Any, requests: list[Request]) -> Engine:
    path = model / "critiques.jsonl"
    more = [replace(request, n=6) for request in requests]
    answers = ScriptedTeacher(tokenizer).sample(more, PARAMS)
    write_samples(path, [answer for answer in answers if isinstance(answer, Completion)])
    return RecordedEngine(path)


ENGINES: list[Callable[[Path, Any, list[Request]], Engine]] = [
    in_process,
    in_process_few_rows,
    vllm,
    real_vllm,
    teacher,
    recorded,
]


@pytest.fixture(scope="module", params=ENGINES, ids=lambda make: make.__name__)
def engine(
    request: pytest.FixtureRequest, model: Path, tokenizer: Any, requests: list[Request]
) -> Engine:
    made: Engine = request.param(model, tokenizer, requests)
    return made


def answers(
    engine: Engine, requests: list[Request], params: SamplingParams = PARAMS
) -> list[Completion]:
    found = in_request_order(requests, engine.sample(requests, params))
    return [answer for answer in found if isinstance(answer, Completion)]


def test_every_request_is_answered_once(engine: Engine, requests: list[Request]) -> None:
    found = [answer.id for answer in engine.sample(requests, PARAMS)]
    assert sorted(found) == sorted(request.id for request in requests)


def test_an_answer_has_as_many_samples_as_were_asked_for(
    engine: Engine, requests: list[Request]
) -> None:
    assert [len(answer.samples) for answer in answers(engine, requests)] == [3] * len(requests)


def test_no_requests_no_answers(engine: Engine) -> None:
    assert list(engine.sample([], PARAMS)) == []


def test_asking_again_gives_the_same_samples(engine: Engine, requests: list[Request]) -> None:
    assert answers(engine, requests) == answers(engine, requests)


def test_a_sample_does_not_depend_on_the_requests_beside_it(
    engine: Engine, requests: list[Request]
) -> None:
    together = {answer.id: answer for answer in answers(engine, requests)}
    for request in requests[::3]:
        (alone,) = answers(engine, [request])
        assert [s.token_ids for s in alone.samples] == [
            s.token_ids for s in together[request.id].samples
        ]


def test_a_later_wave_goes_on_where_the_first_one_ended(
    engine: Engine, requests: list[Request]
) -> None:
    whole = answers(engine, [replace(request, n=5) for request in requests])
    first = answers(engine, [replace(request, n=2) for request in requests])
    rest = answers(engine, [replace(request, n=3, first_sample=2) for request in requests])
    for one, two, both in zip(first, rest, whole, strict=True):
        assert [s.token_ids for s in one.samples + two.samples] == [
            s.token_ids for s in both.samples
        ]


def test_samples_of_a_request_are_not_all_the_same(engine: Engine, requests: list[Request]) -> None:
    many = answers(engine, [replace(request, n=6) for request in requests])
    assert any(len({sample.text for sample in answer.samples}) > 1 for answer in many)


def test_a_belief_is_a_probability_or_absent(engine: Engine, requests: list[Request]) -> None:
    params = replace(PARAMS, verdict=load_template("chain").verdict)
    for answer in answers(engine, requests, params):
        assert all(s.p_yes is None or 0 <= s.p_yes <= 1 for s in answer.samples)


def test_a_sample_tells_how_it_ended(
    engine: Engine, requests: list[Request], tokenizer: Any
) -> None:
    for answer in answers(engine, requests):
        for sample in answer.samples:
            ended = sample.token_ids[-1] == tokenizer.eos_token_id
            assert (sample.finish == "eos") == ended
            assert len(sample.token_ids) <= PARAMS.max_tokens


def test_what_cannot_be_answered_is_refused_and_the_rest_is_answered(
    engine: Engine, requests: list[Request]
) -> None:
    broken = Request(id="broken", prompt_T=(3,) * 250, n=1, seed=0)
    found = {answer.id: answer for answer in engine.sample([broken, requests[0]], PARAMS)}
    refused = found["broken"]
    assert isinstance(refused, Refused)
    assert refused.cause
    assert refused.detail
    assert isinstance(found[requests[0].id], Completion)


def test_an_engine_says_who_wrote_the_text(engine: Engine) -> None:
    assert engine.name
