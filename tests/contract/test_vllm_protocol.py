"""Does the stand-in answer as vLLM does?  The same questions to both.

The real one is asked where RPRM_VLLM names a Python that has it.  What the two write differs;
whatever a client reads of it does not.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest

from rprm.data.chain_tokenizer import VOCABULARY, chain_tokenizer
from tests.contract.real_vllm import RealVllm, python_with_vllm
from tests.contract.standin_core import Pace
from tests.contract.vllm_questions import (
    BLOCK,
    EOS,
    KEY,
    MAX_LEN,
    MAX_SEQS,
    NO,
    PROMPT,
    REFUSED,
    YES,
    Answer,
    Server,
    ask,
    call,
    choices,
    long_prompt,
    metrics,
    sample,
    until,
)
from tests.contract.vllm_standin import VllmStandin

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module", params=["stand-in", "vllm"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    if request.param == "vllm":
        args = ["--max-num-seqs", str(MAX_SEQS), "--shutdown-timeout", "30"]
        with RealVllm(python_with_vllm(), key=KEY, args=args) as real:
            yield Server(real)
    else:
        pace = Pace(max_num_seqs=MAX_SEQS, block_size=BLOCK, step_s=0.001)
        with VllmStandin(key=KEY, pace=pace) as standin:
            yield Server(standin)


def test_it_says_which_model_it_serves_and_how_long_a_sequence_may_be(server: Server) -> None:
    (model,) = call(server, "/v1/models").body["data"]
    assert (model["id"], model["max_model_len"]) == ("judge", MAX_LEN)
    assert call(server, "/version").body["version"]


def test_health_is_an_empty_200_that_needs_no_key(server: Server) -> None:
    assert call(server, "/health", key=None) == Answer(200, "")


@pytest.mark.parametrize("key", [None, "another"])
def test_a_wrong_key_is_refused_under_v1(server: Server, key: str | None) -> None:
    for path, body in (("/v1/models", None), ("/v1/completions", {"prompt": PROMPT})):
        assert call(server, path, body, key=key) == Answer(401, {"error": "Unauthorized"})


def test_metrics_need_no_key(server: Server) -> None:
    assert call(server, "/metrics", key=None).status == 200


def test_n_samples_are_those_of_as_many_seeds_in_a_row(server: Server) -> None:
    together = [one["token_ids"] for one in choices(server, n=4, seed=5)]
    assert together == [sample(server, seed=5 + number)["token_ids"] for number in range(4)]
    assert len({tuple(ids) for ids in together}) > 1


def test_choices_are_numbered_by_their_sample(server: Server) -> None:
    assert [one["index"] for one in choices(server, n=5)] == list(range(5))


def test_samples_are_the_same_whatever_is_beside_them(server: Server) -> None:
    alone = [sample(server, seed=seed)["token_ids"] for seed in range(6)]
    with ThreadPoolExecutor(6) as pool:
        beside = list(pool.map(lambda seed: sample(server, seed=seed)["token_ids"], range(6)))
    assert alone == beside


def test_seeds_below_zero_and_up_to_63_bits_are_taken(server: Server) -> None:
    assert sample(server, seed=-3) != sample(server, seed=2**63 - 1)


def test_greedy_samples_are_the_most_probable_tokens(server: Server) -> None:
    found = sample(server, temperature=0, logprobs=1)["logprobs"]
    pairs = zip(found["token_logprobs"], found["top_logprobs"], strict=True)
    assert all(value == max(top.values()) for value, top in pairs)


def test_token_ids_of_prompt_and_sample_come_back(server: Server) -> None:
    found = sample(server)
    assert found["prompt_token_ids"] == PROMPT
    assert len(found["token_ids"]) == 12
    assert sample(server, return_token_ids=False)["token_ids"] is None


def test_text_goes_on_after_the_prompt_with_its_space(server: Server) -> None:
    found = sample(server)
    assert found["text"] == " " + chain_tokenizer().decode(found["token_ids"])


def test_a_sample_that_ends_itself_holds_eos_in_its_ids_alone(server: Server) -> None:
    found = sample(server, logit_bias={str(EOS): 100}, ignore_eos=False, logprobs=0)
    assert (found["token_ids"], found["text"]) == ([EOS], "")
    assert (found["finish_reason"], found["stop_reason"]) == ("stop", None)
    assert found["logprobs"]["tokens"] == ["<eos>"]


def test_a_sample_that_is_cut_says_length(server: Server) -> None:
    found = sample(server, max_tokens=3)
    assert (found["finish_reason"], found["stop_reason"]) == ("length", None)


def test_max_tokens_beyond_the_models_length_is_cut_without_a_word(server: Server) -> None:
    found = sample(server, prompt=[5] * (MAX_LEN - 2), max_tokens=50)
    assert (len(found["token_ids"]), found["finish_reason"]) == (2, "length")


@pytest.mark.parametrize("kept", [True, False])
def test_text_ends_at_a_stop_string_even_inside_a_token(server: Server, kept: bool) -> None:
    whole = sample(server, seed=9)
    words = whole["text"].split()
    stop = f"{words[2]} {words[3][0]}"
    found = sample(server, seed=9, stop=[stop], include_stop_str_in_output=kept)
    begin = whole["text"].index(stop)
    assert found["text"] == whole["text"][: begin + (len(stop) if kept else 0)]
    assert (found["finish_reason"], found["stop_reason"]) == ("stop", stop)
    ids = found["token_ids"]
    assert ids == whole["token_ids"][: len(ids)]
    decoded = " " + chain_tokenizer().decode(ids)
    assert stop in decoded
    assert stop not in " " + chain_tokenizer().decode(ids[:-1])


@pytest.mark.parametrize("kept", [True, False])
def test_a_stop_token_is_the_last_id_and_named_as_the_reason(server: Server, kept: bool) -> None:
    whole = sample(server, seed=9)["token_ids"]
    last = whole.index(whole[4]) + 1
    found = sample(server, seed=9, stop_token_ids=[whole[4]], include_stop_str_in_output=kept)
    assert (found["token_ids"], found["stop_reason"]) == (whole[:last], whole[4])
    shown = whole[:last] if kept else whole[: last - 1]
    assert found["text"].strip() == chain_tokenizer().decode(shown)


def test_logprobs_give_each_token_and_the_most_probable_ones(server: Server) -> None:
    found = sample(server, logprobs=2)
    logprobs = found["logprobs"]
    assert logprobs["tokens"] == [VOCABULARY[token] for token in found["token_ids"]]
    rows = zip(
        logprobs["tokens"], logprobs["token_logprobs"], logprobs["top_logprobs"], strict=True
    )
    for token, value, top in rows:
        assert top[token] == value <= 0
        assert 2 <= len(top) <= 3


def test_logprobs_are_those_of_temperature_1_without_top_p(server: Server) -> None:
    one, other = (
        sample(server, logprobs=2, max_tokens=1, temperature=temperature, top_p=top_p)
        for temperature, top_p in ((1.0, 1.0), (0.01, 0.5))
    )
    top_one, top_other = (found["logprobs"]["top_logprobs"][0] for found in (one, other))
    shared = set(top_one) & set(top_other)
    assert len(shared) >= 2
    assert all(top_one[token] == pytest.approx(top_other[token], abs=1e-5) for token in shared)


def test_named_tokens_have_their_logprob_at_every_token(server: Server) -> None:
    found = sample(server, logprobs=0, logprob_token_ids=[YES, NO], return_tokens_as_token_ids=True)
    logprobs = found["logprobs"]
    assert logprobs["tokens"] == [f"token_id:{token}" for token in found["token_ids"]]
    for token, top in zip(found["token_ids"], logprobs["top_logprobs"], strict=True):
        assert set(top) == {f"token_id:{one}" for one in (token, YES, NO)}


def test_named_tokens_are_keyed_by_their_text_unless_ids_are_asked_for(server: Server) -> None:
    found = sample(server, logprobs=0, logprob_token_ids=[YES, NO])["logprobs"]
    for token, top in zip(found["tokens"], found["top_logprobs"], strict=True):
        assert set(top) == {token, "yes", "no"}


def test_a_later_request_for_one_token_gives_the_same_logprobs(server: Server) -> None:
    asked: Mapping[str, Any] = {
        "logprobs": 0,
        "logprob_token_ids": [YES, NO],
        "return_tokens_as_token_ids": True,
    }
    found = sample(server, **asked)
    for place in (0, 5, 11):
        later = sample(server, prompt=PROMPT + found["token_ids"][:place], max_tokens=1, **asked)
        (top,) = later["logprobs"]["top_logprobs"]
        for token in (YES, NO):
            name = f"token_id:{token}"
            here = found["logprobs"]["top_logprobs"][place][name]
            assert here == pytest.approx(top[name], abs=1e-4)


def test_usage_counts_the_prompt_once_and_every_sample(server: Server) -> None:
    usage = ask(server, n=3, max_tokens=4).body["usage"]
    assert usage["prompt_tokens"] == len(PROMPT)
    assert usage["completion_tokens"] == 12
    assert usage["total_tokens"] == len(PROMPT) + 12


def cached(answer: Answer) -> int:
    found: int = answer.body["usage"]["prompt_tokens_details"]["cached_tokens"]
    return found


def test_a_prompt_is_cached_in_whole_blocks_but_for_its_last_token(server: Server) -> None:
    prompt = long_prompt(1)
    assert cached(ask(server, prompt=prompt)) == 0
    assert cached(ask(server, prompt=prompt)) == 3 * BLOCK
    assert cached(ask(server, prompt=prompt[: 3 * BLOCK + 1])) == 3 * BLOCK
    assert cached(ask(server, prompt=prompt[: 3 * BLOCK])) == 2 * BLOCK


def test_what_a_sample_wrote_is_cached_too(server: Server) -> None:
    prompt = long_prompt(2)[:100]
    written = sample(server, prompt=prompt, max_tokens=60)["token_ids"]
    assert cached(ask(server, prompt=prompt + written + [5])) == BLOCK


def test_samples_of_one_request_share_their_prompt(server: Server) -> None:
    assert cached(ask(server, prompt=long_prompt(3), n=3)) == 3 * BLOCK


def test_the_counters_move_by_what_was_read_and_written(server: Server) -> None:
    before = metrics(server)
    ask(server, n=3, max_tokens=4, prompt=long_prompt(4))
    size = len(long_prompt(4))
    until(lambda: metrics(server).generation_tokens == before.generation_tokens + 12)
    after = metrics(server)
    assert after.prompt_tokens - before.prompt_tokens == 3 * size
    assert after.prefix_cache_queries - before.prefix_cache_queries == 3 * size
    assert after.prefix_cache_hits - before.prefix_cache_hits == 2 * 3 * BLOCK


def test_samples_are_what_runs_and_waits_and_a_client_that_leaves_frees_them(
    server: Server,
) -> None:
    body = {
        "prompt": PROMPT, "n": MAX_SEQS + 8, "max_tokens": 450, "ignore_eos": True, "seed": 1,
    }  # fmt: skip
    data = json.dumps(body).encode()
    parts = urlsplit(server.url)
    assert parts.hostname is not None
    with socket.create_connection((parts.hostname, parts.port or 80)) as client:
        head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        client.sendall(head.encode() + data)
        until(lambda: metrics(server).running == MAX_SEQS)
        assert metrics(server).waiting == 8
        assert metrics(server).kv_use > 0
    until(lambda: (metrics(server).running, metrics(server).waiting) == (0, 0), 5)
    assert metrics(server).kv_use == 0


@pytest.mark.parametrize(("changes", "status", "param", "message"), REFUSED, ids=str)
def test_what_cannot_be_served_is_refused_with_a_reason(
    server: Server, changes: dict[str, Any], status: int, param: str | None, message: str
) -> None:
    answer = ask(server, **changes)
    error = answer.body["error"]
    assert (answer.status, error["code"], error["param"]) == (status, status, param)
    assert re.fullmatch(message, error["message"])


def test_a_torn_request_is_refused(server: Server) -> None:
    answer = call(server, "/v1/completions", raw=b'{"model": "judge", "prompt": [1,')
    assert (answer.status, answer.body["error"]["type"]) == (400, "Bad Request")


def test_what_it_does_not_know_is_ignored(server: Server) -> None:
    assert sample(server, frobnicate=1)["token_ids"] == sample(server)["token_ids"]


def test_several_prompts_are_answered_one_after_the_other(server: Server) -> None:
    found = choices(server, prompt=[PROMPT, PROMPT[:5]], n=2)
    assert [one["index"] for one in found] == [0, 1, 2, 3]
    assert [len(one["prompt_token_ids"]) for one in found] == [11, 11, 5, 5]


def test_it_tokenizes_as_the_model_does(server: Server) -> None:
    text = "question 12+3=15 #2 ok correct?"
    found = call(server, "/tokenize", {"model": "judge", "prompt": text}).body
    assert found["tokens"] == chain_tokenizer()(text)["input_ids"]
    assert (found["count"], found["max_model_len"]) == (len(found["tokens"]), MAX_LEN)


@pytest.mark.parametrize(("path", "status"), [("/v1/nothing", 404), ("/v1/completions", 405)])
def test_what_is_not_there_says_so_in_another_form(server: Server, path: str, status: int) -> None:
    answer = call(server, path)
    assert (answer.status, set(answer.body)) == (status, {"detail"})


def test_asked_to_leave_it_finishes_what_it_has_and_goes(server: Server) -> None:
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(choices, server, n=8, max_tokens=400)
        until(lambda: metrics(server).running == 8)
        server.real.leave()
        assert [len(one["token_ids"]) for one in coming.result()] == [400] * 8

    def is_gone() -> bool:
        try:
            call(server, "/health")
        except OSError:
            return True
        return False

    until(is_gone, 60)
