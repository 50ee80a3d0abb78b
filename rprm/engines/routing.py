"""Which replica gets a request, so that its prefix is warm there and no replica is overloaded?

Consistent hashing with bounded load: every key has an order of preference over the replicas, and
gets the first one that carries no more than 1.25 times its share of all load.  The order is that
of weighted rendezvous hashing rather than of a ring: when a replica joins or leaves exactly its
share of the keys moves, and what one full replica turns away is spread over all others instead of
falling upon its neighbour.

A key that a replica has worked on stays there for as long as the replica carries no more than 1.5
times its share, whatever its hash says: a warm prefix is worth more than an old order.

Load is what a replica was given and has not finished, in tokens: in flight, and waiting for it in
the client (`dispatching`).  Choosing among the replicas with a free slot at the time of sending
would be no routing at all: under load that is the one that finished last.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

BOUND = 1.25
"""How far above its share a replica may be loaded.  Mirrokni, Thorup and Zadimoghaddam
(arXiv:1608.01350) prove the bound for any c > 1; 1.25 is kubeai's default and the lower end of
what HAProxy's manual calls reasonable."""
STAY = 1.5
"""The same for a replica that has worked on the key: the tightest bound that costs nothing.  In
test_prefix_routing of tests/bench, 1.25 costs a little of the hit rate and of the time; from 1.5
up to no bound at all nothing changes, because replicas with room take over what waits."""
REMEMBERED_KEYS = 65_536
"""Keys whose order and replica are kept: more than the solutions under way in any one process."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A replica as the router sees it."""

    name: str
    capacity: float = 1.0
    """Its weight beside the others, such as max_num_seqs."""
    usable: bool = True
    """False where it drains, hangs or is broken: it gets nothing new."""


class Lease:
    """A request's load on a replica, from being routed until it is released."""

    __slots__ = ("_router", "cost", "name")

    def __init__(self, router: Router, name: str, cost: int) -> None:
        self.name = name
        self.cost = cost
        self._router: Router | None = router

    def release(self) -> None:
        """Gives the load back, once: a second call does nothing."""
        router, self._router = self._router, None
        if router is not None:
            router._give_back(self.name, self.cost)


class Router:
    """Knows the load of every replica.  No I/O and no clock: it is told all there is to know."""

    def __init__(self, *, bound: float = BOUND) -> None:
        assert bound >= 1
        self._bound = bound
        self._loads: dict[str, int] = {}
        self._weights: tuple[tuple[str, float], ...] = ()
        self._orders: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._homes: OrderedDict[str, str] = OrderedDict()
        self.rerouted: Counter[str] = Counter()
        """Requests, by the replica that got them, of keys that had another one or prefer another;
        whoever tells of them takes them out."""

    @property
    def loads(self) -> Mapping[str, int]:
        """By replica, in tokens; a replica that carries nothing is not named."""
        return self._loads

    def pick(self, key: str, cost: int, candidates: Sequence[Candidate]) -> str | None:
        """The replica for a request that will add `cost`; None where none is usable.

        Without effect: `lease` also books the load."""
        usable = [one for one in candidates if one.usable and one.capacity > 0]
        if not usable:
            return None
        capacity = math.fsum(one.capacity for one in usable)
        total = sum(self._loads.get(one.name, 0) for one in usable) + cost
        fill = {one.name: self._loads.get(one.name, 0) / one.capacity for one in usable}
        share = total / capacity
        home = self._homes.get(key)
        if home in fill and fill[home] <= max(STAY, self._bound) * share:
            return home
        for name in self._order(key, usable):
            if fill[name] <= self._bound * share:
                return name
        return min(fill, key=lambda name: (fill[name], name))

    def lease(self, key: str, cost: int, candidates: Sequence[Candidate]) -> Lease | None:
        name = self.pick(key, cost, candidates)
        return None if name is None else self.lease_on(name, key, cost)

    def lease_on(self, name: str, key: str, cost: int) -> Lease:
        """Books the load on this replica, which the key will prefer from now on."""
        if cost < 0:
            raise ValueError(f"a request cannot cost {cost} tokens")
        self._loads[name] = self._loads.get(name, 0) + cost
        first = self._homes.get(key) or self._orders.get(key, (name,))[0]
        self.rerouted[name] += first != name
        _remember(self._homes, key, name)
        return Lease(self, name, cost)

    def _give_back(self, name: str, cost: int) -> None:
        left = self._loads.pop(name, 0) - cost
        assert left >= 0
        if left:
            self._loads[name] = left

    def _order(self, key: str, usable: Sequence[Candidate]) -> tuple[str, ...]:
        weights = tuple(sorted((one.name, one.capacity) for one in usable))
        if weights != self._weights:
            self._weights = weights
            self._orders.clear()
        order = self._orders.get(key)
        if order is None:
            order = preference(key, dict(weights))
            _remember(self._orders, key, order)
        return order


def _remember(memory: OrderedDict[str, T], key: str, value: T) -> None:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > REMEMBERED_KEYS:
        memory.popitem(last=False)


def preference(key: str, weights: Mapping[str, float]) -> tuple[str, ...]:
    """The replicas, the best for `key` first.

    Weighted rendezvous hashing (Schindelhauer and Schomaker 2005): with u uniform in (0, 1) from
    the hash of key and name, the smallest -ln(u)/weight wins; each replica is first for the share
    of the keys that its weight has, and the order of any two does not depend on a third."""
    place = {name: -math.log(_uniform(key, name)) / weight for name, weight in weights.items()}
    return tuple(sorted(place, key=lambda name: (place[name], name)))


def _uniform(key: str, name: str) -> float:
    digest = hashlib.blake2b(f"{len(key)}:{key}{name}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") + 0.5) / 2.0**64
