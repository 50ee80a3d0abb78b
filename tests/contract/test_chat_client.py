"""Does the client get every answer out of a server with bad days, and stop where it must?"""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from rprm.engines.base import Refused
from rprm.engines.chat import (
    REASONING,
    ChatReply,
    ChatRequest,
    ChatSampling,
    Message,
    Traits,
)
from rprm.engines.endpoint import ApiKey, Endpoint
from rprm.engines.http_retry import RetryPolicy
from rprm.engines.openai_http import ApiUnavailable, ChatClient, Pace
from rprm.engines.streaming import all_of
from rprm.errors import BadInput
from tests.contract import openai_server as api
from tests.contract.openai_server import Body, Fault, OpenAiServer

KEY = "sk-test-0123456789"


def reply(body: Body, k: int) -> str:
    return f"{body['messages'][-1]['content']} sample {body.get('seed', 0) + k}"


@pytest.fixture
def server() -> Iterator[OpenAiServer]:
    with OpenAiServer(reply, key=KEY) as running:
        yield running


@dataclass
class Clock:
    """Time that passes only where somebody sleeps."""

    now_s: float = 0.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self.slept.append(seconds)
        await asyncio.sleep(0)


@dataclass(kw_only=True)
class Asked:
    answers: list[ChatReply | Refused]
    client: ChatClient
    slept: list[float]


def ask(
    server: OpenAiServer,
    requests: list[ChatRequest],
    *,
    model: str = "judge",
    key: str = KEY,
    traits: Traits | None = None,
    pace: Pace | None = None,
) -> Asked:
    clock = Clock()
    endpoint = Endpoint(
        base_url=server.base_url,
        model=model,
        key=ApiKey("TEST_KEY", key),
        traits=traits or Traits(),
    )

    async def run() -> Asked:
        async with ChatClient(
            endpoint, pace, clock=clock, sleep=clock.sleep, jitter=lambda: 0.5
        ) as client:
            answers = await all_of(client.ask(one) for one in requests)
            return Asked(answers=answers, client=client, slept=clock.slept)

    return asyncio.run(run())


def request(name: str = "a", *, n: int = 1, **sampling: Any) -> ChatRequest:
    return ChatRequest(
        id=name,
        messages=(Message(role="system", text="judge"), Message(role="user", text=name)),
        n=n,
        sampling=ChatSampling(**sampling),
    )


def text(asked: Asked) -> str:
    (answer,) = asked.answers
    assert isinstance(answer, ChatReply), answer
    return answer.texts_K[0]


def test_a_request_is_answered_and_its_tokens_are_counted(server: OpenAiServer) -> None:
    asked = ask(server, [request(temperature=0.0, max_tokens=7, seed=42)])
    assert text(asked) == "a sample 42"
    assert asked.client.counts.usage.prompt_tokens == len("judge" + "a") // 4
    assert server.bodies[0] == {
        "model": "judge",
        "messages": [{"role": "system", "content": "judge"}, {"role": "user", "content": "a"}],
        "max_tokens": 7,
        "temperature": 0.0,
        "seed": 42,
    }


def test_what_is_left_to_the_server_is_not_sent(server: OpenAiServer) -> None:
    ask(server, [request()])
    assert set(server.bodies[0]) == {"model", "messages"}


@pytest.mark.parametrize("fault", api.BAD_DAY, ids=lambda one: f"{one.status or one.kind}")
def test_a_passing_fault_is_ridden_out(server: OpenAiServer, fault: Fault) -> None:
    server.faults.extend([fault, fault])
    asked = ask(server, [request()])
    assert text(asked) == "a sample 0"
    assert len(asked.slept) >= 2
    assert asked.client.counts.failed_tries == 2


def test_a_slow_answer_is_given_up_at_the_deadline_and_asked_for_again(
    server: OpenAiServer,
) -> None:
    server.faults.append(api.SLOW)
    asked = ask(server, [request()], pace=Pace(deadline_s=0.2))
    assert text(asked) == "a sample 0"


def test_the_server_s_wish_to_wait_is_kept(server: OpenAiServer) -> None:
    server.faults.append(api.rate_limited(retry_after="7"))
    asked = ask(server, [request()])
    assert max(asked.slept) == 7.0


