"""Is what happens to requests counted per replica, and told with the looks at it?"""

from __future__ import annotations

import itertools

import pytest
from prometheus_client import REGISTRY

from rprm.engines import client_metrics
from rprm.engines.client_metrics import ReplicaMeter, Seen
from rprm.engines.dispatching import Dispatcher
from rprm.engines.liveness import Circuit
from rprm.engines.routing import Candidate, Router

numbers = itertools.count()


@pytest.fixture
def name() -> str:
    """Metrics belong to the process: each test has a replica of its own."""
    return f"replica-{next(numbers)}"


def value(sample: str, replica: str, **labels: str) -> float | None:
    found: float | None = REGISTRY.get_sample_value(
        f"rprm_client_{sample}", {"replica": replica, "model": "m", **labels}
    )
    return found


def test_counts_are_told_with_the_next_look_and_once(name: str) -> None:
    meter = ReplicaMeter(name, "m")
    for seconds in (0.2, 7.0, 5000.0):
        meter.answered(seconds)
    meter.failed("timeout")
    meter.used(100, 40, 1000)
    meter.used(10, 0, 50)
    assert value("prompt_tokens_total", name) == 0
    for _ in range(2):
        meter.tell(Seen())
        assert value("tries_total", name, outcome="answered") == 3
        assert value("tries_total", name, outcome="timeout") == 1
        assert value("prompt_tokens_total", name) == 110
        assert value("cached_prompt_tokens_total", name) == 40
        assert value("generated_tokens_total", name) == 1050
    assert value("request_seconds_bucket", name, le="10.0") == 2
    assert value("request_seconds_count", name) == 3


def test_a_look_tells_what_is_there_and_leaving_that_nothing_is(name: str) -> None:
    meter = ReplicaMeter(name, "m")
    meter.tell(Seen(in_flight=2, waiting=5, sequences=20, limit=140, circuit=Circuit.OPEN))
    gauges = ("requests_in_flight", "requests_waiting", "sequences_in_flight", "sequence_limit")
    assert [value(gauge, name) for gauge in gauges] == [2, 5, 20, 140]
    assert value("circuits", name, circuit="open") == 1
    assert value("circuits", name, circuit="closed") == 0
    meter.answered(1.0)
    meter.leave()
    assert [value(gauge, name) for gauge in gauges] == [0, 0, 0, 0]
    assert value("circuits", name, circuit="open") == 0
    assert value("tries_total", name, outcome="answered") == 1, "the last counts are not lost"


def test_every_metric_says_what_it_means_in_a_sentence() -> None:
    for metric in client_metrics.ALL:
        assert metric._documentation.endswith(".")
        assert metric._name.startswith("rprm_client_")


def test_a_key_that_leaves_its_replica_is_counted_once_for_the_one_that_gets_it() -> None:
    router = Router()
    router.lease_on("a", "key", 10).release()
    assert not router.rerouted.total()
    router.lease_on("b", "key", 10)
    router.lease_on("b", "key", 10)
    assert router.rerouted == {"a": 0, "b": 1}


def test_a_new_key_that_finds_its_first_replica_full_is_counted() -> None:
    router = Router()
    both = [Candidate(name="a"), Candidate(name="b")]
    for number in range(20):
        router.lease("other", 10 + number, both[:1])
    key = next(f"k{n}" for n in range(99) if Router().pick(f"k{n}", 1, both) == "a")
    assert router.lease(key, 1, both) is not None
    assert router.rerouted["b"] == 1


def test_requests_taken_from_another_queue_are_counted_for_the_taker() -> None:
    dispatcher: Dispatcher[int] = Dispatcher()
    dispatcher.update([Candidate(name="a"), Candidate(name="b", usable=False)])
    for number in range(3):
        dispatcher.put(number, key="solution", cost=10)
    dispatcher.update([Candidate(name="a"), Candidate(name="b")])
    assert dispatcher.take("b") is not None
    assert dispatcher.taken_over == {"b": 3}
