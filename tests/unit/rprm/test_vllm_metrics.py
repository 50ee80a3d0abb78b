"""Is the load of a vLLM server read from what it really writes, and nonsense refused?"""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rprm.engines.vllm_metrics import MetricsUnreadable, ReplicaMetrics, read_metrics

# Written by vLLM 0.32's PrometheusStatLogger; histograms and what we do not read are cut.
WRITTEN = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="judge"} 12.0
vllm:num_requests_waiting{engine="0",model_name="judge"} 3.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="judge",reason="capacity"} 2.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="judge",reason="deferred"} 1.0
vllm:kv_cache_usage_perc{engine="0",model_name="judge"} 0.25
vllm:prefix_cache_queries_total{engine="0",model_name="judge"} 100.0
vllm:prefix_cache_queries_created{engine="0",model_name="judge"} 1.795415554758699e+09
vllm:prefix_cache_hits_total{engine="0",model_name="judge"} 40.0
vllm:external_prefix_cache_hits_total{engine="0",model_name="judge"} 9.0
vllm:num_preemptions_total{engine="0",model_name="judge"} 2.0
vllm:prompt_tokens_total{engine="0",model_name="judge"} 1.048576e+06
vllm:prompt_tokens_by_source_total{engine="0",model_name="judge",source="local_compute"} 8.0
vllm:prompt_tokens_cached_total{engine="0",model_name="judge"} 40.0
vllm:generation_tokens_total{engine="0",model_name="judge"} 7.0
vllm:generation_tokens_created{engine="0",model_name="judge"} 1.7954155547592466e+09
"""
SERIES = (
    "num_requests_running",
    "num_requests_waiting",
    "kv_cache_usage_perc",
    "prompt_tokens_total",
    "generation_tokens_total",
)


def test_what_vllm_writes_is_read() -> None:
    assert read_metrics(WRITTEN) == ReplicaMetrics(
        running=12,
        waiting=3,
        kv_use=0.25,
        preemptions=2,
        prompt_tokens=1_048_576,
        generation_tokens=7,
        prefix_cache_queries=100,
        prefix_cache_hits=40,
    )


def test_several_engines_of_one_server_add_up_and_the_fullest_cache_counts() -> None:
    second = WRITTEN.replace('engine="0"', 'engine="1"').replace("0.25", "0.75")
    both = read_metrics(WRITTEN + second)
    assert (both.running, both.generation_tokens, both.kv_use) == (24, 14, 0.75)


def test_labels_may_hold_anything() -> None:
    odd = WRITTEN.replace('"judge"', r'"a {b}, \"c\" 5.0"')
    assert read_metrics(odd) == read_metrics(WRITTEN)


def test_counters_that_a_server_may_leave_out_are_zero() -> None:
    lines = [
        line for line in WRITTEN.splitlines() if "prefix" not in line and "preempt" not in line
    ]
    found = read_metrics("\n".join(lines))
    assert (found.preemptions, found.prefix_cache_queries, found.prefix_cache_hits) == (0, 0, 0)


@pytest.mark.parametrize("series", SERIES)
def test_a_series_that_is_missing_is_named(series: str) -> None:
    lines = [line for line in WRITTEN.splitlines() if not line.startswith(f"vllm:{series}")]
    with pytest.raises(MetricsUnreadable, match=series):
        read_metrics("\n".join(lines))


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-1", "many", "1e300"])
def test_a_value_that_is_no_count_is_refused(value: str) -> None:
    with pytest.raises(MetricsUnreadable, match="num_requests_running"):
        read_metrics(WRITTEN.replace(" 12.0", f" {value}"))


values = st.one_of(st.floats().map(str), st.integers().map(str), st.text(max_size=5))
lines = st.builds("vllm:{}{} {}".format, st.sampled_from(SERIES), st.text(max_size=20), values)


@given(st.one_of(st.text(), st.lists(lines).map("\n".join)))
@example("")
@example(WRITTEN[: len(WRITTEN) // 2])
def test_whatever_the_text_is_only_the_documented_error_is_raised(text: str) -> None:
    try:
        found = read_metrics(text)
    except MetricsUnreadable:
        return
    assert 0 <= found.kv_use <= 1
    assert min(found.running, found.waiting, found.tokens, found.preemptions) >= 0
