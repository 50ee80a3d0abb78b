"""Is what a vLLM server says at /metrics read right, and anything else told from it?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.fleet.probing import Seen, read_metrics

TEXT = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="judge"} 3.0
vllm:num_requests_waiting{engine="0",model_name="judge"} 4.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="judge",reason="capacity"} 4.0
vllm:kv_cache_usage_perc{engine="0",model_name="judge"} 0.25
vllm:num_preemptions_total{engine="0",model_name="judge"} 1.0
vllm:prompt_tokens_total{engine="0",model_name="judge"} 1000.0
vllm:generation_tokens_total{engine="0",model_name="judge"} 2000.0
vllm:prefix_cache_queries_total{engine="0",model_name="judge"} 800.0
vllm:prefix_cache_hits_total{engine="0",model_name="judge"} 600.0
vllm:e2e_request_latency_seconds_bucket{engine="0",le="0.3",model_name="judge"} 5.0
process_open_fds 45.0
"""


def test_what_vllm_says_is_read() -> None:
    found = read_metrics(TEXT)
    assert found is not None
    assert (found.running, found.waiting, found.kv_use) == (3, 4, 0.25)
    assert (found.prompt_tokens, found.generation_tokens) == (1000, 2000)
    assert (found.prefix_queries, found.prefix_hits, found.preemptions) == (800, 600, 1)


def test_engines_of_one_server_add_up_and_the_fullest_cache_counts() -> None:
    other = TEXT.replace('engine="0"', 'engine="1"').replace("0.25", "0.75")
    found = read_metrics(TEXT + "\n".join(line for line in other.splitlines() if line[0] != "#"))
    assert found is not None
    assert (found.running, found.kv_use, found.generation_tokens) == (6, 0.75, 4000)


@pytest.mark.parametrize(
    "text",
    [
        "",  # nothing
        "<html>no such page</html>",  # another kind of server
        TEXT.replace("vllm:num_requests_running{", "vllm:other{"),  # without what matters
        TEXT.replace(" 3.0", " many"),  # no number
        TEXT.replace(" 3.0", " NaN"),  # no count
    ],
)
def test_what_vllm_does_not_say_is_nothing(text: str) -> None:
    assert read_metrics(text) is None


@given(st.text(max_size=200))
def test_no_text_is_too_strange(text: str) -> None:
    assert read_metrics(text) is None  # it is too short for all that a server has to say
    assert read_metrics("vllm:num_requests_running" + text) is None


def test_a_server_without_metrics_is_seen_all_the_same() -> None:
    assert Seen(at=1.0).sight.healthy
    assert Seen(at=1.0).sight.in_flight is None
