"""How well do prefixes stay warm, and how long does it take, under different ways of routing?

Replicas are the stand-in's scheduler (standin_core: batches, blocks of KV cache, a prefix cache)
in simulated time; requests are the steps of solutions, K samples each.

ours          rprm.engines.dispatching, as the engine uses it
round robin   one replica after the other
least loaded  the replica with the fewest tokens in flight for its capacity
hashing       the key's favourite replica, however full it is
cache aware   sglang's router: the replica with the longest matching prefix, unless the loads are
              out of balance (by more than 32 requests and more than 1.5 times), then the one with
              the fewest requests
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from rprm.engines.concurrency import first_limit
from rprm.engines.dispatching import Dispatcher, Ticket
from rprm.engines.routing import Candidate, preference
from tests.contract.standin_core import Core, Pace, block_hashes

AHEAD = 2.0
"""Waiting in the client's queues, as a multiple of what may be in flight; as the engine's."""
MATCHED = 0.5
"""Below this share of a prompt sglang's router takes the replica that knows least."""
OUT_OF_BALANCE = (32, 1.5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """What is judged: R-PRM's prompts, with shorter critiques to keep the simulation short."""

    solutions: int = 90
    steps: int = 8
    samples: int = 4
    template: int = 608
    question: int = 150
    step: int = 60
    critique: int = 100
    """The mean; they vary by a factor of three in either direction."""


@dataclass(eq=False, slots=True)
class Job:
    """One judged step."""

    key: str
    prompt: tuple[int, ...]
    outputs: list[tuple[int, ...]]
    left: int

    @property
    def cost(self) -> int:
        return len(self.prompt) + sum(map(len, self.outputs))


@dataclass(eq=False)
class Place:
    """A replica: what it does, and what its client has given it."""

    name: str
    core: Core
    slots: int
    capacity: float
    free_at_s: float = 0.0
    """End of the step under way."""
    jobs: int = 0
    sequences: int = 0
    tokens: int = 0
    ended: list[Job] = field(default_factory=list)
    known: set[int] = field(default_factory=set)
    """Blocks that were ever sent there: what a router believes is cached."""


class Policy(Protocol):
    def add(self, job: Job) -> None:
        """It waits."""
        ...

    def send(self, places: Sequence[Place]) -> list[tuple[Job, Place]]:
        """What goes out now."""
        ...

    def waiting(self) -> int:
        """Sequences that were added and not sent."""
        ...

    def done(self, job: Job) -> None: ...


class Ours:
    def __init__(self, places: Sequence[Place]) -> None:
        self._dispatcher: Dispatcher[Job] = Dispatcher()
        candidates = [Candidate(name=one.name, capacity=one.capacity) for one in places]
        self._dispatcher.update(candidates)
        self._tickets: dict[Job, Ticket[Job]] = {}
        self._waiting = 0

    def add(self, job: Job) -> None:
        self._dispatcher.put(job, key=job.key, cost=job.cost)
        self._waiting += len(job.outputs)

    def send(self, places: Sequence[Place]) -> list[tuple[Job, Place]]:
        sent = []
        for place in places:
            room = place.slots - place.sequences
            while room > 0 and (ticket := self._dispatcher.take(place.name)) is not None:
                self._tickets[ticket.item] = ticket
                room -= len(ticket.item.outputs)
                self._waiting -= len(ticket.item.outputs)
                sent.append((ticket.item, place))
        return sent

    def waiting(self) -> int:
        return self._waiting

    def done(self, job: Job) -> None:
        self._tickets.pop(job).release()


Choose = Callable[[Job, Sequence[Place]], Place]


class Plain:
    """First in, first out; each is sent where `choose` says once all replicas together have room,
    and waits there in the server's queue if need be: what a router before the replicas does."""

    def __init__(self, choose: Choose) -> None:
        self._choose = choose
        self._queue: list[Job] = []

    def add(self, job: Job) -> None:
        self._queue.append(job)

    def send(self, places: Sequence[Place]) -> list[tuple[Job, Place]]:
        room = sum(place.slots - place.sequences for place in places)
        sent: list[tuple[Job, Place]] = []
        while self._queue and room > 0:
            job = self._queue.pop(0)
            room -= len(job.outputs)
            place = self._choose(job, places)
            _book(job, place, 1)
            sent.append((job, place))
        for job, place in sent:
            _book(job, place, -1)  # the simulation books what is sent
        return sent

    def waiting(self) -> int:
        return sum(len(job.outputs) for job in self._queue)

    def done(self, job: Job) -> None: ...


def round_robin() -> Choose:
    count = 0

    def choose(job: Job, places: Sequence[Place]) -> Place:
        nonlocal count
        count += 1
        return places[count % len(places)]

    return choose


def least_loaded(job: Job, places: Sequence[Place]) -> Place:
    return min(places, key=lambda place: place.tokens / place.capacity)


def hashing(job: Job, places: Sequence[Place]) -> Place:
    first = preference(job.key, {place.name: place.capacity for place in places})[0]
    return next(place for place in places if place.name == first)


def cache_aware(job: Job, places: Sequence[Place]) -> Place:
    fewest, most = (pick(place.jobs for place in places) for pick in (min, max))
    apart, times = OUT_OF_BALANCE
    if most - fewest > apart and most > times * fewest:
        return min(places, key=lambda place: place.jobs)
    blocks = block_hashes(job.prompt, places[0].core.pace.block_size)
    best = max(places, key=lambda place: _match(blocks, place))
    if _match(blocks, best) / max(1, len(blocks)) > MATCHED:
        return best
    return min(places, key=lambda place: len(place.known))


def _match(blocks: Sequence[int], place: Place) -> int:
    return next(
        (number for number, block in enumerate(blocks) if block not in place.known), len(blocks)
    )


POLICIES: dict[str, Callable[[Sequence[Place]], Policy]] = {
    "ours": Ours,
    "round robin": lambda places: Plain(round_robin()),
    "least loaded": lambda places: Plain(least_loaded),
    "hashing": lambda places: Plain(hashing),
    "cache aware": lambda places: Plain(cache_aware),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    hit_rate: float
    """Of all prompt tokens; one is impossible, as every prompt has something new."""
    seconds: float
    """Until the last sample is there, in simulated time."""


def simulate(policy: str, *, speeds: Sequence[float], shape: Shape, seed: int) -> Outcome:
    places = [_place(f"judge-{number}", speed) for number, speed in enumerate(speeds)]
    router = POLICIES[policy](places)
    coming = jobs_of(shape, seed)
    coming.reverse()
    ahead = AHEAD * sum(place.slots for place in places)
    events = [(0.0, number) for number in range(len(places))]
    now_s = 0.0
    while True:
        for place in places:
            if place.free_at_s <= now_s:
                _settle(place, router)
        while coming and router.waiting() < ahead:
            router.add(coming.pop())
            _send(router, places)
        _send(router, places)
        _step_all(places, now_s, events)
        if not events:
            break
        now_s, _ = heapq.heappop(events)
    return _outcome(places, now_s)


def _outcome(places: Sequence[Place], now_s: float) -> Outcome:
    counters = [place.core.counters for place in places]
    hits = sum(one.prefix_cache_hits for one in counters)
    return Outcome(hit_rate=hits / sum(one.prefix_cache_queries for one in counters), seconds=now_s)


def _place(name: str, speed: float) -> Place:
    """About an H100 with a 7B judge, at `speed` times its pace; a cache for 40,000 tokens."""
    pace = Pace(
        max_num_seqs=64,
        kv_blocks=2500,
        max_batched_tokens=2048,
        step_s=0.010 / speed,
        token_s=0.000028 / speed,
    )
    slots = first_limit(pace.max_num_seqs).slots
    return Place(name=name, core=Core(pace), slots=slots, capacity=float(pace.max_num_seqs))


def _settle(place: Place, router: Policy) -> None:
    """What ended with the step that is over now."""
    for job in place.ended:
        job.left -= 1
        if not job.left:
            _book(job, place, -1)
            router.done(job)
    place.ended.clear()


def _send(router: Policy, places: Sequence[Place]) -> None:
    for job, place in router.send(places):
        _book(job, place, 1)
        place.known.update(block_hashes(job.prompt, place.core.pace.block_size))
        place.core.submit(job.outputs, job.prompt, _ending(job, place))


def _ending(job: Job, place: Place) -> Callable[[], None]:
    return lambda: place.ended.append(job)


def _book(job: Job, place: Place, sign: int) -> None:
    place.jobs += sign
    place.sequences += sign * len(job.outputs)
    place.tokens += sign * job.cost


def _step_all(places: Sequence[Place], now_s: float, events: list[tuple[float, int]]) -> None:
    for number, place in enumerate(places):
        if place.free_at_s <= now_s and (place.core.running or place.core.waiting):
            tokens = place.core.step()
            pace = place.core.pace
            place.free_at_s = now_s + pace.step_s + tokens * pace.token_s
            heapq.heappush(events, (place.free_at_s, number))


def jobs_of(shape: Shape, seed: int) -> list[Job]:
    """Steps of a solution follow one another."""
    rng = random.Random(seed)

    def tokens(count: int) -> tuple[int, ...]:
        return tuple(rng.randrange(150_000) for _ in range(count))

    template = tokens(shape.template)
    found = []
    for number in range(shape.solutions):
        prompt = template + tokens(shape.question)
        for _ in range(rng.randint(shape.steps // 2, shape.steps * 3 // 2)):
            prompt += tokens(shape.step)
            lengths = [
                int(shape.critique * math.exp(rng.uniform(-1, 1))) for _ in range(shape.samples)
            ]
            outputs = [(number,) * length for length in lengths]
            found.append(Job(key=str(number), prompt=prompt, outputs=outputs, left=shape.samples))
    return found
