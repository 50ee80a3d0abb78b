"""Are requests built, replies read and keys kept as the API and its users expect?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm.engines.chat import (
    REASONING,
    ChatRequest,
    ChatSampling,
    Message,
    Traits,
    Usage,
    body_of,
    joined,
    reply_of,
)
from rprm.engines.endpoint import ApiKey, check_base_url, read_key
from rprm.engines.streaming import in_order, iterate
from rprm.errors import BadInput, Drained

REQUEST = ChatRequest(
    id="a",
    messages=(Message(role="system", text="s"), Message(role="user", text="u")),
    n=8,
    sampling=ChatSampling(temperature=0.7, top_p=0.8, top_k=20, max_tokens=9, seed=42),
)


def test_a_body_says_what_the_model_takes() -> None:
    assert body_of("m", Traits(), REQUEST, n=8, first=0) == {
        "model": "m",
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
        "n": 8,
        "temperature": 0.7,
        "top_p": 0.8,
        "top_k": 20,
        "max_tokens": 9,
        "seed": 42,
    }


def test_a_reasoning_model_is_spared_what_it_refuses() -> None:
    assert body_of("m", REASONING, REQUEST, n=1, first=3) == {
        "model": "m",
        "messages": [{"role": "user", "content": "s"}, {"role": "user", "content": "u"}],
        "max_completion_tokens": 9,
    }


@given(first=st.integers(0, 1000), n=st.integers(1, 9))
def test_a_later_call_continues_the_seeds_of_an_earlier_one(first: int, n: int) -> None:
    assert body_of("m", Traits(), REQUEST, n=n, first=first)["seed"] == 42 + first


def test_samples_are_read_in_the_order_of_their_index() -> None:
    body = {
        "choices": [
            {"index": 1, "message": {"content": "second"}, "finish_reason": "length"},
            {"index": 0, "message": {"content": None}, "finish_reason": "content_filter"},
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4},
    }
    reply = reply_of("a", body)
    assert reply is not None
    assert reply.texts_K == ("", "second")
    assert reply.finishes_K == ("content_filter", "length")
    both = joined("a", [reply, reply], n=3)
    assert both.texts_K == ("", "second", "")
    assert both.usage == Usage(prompt_tokens=6, completion_tokens=8)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "message", "content", "index", "usage", "error"]), inner
        )
    ),
    max_leaves=12,
)


@given(body=JSON)
def test_a_body_that_is_no_completion_is_none_rather_than_a_crash(body: Any) -> None:
    reply = reply_of("a", body)
    assert reply is None or all(isinstance(text, str) for text in reply.texts_K)


def test_a_key_is_read_and_never_printed() -> None:
    key = read_key("API_KEY", {"API_KEY": "sk-123456789\n"})
    assert key.header() == "Bearer sk-123456789"
    assert "sk-" not in f"{key} {key!r} {[key]}"
    assert key.redact("no sk-123456789!") == "no [key]!"


def test_a_word_that_stands_for_no_key_is_not_cut_from_texts() -> None:
    assert ApiKey("API_KEY", "EMPTY").redact("an EMPTY set") == "an EMPTY set"


@pytest.mark.parametrize("value", ["", "  ", "sk-1\nHost: evil", "sk-é", "two words", "a\x00b"])
def test_what_cannot_be_a_key_is_refused_without_being_shown(value: str) -> None:
    with pytest.raises(BadInput, match="API_KEY") as caught:
        read_key("API_KEY", {"API_KEY": value})
    assert not value.strip() or value not in str(caught.value)


@pytest.mark.parametrize("name", ["sk-abcdef123456", "0f3a9c", "two words", "my_key", ""])
def test_a_key_given_in_place_of_its_variable_is_refused_and_not_repeated(name: str) -> None:
    with pytest.raises(BadInput, match="not the name of an environment variable") as caught:
        read_key(name, {name: "x"})
    assert not name or name not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000/v1",
        "ftp://host/v1",
        "http://",
        "https://user:secret@host/v1",
        "https://host/v1?key=secret",
        "http://[broken/v1",
        "",
    ],
)
def test_what_is_no_address_or_holds_a_secret_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(BadInput, match="base_url") as caught:
        check_base_url(url)
    assert "secret" not in str(caught.value)


def test_an_address_is_accepted() -> None:
    check_base_url("https://api.openai.com/v1")
    check_base_url("http://[::1]:8000/v1/")


def test_results_come_in_order_while_later_ones_are_under_way() -> None:
    begun: list[int] = []
    ahead_of: list[int] = []

    async def work(item: int) -> int:
        begun.append(item)
        for _ in range(20 - item):
            await asyncio.sleep(0)
        return item

    async def stream() -> AsyncIterator[int]:
        async for item in in_order(range(20), work, ahead=4):
            yield item

    got = []
    for item in iterate(stream, leave=lambda: False):
        got.append(item)
        ahead_of.append(len(begun) - len(got))
    assert got == list(range(20))
    assert 0 < max(ahead_of) <= 4


def test_an_error_ends_the_stream_and_all_that_is_under_way() -> None:
    cancelled: list[int] = []

    async def work(item: int) -> int:
        if item == 2:
            raise BadInput("no.")
        try:
            await asyncio.sleep(0 if item < 2 else 3600)
        except asyncio.CancelledError:
            cancelled.append(item)
            raise
        return item

    got: list[int] = []
    with pytest.raises(BadInput):
        got.extend(iterate(lambda: in_order(range(9), work, ahead=5), leave=lambda: False))
    assert got == [0, 1]
    assert cancelled


def test_a_wait_ends_when_the_worker_is_asked_to_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rprm.engines.streaming.LOOK_EVERY_S", 0.001)

    async def work(item: int) -> int:
        await asyncio.sleep(3600)
        return item

    with pytest.raises(Drained):
        list(iterate(lambda: in_order(range(9), work, ahead=5), leave=lambda: True))
