"""Does the prober see what servers say, and is it held up by none that says nothing?"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from jobs.fleet.probing import Prober
from tests.contract.vllm_standin import VllmStandin

AT_MOST_S = 60.0


@pytest.fixture
def prober() -> Iterator[Prober]:
    made = Prober(poll_s=0.02, deadline_s=0.5)
    yield made
    made.close()


def until(is_so: Callable[[], bool]) -> None:
    end_s = time.monotonic() + AT_MOST_S
    while not is_so():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def running(prober: Prober, name: str) -> int | None:
    seen = prober.seen(name)
    return seen.metrics.running if seen and seen.metrics else None


def test_a_server_is_seen_once_it_answers_and_then_again_and_again(prober: Prober) -> None:
    with VllmStandin() as server:
        prober.watch({"a": server.url})
        until(lambda: running(prober, "a") == 0)
        first = prober.seen("a")
        assert first is not None
        until(lambda: (prober.seen("a") or first).at > first.at)


def test_a_server_that_never_answers_holds_up_no_other(prober: Prober) -> None:
    with socket.socket() as mute, VllmStandin() as server:
        mute.bind(("127.0.0.1", 0))
        mute.listen()  # takes connections and says nothing
        prober.watch({"mute": f"http://127.0.0.1:{mute.getsockname()[1]}", "fine": server.url})
        until(lambda: running(prober, "fine") == 0)
        assert prober.seen("mute") is None


def test_what_a_dead_server_said_grows_old(prober: Prober) -> None:
    with VllmStandin() as alive, VllmStandin() as dead:
        prober.watch({"alive": alive.url, "dead": dead.url})
        until(lambda: running(prober, "alive") == running(prober, "dead") == 0)
        dead.die()
        last = prober.seen("dead")
        assert last is not None
        until(lambda: (prober.seen("alive") or last).at > last.at + 0.2)
        found = prober.seen("dead")
        assert found is not None
        assert found.at <= last.at + 0.1


def test_who_is_not_watched_any_more_is_forgotten(prober: Prober) -> None:
    with VllmStandin() as server:
        prober.watch({"a": server.url})
        until(lambda: prober.seen("a") is not None)
        prober.watch({})
        until(lambda: prober.seen("a") is None)


def test_closing_ends_its_thread_and_twice_is_fine(prober: Prober) -> None:
    prober.close()
    prober.close()
    assert "prober" not in {thread.name for thread in threading.enumerate()}
