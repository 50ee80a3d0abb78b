"""What is read of a server's answer, byte for byte?"""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm.engines.http_wire import Answered, BrokenAnswer, TornAnswer, read_answer

OK = b"HTTP/1.1 200 OK\r\n"


def read(said: bytes) -> tuple[Answered, bool]:
    """The answer of a server that says this and closes."""

    async def run() -> tuple[Answered, bool]:
        reader = asyncio.StreamReader(limit=1024)
        reader.feed_data(said)
        reader.feed_eof()
        return await read_answer(reader)

    return asyncio.run(run())


def chunked(*parts: bytes, after: bytes = b"") -> bytes:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n" + after + b"\r\n"


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(OK + b"Content-Length: 5\r\n\r\nwhole", id="of a known length"),
        pytest.param(OK + chunked(b"who", b"le"), id="in chunks"),
        pytest.param(OK + chunked(b"whole", after=b"Sum: 1\r\n"), id="with fields after it"),
        pytest.param(OK + b"\r\nwhole", id="up to the end"),
        pytest.param(
            b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nwhole",
            id="after another one that only says to go on",
        ),
    ],
)
def test_a_body_is_read_to_its_end(said: bytes) -> None:
    answer, _ = read(said)
    assert (answer.status, answer.body) == (200, b"whole")


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (OK + b"Content-Length: 0\r\n\r\n", True),
        (OK + chunked(b"whole"), True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (OK + b"\r\nup to the end", False),
        (OK + b"Connection: Close\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
    ],
)
def test_a_connection_is_kept_where_the_server_keeps_it(said: bytes, kept: bool) -> None:
    assert read(said)[1] is kept


def test_fields_are_found_whatever_their_case() -> None:
    answer, _ = read(b"HTTP/1.1 429 Slow\r\nRETRY-After:  3 \r\nContent-Length: 0\r\n\r\n")
    assert (answer.status, answer.headers["retry-after"]) == (429, "3")


@pytest.mark.parametrize(
    "said", [OK + b"Content-Length: 9\r\n\r\ntorn", OK + chunked(b"torn", b"off")[:-7]]
)
def test_a_body_that_ends_too_soon_is_torn(said: bytes) -> None:
    with pytest.raises(TornAnswer):
        read(said)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
        b"HTTP/1.1 fine\r\n\r\n",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: many\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nno length\r\n",
        OK + b"Field: " + 4096 * b"x" + b"\r\n\r\n",
    ],
)
def test_what_is_no_answer_is_broken(said: bytes) -> None:
    with pytest.raises(BrokenAnswer):
        read(said)


@given(st.binary(max_size=200), st.sampled_from([b"", OK, OK + chunked(b"x")[:28]]))
def test_whatever_a_server_says_is_an_answer_or_one_of_the_two_faults(
    said: bytes, before: bytes
) -> None:
    with contextlib.suppress(BrokenAnswer, TornAnswer):
        read(before + said)
