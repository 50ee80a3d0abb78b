"""Is no request lost, and none answered twice, whatever happens to the servers?"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from rprm.data.chain_tokenizer import EOS, chain_tokenizer
from rprm.engines.base import (
    Completion,
    Refused,
    Request,
    SamplingParams,
    VerdictFormat,
    in_request_order,
)
from rprm.engines.endpoint import ApiKey
from rprm.engines.http_retry import RetryPolicy
from rprm.engines.liveness import LivenessRules
from rprm.engines.openai_http import ApiUnavailable
from rprm.engines.vllm_asking import Belief, VllmOptions
from rprm.engines.vllm_fleet import Watching
from rprm.engines.vllm_http import VllmEngine
from rprm.errors import BadInput
from tests.contract.standin_core import Pace
from tests.contract.standin_faults import BAD_DAY, BROKEN, MUTE, NO_LOGPROBS, Fault
from tests.contract.vllm_standin import VllmStandin

PARAMS = SamplingParams(max_tokens=60)
VERDICT = VerdictFormat(marker="correct ?", yes=" yes", no=" no")
JUDGING = replace(PARAMS, verdict=VERDICT)
EAGER = VllmOptions(
    retry=RetryPolicy(max_tries=6, first_wait_s=0.01, longest_wait_s=0.05, budget=1000),
    watching=Watching(
        poll_s=0.05,
        poll_deadline_s=0.5,
        refresh_s=0.05,
        patience_s=1.0,
        liveness=LivenessRules(polls=3, still_s=0.3),
    ),
)
SLOW = Pace(step_s=0.002)

Make = Callable[..., VllmEngine]


@pytest.fixture
def make() -> Iterator[Make]:
    with ExitStack() as open_engines:

        def one(*servers: VllmStandin | str, options: VllmOptions = EAGER, **more: Any) -> Any:
            url = ",".join(one if isinstance(one, str) else one.url for one in servers)
            engine = VllmEngine(
                url, tokenizer=chain_tokenizer(), folder="judge", options=options, **more
            )
            open_engines.callback(engine.close)
            return engine

        yield one


@pytest.fixture
def server() -> Iterator[VllmStandin]:
    with VllmStandin() as standin:
        yield standin


@pytest.fixture
def pair() -> Iterator[tuple[VllmStandin, VllmStandin]]:
    with VllmStandin(pace=SLOW) as one, VllmStandin(pace=SLOW) as other:
        yield one, other


def requests(count: int, n: int = 2) -> list[Request]:
    return [
        Request(id=f"s{index // 4}:{index}", prompt_T=(5, 6, 7 + index % 20), n=n, seed=index)
        for index in range(count)
    ]


def completions(
    engine: VllmEngine, asked: Sequence[Request], params: SamplingParams = PARAMS
) -> list[Completion]:
    """Every request is answered, exactly once, with all its samples."""
    answers = list(engine.sample(asked, params))
    assert sorted(one.id for one in answers) == sorted(one.id for one in asked)
    found = in_request_order(asked, answers)
    assert all(isinstance(one, Completion) for one in found), found
    done = [one for one in found if isinstance(one, Completion)]
    assert [len(one.samples) for one in done] == [one.n for one in asked]
    return done


AT_MOST_S = 20.0
"""Nothing here takes so long, on however busy a machine."""


def until(condition: Callable[[], object]) -> bool:
    """Has it come true?"""
    end_s = time.monotonic() + AT_MOST_S
    while not condition() and time.monotonic() < end_s:
        time.sleep(0.002)
    return bool(condition())


def when(condition: Callable[[], object], act: Callable[[], object]) -> threading.Thread:
    """Do it beside what goes on here, as soon as the condition holds."""

    def wait() -> None:
        if until(condition):
            act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def _draining(engine: VllmEngine) -> list[bool]:
    return [one.replica.draining for one in engine.fleet.servers.values()]


def all_joined(engine: VllmEngine, count: int) -> None:
    """A replica gets its share only once it has joined, and each joins in its own time."""
    completions(engine, requests(1))
    assert until(lambda: len(engine.fleet.lines.usable()) == count)


def test_a_bad_day_of_a_server_loses_no_request(make: Make, server: VllmStandin) -> None:
    quiet = completions(make(server), requests(60))
    with VllmStandin() as other:
        engine = make(server, other)
        all_joined(engine, 2)
        server.fault_of = lambda body, seen: (
            BAD_DAY[body["seed"] % len(BAD_DAY)]
            if body.get("seed", 1) % 3 == 0 and seen == 1  # the second time, after the quiet run
            else None
        )
        assert completions(engine, requests(60)) == quiet
        assert engine.counts.failed_tries > 0


def test_what_a_dead_replica_had_another_one_does(
    make: Make, pair: tuple[VllmStandin, VllmStandin]
) -> None:
    with VllmStandin() as lone:
        quiet = completions(make(lone), requests(200))
    engine = make(*pair)
    all_joined(engine, 2)
    dying = when(lambda: pair[0].at_once >= 5, pair[0].die)
    assert completions(engine, requests(200)) == quiet
    dying.join()
    assert engine.counts.failed_tries > 0


def test_a_replica_that_hangs_with_a_healthy_face_is_given_up(
    make: Make, pair: tuple[VllmStandin, VllmStandin]
) -> None:
    engine = make(*pair)
    all_joined(engine, 2)
    pair[0].hang()
    completions(engine, requests(60))
    hung = engine.fleet.servers[pair[0].url.removeprefix("http://")]
    assert not hung.usable
    assert hung.problem


def test_replicas_join_and_drain_while_work_goes_on(
    make: Make, pair: tuple[VllmStandin, VllmStandin], tmp_path: Path
) -> None:
    path = tmp_path / "endpoints.json"

    def write(*states: str) -> None:
        rows = [
            {"name": f"judge-{number}", "url": server.url, "state": state}
            for number, (server, state) in enumerate(zip(pair, states, strict=False))
        ]
        new = path.with_suffix(".new")
        new.write_bytes(orjson.dumps({"model": "judge", "replicas": rows}))
        new.replace(path)

    write("ready")
    engine = make(path.as_uri())
    completions(engine, requests(4))
    assert not pair[1].bodies
    growing = when(lambda: pair[0].at_once, lambda: write("ready", "ready"))
    draining = when(lambda: pair[1].bodies, lambda: write("draining", "ready"))
    completions(engine, requests(300))
    growing.join()
    draining.join()
    assert pair[1].bodies
    assert until(lambda: _draining(engine) == [True, False])
    before = len(pair[0].bodies)
    completions(engine, requests(30))
    assert len(pair[0].bodies) == before
    assert pair[0].aborted == 0


def test_a_mute_connection_costs_its_deadline_and_no_more(
    make: Make, pair: tuple[VllmStandin, VllmStandin]
) -> None:
    patient = replace(EAGER.watching, liveness=LivenessRules(still_s=30.0))
    engine = make(*pair, options=replace(EAGER, deadline_s=0.5, watching=patient))
    all_joined(engine, 2)
    for server in pair:
        server.faults.append(MUTE)
    completions(engine, requests(8))
    assert engine.counts.failed_tries == len([one for one in pair if not one.faults]) > 0


def test_both_ways_to_read_a_belief_give_the_same(make: Make, server: VllmStandin) -> None:
    ways = [
        completions(make(server, options=replace(EAGER, belief=way)), requests(12), JUDGING)
        for way in Belief
    ]
    beliefs = [[one.p_yes for answer in way for one in answer.samples] for way in ways]
    assert sum(one is not None for one in beliefs[0]) > 5
    assert beliefs[0] == pytest.approx(beliefs[1])
    assert [one.samples[0].text for one in ways[0]] == [one.samples[0].text for one in ways[1]]


def test_a_belief_that_got_lost_is_asked_for_again_and_nothing_is_drawn_twice(
    make: Make, server: VllmStandin
) -> None:
    def without_beliefs(body: Any, seen: int) -> Fault | None:
        asks = "logprobs" in body and isinstance(body["prompt"][0], list)
        return (NO_LOGPROBS, BROKEN)[seen % 2] if asks and seen < 1 else None

    engine = make(server)
    completions(engine, requests(1))
    server.fault_of = without_beliefs
    server.bodies.clear()
    found = completions(engine, requests(6), JUDGING)
    marked = [one for answer in found for one in answer.samples if VERDICT.marker in one.text]
    assert marked
    assert all(one.p_yes is not None for one in marked)
    assert sum("seed" in body for body in server.bodies) == 6


def test_a_prompt_that_is_too_long_is_refused_before_it_is_sent(
    make: Make, server: VllmStandin
) -> None:
    engine = make(server)
    long = Request(id="long", prompt_T=(3,) * 500, n=1, seed=1)
    found = {one.id: one for one in engine.sample([long, *requests(2)], PARAMS)}
    refused = found["long"]
    assert isinstance(refused, Refused)
    assert refused.cause == "prompt_too_long"
    assert all(len(body["prompt"]) < 500 for body in server.bodies)


def test_no_more_is_sent_than_the_replica_is_said_to_run(make: Make, tmp_path: Path) -> None:
    with VllmStandin(pace=Pace(max_num_seqs=10, step_s=0.001)) as server:
        path = tmp_path / "endpoints.json"
        row = {"name": "judge-0", "url": server.url, "state": "ready", "max_num_seqs": 10}
        path.write_bytes(orjson.dumps({"replicas": [row]}))
        seldom = replace(EAGER, watching=replace(EAGER.watching, poll_s=30.0))
        completions(make(path.as_uri(), options=seldom), requests(30, n=2))
        assert 2 <= server.most_at_once <= 6  # requests of two samples; the limit is 11


def test_the_server_of_another_model_is_said_to_be_one(
    make: Make, server: VllmStandin, tmp_path: Path
) -> None:
    path = tmp_path / "endpoints.json"
    rows = [{"name": "judge-0", "url": server.url}]
    path.write_bytes(orjson.dumps({"model": "policy", "replicas": rows}))
    with pytest.raises(BadInput, match="serves judge and not policy"):
        completions(make(path.as_uri()), requests(2))


def test_a_server_with_another_tokenizer_is_said_to_have_one(server: VllmStandin) -> None:
    class Other:
        def __getattr__(self, name: str) -> Any:
            return getattr(chain_tokenizer(), name)

        def encode(self, text: str, **_: Any) -> list[int]:
            return [3, 4]

    engine = VllmEngine(server.url, tokenizer=Other(), folder="judge", options=EAGER)
    try:
        with pytest.raises(BadInput, match=r"another tokenizer than judge.*--tokenizer"):
            list(engine.sample(requests(2), PARAMS))
    finally:
        engine.close()


def test_a_key_opens_a_server_and_its_lack_is_told(make: Make) -> None:
    with VllmStandin(key="a-key-of-this-test") as server:
        completions(make(server, key=ApiKey("JUDGE_KEY", "a-key-of-this-test")), requests(2))
        with pytest.raises(BadInput, match="key_env") as raised:
            completions(make(server, key=ApiKey("JUDGE_KEY", "another-long-key")), requests(2))
        assert "another-long-key" not in str(raised.value)


def test_servers_that_cannot_be_reached_are_waited_for_and_then_named(make: Make) -> None:
    with pytest.raises(ApiUnavailable, match=r"127\.0\.0\.1:9"):
        completions(make("http://127.0.0.1:9"), requests(2))


def test_whoever_stops_reading_stops_the_requests(
    make: Make, pair: tuple[VllmStandin, VllmStandin]
) -> None:
    engine = make(*pair)
    answers = engine.sample(requests(300), PARAMS)
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    deadline_s = time.monotonic() + 5
    while any(server.at_once for server in pair) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    assert not any(server.at_once for server in pair)
    completions(engine, requests(4))


def test_an_engine_that_is_forgotten_leaves_no_thread(server: VllmStandin) -> None:
    engine = VllmEngine(server.url, tokenizer=chain_tokenizer(), folder="judge", options=EAGER)
    list(engine.sample(requests(2), PARAMS))
    del engine
    gc.collect()
    assert not [one for one in threading.enumerate() if one.name == "vllm"]


def test_greedy_samples_are_all_the_same(make: Make, server: VllmStandin) -> None:
    greedy = replace(JUDGING, temperature=0)
    for one in completions(make(server), requests(3, n=4), greedy):
        assert len(set(one.samples)) == 1
        assert server.bodies[-1].get("n", 1) == 1


def test_ends_of_text_are_told_from_stops_and_limits(make: Make, server: VllmStandin) -> None:
    eos = chain_tokenizer().convert_tokens_to_ids(EOS)
    for one in completions(make(server), requests(10), replace(PARAMS, stop=("value",))):
        for sample in one.samples:
            assert (sample.token_ids[-1] == eos) == (sample.finish == "eos")
            assert sample.text.endswith("value") == (sample.finish == "stop")
