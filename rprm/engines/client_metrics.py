"""What does a client of model servers count for Prometheus?  Every name and label stands here.

What happens with a request is counted in plain Python and told to Prometheus with every look at the
replica.  Where several processes share their metrics (PROMETHEUS_MULTIPROC_DIR) prometheus_client
takes 1.2 µs for a counter and 3 µs for a histogram: 8 µs for a request that moves them at once, and
3.3 µs for one that moves the histogram alone.

Labels are replicas by name, models, and words of this module or of `http_faults`: few, and nothing
secret.  Gauges add up over the processes that live.
"""

from __future__ import annotations

from collections import Counter as Tally
from dataclasses import dataclass

from prometheus_client import Counter, Gauge, Histogram

from rprm.engines.liveness import Circuit

ANSWERED = "answered"
TAKEN_AWAY = "taken_away"

_REPLICA = ("replica", "model")

TRIES = Counter(
    "rprm_client_tries",
    "Tries of requests by how they ended: answered, taken_away from a replica in trouble, or the "
    "cause of the fault.  What is not answered is tried again unless it is refused.",
    (*_REPLICA, "outcome"),
)
REFUSED = Counter(
    "rprm_client_refused", "Requests that no try can answer, by cause.", ("model", "cause")
)
SECONDS = Histogram(
    "rprm_client_request_seconds",
    "From sending a request to its whole answer.",
    _REPLICA,
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1200),
)
GENERATED = Counter("rprm_client_generated_tokens", "Tokens in answers.", _REPLICA)
PROMPT = Counter("rprm_client_prompt_tokens", "Prompt tokens of what was answered.", _REPLICA)
CACHED = Counter(
    "rprm_client_cached_prompt_tokens",
    "Of those, found in the server's prefix cache, as far as the server says so.",
    _REPLICA,
)
HANGS = Counter("rprm_client_hangs", "Times that a replica was found to hang.", _REPLICA)
REROUTED = Counter(
    "rprm_client_rerouted",
    "Requests that this replica got although another one has their key or is first for it.",
    _REPLICA,
)
TAKEN_OVER = Counter(
    "rprm_client_taken_over",
    "Requests that this replica, having nothing left to do, took from the queue of another.",
    _REPLICA,
)
IN_FLIGHT = Gauge(
    "rprm_client_requests_in_flight",
    "Requests sent and not ended.",
    _REPLICA,
    multiprocess_mode="livesum",
)
WAITING = Gauge(
    "rprm_client_requests_waiting",
    "Requests that wait in the client for this replica.",
    _REPLICA,
    multiprocess_mode="livesum",
)
SEQUENCES = Gauge(
    "rprm_client_sequences_in_flight",
    "The same in sequences: a request for n samples counts n times.",
    _REPLICA,
    multiprocess_mode="livesum",
)
LIMIT = Gauge(
    "rprm_client_sequence_limit",
    "Sequences (of an API: requests) that may be in flight now.",
    _REPLICA,
    multiprocess_mode="livesum",
)
CIRCUITS = Gauge(
    "rprm_client_circuits",
    "Clients whose circuit to this replica is closed (it takes work), open or probing.",
    (*_REPLICA, "circuit"),
    multiprocess_mode="livesum",
)
ALL = (
    *(TRIES, REFUSED, SECONDS, GENERATED, PROMPT, CACHED, HANGS, REROUTED, TAKEN_OVER),
    *(IN_FLIGHT, WAITING, SEQUENCES, LIMIT, CIRCUITS),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """One look at what a client has with a replica."""

    in_flight: int = 0
    waiting: int = 0
    sequences: int = 0
    limit: int = 0
    circuit: Circuit | None = None
    """None where there is none, or not any more."""
    rerouted: int = 0
    """Since the look before; so is the next."""
    taken_over: int = 0


class ReplicaMeter:
    """One client's counts of one replica."""

    def __init__(self, replica: str, model: str = "") -> None:
        labels = (replica, model)
        self._labels = labels
        self._tries: Tally[str] = Tally()
        self._prompt = self._cached = self._generated = 0
        self._seconds = SECONDS.labels(*labels)
        self._gauges = [gauge.labels(*labels) for gauge in (IN_FLIGHT, WAITING, SEQUENCES, LIMIT)]
        self._counters = [
            one.labels(*labels) for one in (PROMPT, CACHED, GENERATED, REROUTED, TAKEN_OVER)
        ]
        self._circuits = {one: CIRCUITS.labels(*labels, one.value) for one in Circuit}

    def answered(self, seconds: float) -> None:
        self._tries[ANSWERED] += 1
        self._seconds.observe(seconds)

    def failed(self, cause: str) -> None:
        self._tries[cause] += 1

    def used(self, prompt: int, cached: int, generated: int) -> None:
        """Tokens of one answer."""
        self._prompt += prompt
        self._cached += cached
        self._generated += generated

    def hung(self) -> None:
        HANGS.labels(*self._labels).inc()

    def tell(self, seen: Seen) -> None:
        """Pass on what was counted since the last time, and what is seen now."""
        for outcome, count in self._tries.items():
            TRIES.labels(*self._labels, outcome).inc(count)
        counts = (self._prompt, self._cached, self._generated, seen.rerouted, seen.taken_over)
        for counter, count in zip(self._counters, counts, strict=True):
            counter.inc(count)
        self._tries.clear()
        self._prompt = self._cached = self._generated = 0
        now = (seen.in_flight, seen.waiting, seen.sequences, seen.limit)
        for gauge, value in zip(self._gauges, now, strict=True):
            gauge.set(value)
        for circuit, child in self._circuits.items():
            child.set(circuit is seen.circuit)

    def leave(self) -> None:
        """The client has nothing with the replica any more."""
        self.tell(Seen())
