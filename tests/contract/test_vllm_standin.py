"""Do the stand-in's bad days come when they are asked for, and does its scheduler lose nothing?"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rprm.data.chain_tokenizer import VOCABULARY
from tests.contract.standin_core import Core, Pace
from tests.contract.standin_faults import (
    BUSY,
    FEWER,
    GARBAGE,
    LIMITED,
    MUTE,
    NO_LOGPROBS,
    OTHER_LOGPROBS,
    RESET,
    SHORT_LOGPROBS,
    TORN,
    Fault,
    slow,
)
from tests.contract.standin_text import Babble, Drawing
from tests.contract.vllm_questions import PROMPT, Server, ask, call, metrics, sample, until
from tests.contract.vllm_standin import VllmStandin

BROKEN_CONNECTION = (OSError, http.client.HTTPException)


@pytest.fixture
def standin() -> Iterator[VllmStandin]:
    with VllmStandin() as made:
        yield made


@pytest.fixture
def server(standin: VllmStandin) -> Server:
    return Server(standin)


@pytest.mark.parametrize(("fault", "status"), [(BUSY, 503), (LIMITED, 429)])
def test_a_fault_is_taken_by_one_request(
    standin: VllmStandin, server: Server, fault: Fault, status: int
) -> None:
    standin.faults.append(fault)
    refused = ask(server)
    assert (refused.status, refused.body["error"]["code"]) == (status, status)
    assert ask(server).status == 200


@pytest.mark.parametrize("fault", [TORN, GARBAGE, RESET], ids=lambda fault: str(fault.kind))
def test_an_answer_can_be_broken(standin: VllmStandin, server: Server, fault: Fault) -> None:
    standin.faults.append(fault)
    try:
        assert "choices" not in ask(server).body
    except (*BROKEN_CONNECTION, json.JSONDecodeError):
        pass
    assert ask(server).status == 200


def test_an_answer_can_lack_a_sample(standin: VllmStandin, server: Server) -> None:
    standin.faults.append(FEWER)
    assert len(ask(server, n=3).body["choices"]) == 2


def test_log_probabilities_can_be_wrong_in_three_ways(standin: VllmStandin, server: Server) -> None:
    standin.faults += [NO_LOGPROBS, OTHER_LOGPROBS, SHORT_LOGPROBS]
    asked: dict[str, Any] = {"logprobs": 0, "logprob_token_ids": [39, 40]}
    none, other, short = (sample(server, **asked) for _ in range(3))
    assert none["logprobs"] is None
    assert all(len(top) == 1 for top in other["logprobs"]["top_logprobs"])
    assert len(short["logprobs"]["tokens"]) == len(short["token_ids"]) - 1


def test_a_slow_answer_comes_late(standin: VllmStandin, server: Server) -> None:
    standin.faults.append(slow(0.2))
    began_s = time.monotonic()
    assert ask(server).status == 200
    assert time.monotonic() - began_s >= 0.2


def test_a_mute_request_harms_no_other(standin: VllmStandin, server: Server) -> None:
    standin.faults.append(MUTE)
    with ThreadPoolExecutor(1) as pool:
        never = pool.submit(ask, server)
        until(lambda: standin.at_once == 1)
        assert ask(server).status == 200
        assert not never.done()
        standin.die()
        assert _broken(never)


def test_a_hung_server_is_healthy_and_makes_no_token(standin: VllmStandin, server: Server) -> None:
    standin.hang()
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(ask, server)
        until(lambda: metrics(server).waiting == 1)
        before = metrics(server)
        time.sleep(0.1)
        assert metrics(server) == before
        assert call(server, "/health").status == 200
        standin.resume()
        assert coming.result(10).status == 200


def test_a_dead_server_breaks_what_was_under_way_and_takes_nothing_more(
    standin: VllmStandin, server: Server
) -> None:
    standin.hang()
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(ask, server)
        until(lambda: standin.at_once == 1)
        standin.die()
        assert _broken(coming)
    with pytest.raises(ConnectionRefusedError):
        ask(server)


def test_a_server_can_die_at_the_request_after_so_many() -> None:
    with VllmStandin(dies_after=2) as standin:
        server = Server(standin)
        assert [ask(server).status for _ in range(2)] == [200, 200]
        with pytest.raises(BROKEN_CONNECTION):
            ask(server)
        with pytest.raises(BROKEN_CONNECTION):
            ask(server)


def _broken(coming: Future[Any]) -> bool:
    return isinstance(coming.exception(10), BROKEN_CONNECTION)


def test_a_script_says_what_is_written() -> None:
    said = [VOCABULARY.index(word) for word in ("ok", "correct", "?", "yes")] + [1]
    with VllmStandin(script=lambda prompt, seed: said) as standin:
        found = sample(Server(standin), ignore_eos=False)
    assert (found["text"], found["finish_reason"]) == (" ok correct ? yes", "stop")


@given(seed=st.integers(0, 2**63 - 1), temperature=st.floats(0.1, 2), top_p=st.floats(0.1, 1))
@settings(max_examples=30, deadline=None)
def test_babble_comes_to_a_verdict_and_ends(seed: int, temperature: float, top_p: float) -> None:
    how = Drawing(seed=seed, temperature=temperature, top_p=top_p, max_tokens=80)
    written = Babble().write(PROMPT, how)
    assert written == Babble().write(PROMPT, how)
    if written.finish == "stop":
        assert written.text.endswith((" correct ? yes", " correct ? no"))


REQUESTS = st.lists(
    st.tuples(st.integers(1, 70), st.lists(st.integers(1, 40), min_size=1, max_size=4)),
    min_size=1,
    max_size=12,
)


@given(requests=REQUESTS, blocks=st.integers(7, 30), seqs=st.integers(1, 6))
@settings(max_examples=100, deadline=None)
def test_every_sample_ends_once_however_little_memory_there_is(
    requests: list[tuple[int, list[int]]], blocks: int, seqs: int
) -> None:
    pace = Pace(max_num_seqs=seqs, kv_blocks=blocks, max_batched_tokens=32, step_s=1.0)
    core = Core(pace)
    ends: list[int] = []
    for number, (size, lengths) in enumerate(requests):
        outputs = [(number,) * length for length in lengths]
        core.submit(outputs, tuple(range(size)), partial(ends.append, number))
    for _ in range(20_000):
        if not (core.running or core.waiting):
            break
        core.step()
        assert len(core.running) <= seqs
    assert sorted(ends) == sorted(
        number for number, (_, lengths) in enumerate(requests) for _ in lengths
    )
    assert core.kv_use == 0
    assert core.counters.generation_tokens == sum(sum(lengths) for _, lengths in requests)
    assert core.counters.prompt_tokens == sum(size * len(lengths) for size, lengths in requests)
    assert core.counters.prefix_cache_hits <= core.counters.prefix_cache_queries