def test_everyone_waits_while_the_server_wants_to_be_left_alone(server: OpenAiServer) -> None:
    server.faults.append(api.rate_limited(retry_after="7"))
    asked = ask(server, [request("a"), request("b")], pace=Pace(max_in_flight=1))
    assert len(asked.answers) == 2
    assert sum(asked.slept) >= 7.0


def test_a_quota_that_is_used_up_is_waited_for(server: OpenAiServer) -> None:
    server.answer_headers = {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-reset-requests": "1m40s",
    }
    asked = ask(server, [request("a"), request("b")], pace=Pace(max_in_flight=1))
    assert asked.slept == [10.0]


def test_a_wait_beyond_patience_ends_the_run(server: OpenAiServer) -> None:
    server.faults.append(api.rate_limited(retry_after="86400"))
    with pytest.raises(ApiUnavailable, match="asks to wait 86400 s"):
        ask(server, [request()])


def test_a_prompt_too_long_is_refused_and_the_others_go_on(server: OpenAiServer) -> None:
    long = "x" * (api.CONTEXT_CHARACTERS + 1)
    first, second = ask(server, [request(long), request("b")]).answers
    assert isinstance(first, Refused)
    assert first.cause == "prompt_too_long"
    assert "maximum context length" in first.detail
    assert isinstance(second, ChatReply)


def test_a_request_that_is_rejected_is_not_sent_again(server: OpenAiServer) -> None:
    server.faults.append(Fault(status=400, error={"message": "flagged by our policy"}))
    (answer,) = ask(server, [request()]).answers
    assert answer == Refused(id="a", cause="rejected", detail="HTTP 400: flagged by our policy")
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("fault", "fix"),
    [
        (Fault(status=403, error={"message": "no access"}), "may use this model"),
        (Fault(status=404, error={"message": "not here"}), "check the base URL"),
        (Fault(status=402, error={"message": "pay"}), "add credit"),
        (Fault(status=429, error={"code": "insufficient_quota"}), "add credit"),
        (Fault(status=307, headers={"Location": "http://elsewhere"}), "redirects"),
    ],
    ids=lambda one: str(one.status) if isinstance(one, Fault) else "",
)
def test_a_wrong_setup_stops_and_says_what_to_fix(
    server: OpenAiServer, fault: Fault, fix: str
) -> None:
    server.faults.append(fault)
    with pytest.raises(BadInput, match=fix):
        ask(server, [request()])
    assert len(server.bodies) == 1


def test_a_wrong_key_stops_and_names_its_variable_only(server: OpenAiServer) -> None:
    wrong = "sk-wrong-wrong-wrong"
    with pytest.raises(BadInput, match="a valid key of this API into TEST_KEY") as caught:
        ask(server, [request()], key=wrong)
    every = [frame for frame, _ in traceback.walk_tb(caught.tb)]
    frames = [frame for frame in every if "/rprm/" in frame.f_code.co_filename]
    assert frames
    assert wrong not in str(caught.value)
    assert wrong not in "".join(repr(frame.f_locals) for frame in frames)


def test_a_parameter_that_the_model_does_not_take_stops_everything(server: OpenAiServer) -> None:
    with pytest.raises(BadInput, match="traits"):
        ask(server, [request(max_tokens=5)], model=api.REASONING)


def test_declared_traits_keep_a_reasoning_model_from_refusing(server: OpenAiServer) -> None:
    asked = ask(
        server,
        [request(n=3, temperature=0.5, top_p=0.9, max_tokens=5, seed=1)],
        model=api.REASONING,
        traits=REASONING,
    )
    (answer,) = asked.answers
    assert isinstance(answer, ChatReply)
    assert len(answer.texts_K) == 3
    assert [set(body) for body in server.bodies] == 3 * [
        {"model", "messages", "max_completion_tokens"}
    ]
    assert server.bodies[0]["messages"][0]["role"] == "user"


