"""Is vLLM asked for what was meant, and is its answer read as what it says?"""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm.engines.base import Request, SamplingParams
from rprm.engines.verdict_tokens import VerdictTokens
from rprm.engines.vllm_protocol import (
    answer_of,
    belief_at,
    beliefs_of,
    first_seed,
    gives_raw_logprobs,
    probe_body,
    sampling_body,
    verdict_body,
)

VERDICT = VerdictTokens(yes=7, no=8)
REQUEST = Request(id="s:1", prompt_T=(3, 4), n=3, seed=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "index", "token_ids", "finish_reason", "logprobs", "usage"])
            | st.sampled_from(["top_logprobs", "prompt_tokens_details", "cached_tokens"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def body(**changes: Any) -> dict[str, Any]:
    request = Request(**({"id": "s:1", "prompt_T": (3, 4), "n": 3, "seed": 5} | changes))
    return sampling_body(request, SamplingParams(), eos=(1,), stop=())


def choice(index: int, *ids: int, reason: str = "stop", tops: Any = None) -> dict[str, Any]:
    logprobs = None if tops is None else {"top_logprobs": tops}
    return {
        "index": index,
        "token_ids": list(ids),
        "finish_reason": reason,
        "logprobs": logprobs,
    }


def top(yes: float, no: float) -> dict[str, float]:
    return {"token_id:7": yes, "token_id:8": no, "token_id:2": -0.1}


def test_a_later_wave_begins_with_the_seed_after_the_last_sample_of_the_first() -> None:
    assert body(first_sample=2)["seed"] == body()["seed"] + 2


def test_neighbouring_seeds_share_no_sample() -> None:
    firsts = sorted(first_seed(seed) for seed in range(1000))
    assert min(b - a for a, b in itertools.pairwise(firsts)) > 100


@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_every_seed_is_one_that_vllm_takes(seed: int) -> None:
    assert 0 <= first_seed(seed) < 2**62


def test_nothing_is_left_to_the_defaults_of_the_server() -> None:
    assert (
        body().items()
        >= {
            "temperature": 0.95,
            "top_p": 0.95,
            "top_k": 0,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "max_tokens": 4096,
            "stop_token_ids": [1],
            "return_token_ids": True,
        }.items()
    )


def test_stop_strings_stay_in_the_text() -> None:
    found = sampling_body(REQUEST, SamplingParams(), eos=(1,), stop=("\n\n",))
    assert (found["stop"], found["include_stop_str_in_output"]) == (["\n\n"], True)
    assert "stop" not in body()


def test_greedy_samples_are_drawn_once() -> None:
    found = sampling_body(REQUEST, SamplingParams(temperature=0), eos=(1,), stop=())
    assert found["n"] == 1


def test_samples_are_read_in_the_order_of_their_index() -> None:
    found = answer_of({"choices": [choice(1, 5, reason="length"), choice(0, 4, 1)]}, n=2)
    assert found is not None
    assert [(one.token_ids, one.cut) for one in found.drawn_K] == [((4, 1), False), ((5,), True)]


def test_cached_tokens_are_read_where_the_server_tells_them() -> None:
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 2,
        "prompt_tokens_details": {"cached_tokens": 8},
    }
    found = answer_of({"choices": [choice(0, 4, 1)], "usage": usage}, n=1)
    assert found is not None
    assert (found.usage.prompt_tokens, found.usage.cached_tokens) == (9, 8)


@pytest.mark.parametrize(
    "choices",
    [
        [choice(0, 4)],
        [choice(0, 4), choice(0, 5)],
        [choice(0, 4), choice(1)],
        [choice(0, 4), choice(1, 5, reason="abort")],
        [choice(0, 4), {"index": 1, "text": "no ids", "finish_reason": "stop"}],
    ],
)
def test_an_answer_without_all_its_samples_is_none(choices: Any) -> None:
    assert answer_of({"choices": choices}, n=2) is None


@given(JSON)
def test_whatever_a_server_sends_is_an_answer_or_none(sent: Any) -> None:
    for verdict in (None, VERDICT):
        answer = answer_of(sent, n=1, verdict=verdict)
        assert answer is None or len(answer.drawn_K) == 1
    assert beliefs_of(sent, n=1, verdict=VERDICT) is None or sent["choices"]
    assert gives_raw_logprobs(sent, VERDICT) in (None, True, False)


@given(st.floats(-50, 0), st.floats(-50, 0))
def test_a_belief_weighs_yes_against_no(yes: float, no: float) -> None:
    found = belief_at(top(yes, no), VERDICT)
    assert found == pytest.approx(math.exp(yes) / (math.exp(yes) + math.exp(no)))


def test_a_belief_needs_both_log_probabilities() -> None:
    assert belief_at({"token_id:7": -1.0}, VERDICT) is None
    assert belief_at(None, VERDICT) is None
    assert belief_at(top(-9999.0, -9999.0), VERDICT) is None
    assert belief_at(top(-0.1, -9999.0), VERDICT) == 1.0
    assert belief_at(top(-9999.0, -0.1), VERDICT) == pytest.approx(0.0)


def test_beliefs_that_come_along_are_found_at_their_token() -> None:
    tops = [top(-1, -1), top(-0.1, -9999.0)]
    found = answer_of({"choices": [choice(0, 4, 1, tops=tops)]}, n=1, verdict=VERDICT)
    assert found is not None
    beliefs = found.drawn_K[0].beliefs
    assert beliefs is not None
    assert list(beliefs) == [0.5, 1.0]


def test_an_answer_with_too_few_log_probabilities_is_none() -> None:
    sent = {"choices": [choice(0, 4, 1, tops=[top(-1, -1)])]}
    assert answer_of(sent, n=1, verdict=VERDICT) is None


def test_beliefs_are_asked_for_with_one_token_for_each_prompt() -> None:
    asked = verdict_body([(3, 4, 5), (3, 4)], VERDICT)
    assert (asked["prompt"], asked["max_tokens"]) == ([[3, 4, 5], [3, 4]], 1)
    assert asked["logprob_token_ids"] == [7, 8]
    sent = {"choices": [choice(1, 2, tops=[top(-1, -1)]), choice(0, 2, tops=[top(-9999, -1)])]}
    assert beliefs_of(sent, n=2, verdict=VERDICT) == [pytest.approx(0.0), 0.5]


def test_log_probabilities_after_top_p_are_told_from_raw_ones() -> None:
    assert probe_body((3,), VERDICT)["top_p"] < 0.001
    raw = {"choices": [choice(0, 2, tops=[top(-3.0, -4.0)])]}
    cut = {"choices": [choice(0, 2, tops=[top(-9999.0, -9999.0)])]}
    absent = {"choices": [choice(0, 2, tops=[{"token_id:2": -0.1}])]}
    assert [gives_raw_logprobs(one, VERDICT) for one in (raw, cut, absent)] == [True, False, None]
