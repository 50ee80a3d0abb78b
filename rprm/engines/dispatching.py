"""Which waiting request goes out next, and to which replica?  No I/O and no clock.

Every request is routed as soon as it waits, into the queue of one replica.  A replica with room
takes the oldest of its own queue; with nothing left there it takes over a whole key (all steps of
a solution, so that they share one warm prefix again) from the back of the fullest queue.  So no
replica idles while anything waits, and a slow one is relieved, at little cost to the prefix cache.

In a simulation of three replicas, one at half speed (test_prefix_routing of tests/bench), the cache
hit rate is 0.973 of at most 0.974, beside 0.942 round robin, 0.949 least loaded and 0.968
cache-aware; the time is 0.81 of round robin's, beside 0.82, 0.90 and, for hashing alone, 0.98.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from rprm.engines.routing import Candidate, Lease, Router

T = TypeVar("T")
A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class Waiting(Generic[T]):
    """What the caller asked for."""

    item: T
    key: str
    cost: int
    avoid: frozenset[str]
    """Replicas that failed it; it goes back to one only if no other is usable."""


@dataclass(frozen=True, slots=True)
class Ticket(Generic[T]):
    """A request with its replica: waiting for it, then in flight there."""

    waiting: Waiting[T]
    lease: Lease

    @property
    def item(self) -> T:
        return self.waiting.item

    @property
    def replica(self) -> str:
        return self.lease.name

    def release(self) -> None:
        """The request has ended there, one way or another.  A second call does nothing."""
        self.lease.release()


class Dispatcher(Generic[T]):
    def __init__(self, router: Router | None = None) -> None:
        self.router = router or Router()
        self.taken_over: Counter[str] = Counter()
        """Requests by the replica that took them; whoever tells of them takes them out."""
        self._candidates: tuple[Candidate, ...] = ()
        self._queues: dict[str, deque[Ticket[T]]] = {}
        self._stranded: deque[Waiting[T]] = deque()
        """While no replica is usable."""

    def __len__(self) -> int:
        """How many requests wait."""
        return len(self._stranded) + sum(map(len, self._queues.values()))

    def waiting_for(self, replica: str) -> int:
        return len(self._queues.get(replica, ()))

    def update(self, candidates: Iterable[Candidate]) -> None:
        """What is known of the replicas now.  What waits for one that takes nothing new is routed
        again, ahead of what came later; what is in flight there is for the caller to decide."""
        now = tuple(candidates)
        if now == self._candidates:
            return
        self._candidates = now
        usable = [one.name for one in now if one.usable and one.capacity > 0]
        moving = list(self._stranded)
        self._stranded.clear()
        for name in [name for name in self._queues if name not in usable]:
            for ticket in self._queues.pop(name):
                ticket.release()
                moving.append(ticket.waiting)
        for name in usable:
            self._queues.setdefault(name, deque())
        for waiting in reversed(moving):
            self._route(waiting, first=True)

    def put(self, item: T, *, key: str, cost: int, avoid: Iterable[str] = ()) -> None:
        """A request waits, for a load of `cost` tokens.  One that failed is put again, with the
        replicas to `avoid`, and goes ahead of those that were never tried."""
        waiting = Waiting(item, key, cost, frozenset(avoid))
        self._route(waiting, first=bool(waiting.avoid))

    def take(self, replica: str, *, over: bool = True) -> Ticket[T] | None:
        """The next request for a replica that has room; None where nothing waits for it or it
        takes nothing new.  The ticket is in flight until it is released.

        Without `over` only of its own queue: let every replica with room empty its own first, or
        one of them takes over what another would have begun the next moment."""
        queue = self._queues.get(replica)
        if queue is None or not (queue or (over and self._take_over(replica, queue))):
            return None
        return queue.popleft()

    def drop(self) -> list[T]:
        """Nothing waits any more; gives back what did."""
        dropped = [waiting.item for waiting in self._stranded]
        self._stranded.clear()
        for queue in self._queues.values():
            dropped += [ticket.item for ticket in queue]
            for ticket in queue:
                ticket.release()
            queue.clear()
        return dropped

    def _route(self, waiting: Waiting[T], *, first: bool) -> None:
        key, cost = waiting.key, waiting.cost
        others = [one for one in self._candidates if one.name not in waiting.avoid]
        lease = self.router.lease(key, cost, others)
        lease = lease or self.router.lease(key, cost, self._candidates)
        if lease is None:
            _insert(self._stranded, waiting, first=first)
        else:
            _insert(self._queues[lease.name], Ticket(waiting, lease), first=first)

    def _take_over(self, thief: str, empty: deque[Ticket[T]]) -> bool:
        """Fills the thief's empty queue with one key of the fullest queue that has one for it."""
        for name in sorted(self._queues, key=self.waiting_for, reverse=True):
            taken = _last_key(self._queues[name], thief)
            for ticket in taken:
                ticket.release()
                waiting = ticket.waiting
                lease = self.router.lease_on(thief, waiting.key, waiting.cost)
                empty.append(Ticket(waiting, lease))
            if taken:
                self.taken_over[thief] += len(taken)
                return True
        return False


def _insert(queue: deque[A], item: A, *, first: bool) -> None:
    if first:
        queue.appendleft(item)
    else:
        queue.append(item)


def _last_key(queue: deque[Ticket[T]], thief: str) -> list[Ticket[T]]:
    """Takes the last run of one key out of the queue, passing over what avoids the thief."""
    passed: list[Ticket[T]] = []
    taken: deque[Ticket[T]] = deque()
    while queue:
        ticket = queue.pop()
        if thief in ticket.waiting.avoid:
            passed.append(ticket)
        elif not taken or ticket.waiting.key == taken[0].waiting.key:
            taken.appendleft(ticket)
        else:
            queue.append(ticket)
            break
    queue.extend(reversed(passed))
    return list(taken)