@pytest.mark.parametrize("traits", [Traits(), Traits(many=False)], ids=["at once", "one by one"])
@pytest.mark.parametrize("samples", [128, 3], ids=["all", "three per request"])
def test_samples_are_the_same_however_many_a_request_may_draw(traits: Traits, samples: int) -> None:
    with OpenAiServer(reply, key=KEY, samples=samples) as server:
        (answer,) = ask(server, [request(n=8, seed=42)], traits=traits).answers
    assert isinstance(answer, ChatReply)
    assert answer.texts_K == tuple(f"a sample {seed}" for seed in range(42, 50))


def test_no_more_than_the_limit_are_in_flight(server: OpenAiServer) -> None:
    asked = ask(server, [request(str(i)) for i in range(60)], pace=Pace(max_in_flight=5))
    assert len(asked.answers) == 60
    assert server.most_at_once <= 5


def test_an_api_that_is_down_ends_the_run_after_its_budget(server: OpenAiServer) -> None:
    server.fault_of = lambda body, seen: api.OVERLOADED
    pace = Pace(retry=RetryPolicy(budget=10))
    with pytest.raises(ApiUnavailable, match="10 tries failed for few answers"):
        ask(server, [request(str(i)) for i in range(30)], pace=pace)
    assert len(server.bodies) < 60


def test_a_server_that_nobody_runs_is_unavailable_rather_than_an_error_of_each_row() -> None:
    with OpenAiServer(reply) as gone:
        pass
    with pytest.raises(ApiUnavailable, match="8 tries failed, the last: Client"):
        ask(gone, [request()])


def test_one_request_that_always_fails_becomes_a_refusal(server: OpenAiServer) -> None:
    server.fault_of = lambda body, seen: (
        api.BROKEN if body["messages"][-1]["content"] == "bad" else None
    )
    bad, good = ask(server, [request("bad"), request("good")]).answers
    assert isinstance(good, ChatReply)
    assert isinstance(bad, Refused)
    assert bad.cause == "server_error"
    assert "8 tries failed" in bad.detail


def test_a_key_that_the_server_repeats_is_cut_from_all_it_says(server: OpenAiServer) -> None:
    escaped = "".join(f"\\u{ord(one):04x}" for one in KEY)
    server.reply = lambda body, k: json.loads(f'"you sent {KEY} or {escaped}"')
    assert text(ask(server, [request()])) == "you sent [key] or [key]"
    long = "x" * 490 + KEY
    server.faults.append(Fault(status=400, error={"message": long}))
    (answer,) = ask(server, [request()]).answers
    assert isinstance(answer, Refused)
    assert "sk-" not in answer.detail


def test_the_stand_in_satisfies_the_vendor_s_own_client(server: OpenAiServer) -> None:
    openai = pytest.importorskip("openai", reason="the vendor's client is not installed")
    client = openai.OpenAI(base_url=server.base_url, api_key=KEY, max_retries=2)
    messages = [{"role": "user", "content": "a"}]
    for fault in (api.rate_limited(retry_after_ms="1"), api.BROKEN):
        server.faults.append(fault)
        done = client.chat.completions.create(model="judge", messages=messages, n=2, seed=1)
        assert [one.message.content for one in done.choices] == ["a sample 1", "a sample 2"]
        assert done.usage.completion_tokens > 0
    refusals: list[tuple[type[Exception], Callable[[], Any]]] = [
        (
            openai.NotFoundError,
            lambda: client.chat.completions.create(model="x", messages=messages),
        ),
        (
            openai.BadRequestError,
            lambda: client.chat.completions.create(
                model=api.REASONING, messages=messages, max_tokens=3
            ),
        ),
        (
            openai.AuthenticationError,
            lambda: client.with_options(api_key="wrong").chat.completions.create(
                model="judge", messages=messages
            ),
        ),
    ]
    for error, call in refusals:
        with pytest.raises(error):
            call()


def test_a_torn_down_run_leaves_no_request_behind(server: OpenAiServer) -> None:
    server.fault_of = lambda body, seen: (
        api.SLOW
        if body["messages"][-1]["content"] != "0"
        else Fault(status=403, error={"message": "no"})
    )
    with pytest.raises(BadInput):
        ask(server, [request(str(i)) for i in range(9)])
