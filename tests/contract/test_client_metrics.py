"""Do the clients of vLLM servers and of APIs count what happens to their requests?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from prometheus_client import REGISTRY

from rprm.data.chain_tokenizer import chain_tokenizer
from rprm.engines.base import Request, SamplingParams
from rprm.engines.chat import ChatRequest, Message
from rprm.engines.endpoint import ApiKey, Endpoint
from rprm.engines.http_retry import RetryPolicy
from rprm.engines.liveness import LivenessRules
from rprm.engines.openai_http import ChatClient, Pace
from rprm.engines.vllm_asking import VllmOptions
from rprm.engines.vllm_fleet import Watching
from rprm.engines.vllm_http import VllmEngine
from tests.contract.openai_server import OpenAiServer
from tests.contract.standin_core import Pace as StandinPace
from tests.contract.standin_faults import BROKEN
from tests.contract.vllm_standin import VllmStandin

OPTIONS = VllmOptions(
    retry=RetryPolicy(max_tries=6, first_wait_s=0.01, longest_wait_s=0.05, budget=1000),
    watching=Watching(poll_s=0.05, refresh_s=0.05, liveness=LivenessRules(polls=3, still_s=0.3)),
)
PARAMS = SamplingParams(max_tokens=60)


def value(metric: str, replica: str, **labels: str) -> float:
    """Nothing yet is 0."""
    wanted = {"replica": replica, "model": "", **labels}
    return REGISTRY.get_sample_value(f"rprm_client_{metric}", wanted) or 0.0


def place(server: VllmStandin) -> str:
    return urlsplit(server.url).netloc


@contextmanager
def engine_on(*servers: VllmStandin) -> Iterator[VllmEngine]:
    url = ",".join(one.url for one in servers)
    engine = VllmEngine(url, tokenizer=chain_tokenizer(), folder="judge", options=OPTIONS)
    try:
        yield engine
    finally:
        engine.close()


def requests(count: int) -> list[Request]:
    return [
        Request(id=f"s{index // 4}:{index}", prompt_T=(5, 6, 7 + index % 20), n=2, seed=index)
        for index in range(count)
    ]


def test_tries_and_tokens_are_told_by_the_end_of_the_engine() -> None:
    refused = {"model": "", "cause": "empty_prompt"}
    before = REGISTRY.get_sample_value("rprm_client_refused_total", refused) or 0
    with VllmStandin() as server, engine_on(server) as engine:
        list(engine.sample(requests(1), PARAMS))  # it has passed its check
        server.faults.append(BROKEN)
        empty = Request(id="empty", prompt_T=(), n=1, seed=0)
        assert len(list(engine.sample([*requests(20), empty], PARAMS))) == 21
        counts = engine.counts
    name = place(server)
    assert value("tries_total", name, outcome="answered") == 21
    assert value("tries_total", name, outcome="server_error") == 1
    assert value("request_seconds_count", name) == 21
    assert value("prompt_tokens_total", name) == counts.prompt_tokens > 0
    assert value("generated_tokens_total", name) == counts.completion_tokens > 0
    assert value("requests_in_flight", name) == value("sequence_limit", name) == 0
    assert REGISTRY.get_sample_value("rprm_client_refused_total", refused) == before + 1


def test_a_hang_its_circuit_and_what_the_other_takes_are_told() -> None:
    slow = StandinPace(step_s=0.002)
    with VllmStandin(pace=slow) as one, VllmStandin(pace=slow) as other:
        hung = place(one)
        with engine_on(one, other) as engine:
            while len(engine.fleet.lines.usable()) < 2:
                list(engine.sample(requests(1), PARAMS))
            done = value("tries_total", place(other), outcome="answered")
            one.hang()
            answers = list(engine.sample(requests(60), PARAMS))
            assert value("hangs_total", hung) == 1
        assert len(answers) == 60
        assert value("tries_total", hung, outcome="taken_away") >= 1
        assert value("tries_total", place(other), outcome="answered") >= done + 60
        assert value("circuits", hung, circuit="open") == 0, "an engine that ended has none"


def test_an_api_is_told_by_host_and_model_and_never_by_its_key() -> None:
    key = "sk-test-0123456789"
    with OpenAiServer(lambda body, k: "yes", key=key) as server:
        endpoint = Endpoint(base_url=server.base_url, model="judge", key=ApiKey("KEY", key))
        asked = ChatRequest(id="a", messages=(Message(role="user", text="?"),))

        async def run() -> None:
            async with ChatClient(endpoint, Pace()) as client:
                await client.ask(asked)

        asyncio.run(run())
        name = urlsplit(server.base_url).netloc
    assert value("tries_total", name, model="judge", outcome="answered") == 1
    assert value("requests_in_flight", name, model="judge") == 0
    labels = [
        text
        for family in REGISTRY.collect()
        for sample in family.samples
        for text in sample.labels.values()
    ]
    assert not any(key in text for text in labels)
