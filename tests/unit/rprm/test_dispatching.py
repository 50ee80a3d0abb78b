"""Is every request dispatched once, wherever replicas come and go, and does no replica idle?"""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rprm.engines.dispatching import Dispatcher, Ticket
from rprm.engines.routing import Candidate

NAMES = ("a", "b", "c", "d")


def fleet(*usable: str) -> list[Candidate]:
    return [Candidate(name=name, capacity=128.0, usable=name in usable) for name in NAMES]


class Dispatching(RuleBasedStateMachine):
    """Any order of events, against a plain account of what should be where."""

    def __init__(self) -> None:
        super().__init__()
        self.dispatcher: Dispatcher[int] = Dispatcher()
        self.usable: set[str] = set()
        self.made = 0
        self.costs: dict[int, tuple[str, int]] = {}
        self.waiting: dict[int, set[str]] = {}
        self.flying: dict[int, Ticket[int]] = {}

    @rule(usable=st.sets(st.sampled_from(NAMES)))
    def the_fleet_changes(self, usable: set[str]) -> None:
        self.usable = usable
        self.dispatcher.update(fleet(*usable))

    @rule(key=st.sampled_from("xyz"), cost=st.integers(0, 5000))
    def a_request_comes(self, key: str, cost: int) -> None:
        self.costs[self.made] = (key, cost)
        self.waiting[self.made] = set()
        self.dispatcher.put(self.made, key=key, cost=cost)
        self.made += 1

    @rule(replica=st.sampled_from(NAMES))
    def a_replica_has_room(self, replica: str) -> None:
        ticket = self.dispatcher.take(replica)
        if ticket is None:
            avoided = all(replica in avoid for avoid in self.waiting.values())
            assert replica not in self.usable or avoided
        else:
            assert replica in self.usable
            assert ticket.replica == replica
            del self.waiting[ticket.item]
            self.flying[ticket.item] = ticket

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def a_request_ends(self, data: st.DataObject) -> None:
        ticket = self.flying.pop(data.draw(st.sampled_from(sorted(self.flying))))
        ticket.release()
        ticket.release()

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def a_request_fails_and_is_tried_elsewhere(self, data: st.DataObject) -> None:
        item = data.draw(st.sampled_from(sorted(self.flying)))
        ticket = self.flying.pop(item)
        ticket.release()
        key, cost = self.costs[item]
        self.waiting[item] = {ticket.replica}
        self.dispatcher.put(item, key=key, cost=cost, avoid={ticket.replica})

    @invariant()
    def nothing_is_lost_and_nothing_is_twice(self) -> None:
        assert len(self.dispatcher) == len(self.waiting)
        assert not self.waiting.keys() & self.flying.keys()

    @invariant()
    def nothing_waits_for_a_replica_that_takes_nothing_new(self) -> None:
        assert all(not self.dispatcher.waiting_for(one) for one in set(NAMES) - self.usable)

    @invariant()
    def the_load_is_that_of_what_waits_and_flies(self) -> None:
        flying = Counter[str]()
        for item, ticket in self.flying.items():
            flying[ticket.replica] += self.costs[item][1]
        stranded = not self.usable
        queued = 0 if stranded else sum(self.costs[item][1] for item in self.waiting)
        assert sum(self.dispatcher.router.loads.values()) == flying.total() + queued

    def teardown(self) -> None:
        self.dispatcher.update(fleet("a", "b"))
        left = []
        while self.dispatcher:
            ticket = self.dispatcher.take("a") or self.dispatcher.take("b")
            assert ticket is not None
            left.append(ticket.item)
            ticket.release()
        for ticket in self.flying.values():
            ticket.release()
        assert sorted(left) == sorted(self.waiting)
        assert not self.dispatcher.router.loads


TestDispatching = Dispatching.TestCase
TestDispatching.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def filled(keys: str, *usable: str) -> Dispatcher[str]:
    """Four requests of equal cost for each key."""
    dispatcher: Dispatcher[str] = Dispatcher()
    dispatcher.update(fleet(*usable))
    for key in keys:
        for step in range(4):
            dispatcher.put(f"{key}{step}", key=key, cost=100)
    return dispatcher


def taken(dispatcher: Dispatcher[str], replica: str, *, number: int) -> list[str]:
    tickets = [dispatcher.take(replica) for _ in range(number)]
    return [ticket.item for ticket in tickets if ticket is not None]


def test_requests_of_one_replica_go_out_in_order() -> None:
    assert taken(filled("xy", "a"), "a", number=9) == [
        f"{key}{i}" for key in "xy" for i in range(4)
    ]


def test_an_idle_replica_takes_over_whole_keys_from_the_back() -> None:
    dispatcher = filled("xyz", "a")
    dispatcher.update(fleet("a", "b"))
    assert taken(dispatcher, "b", number=6) == ["z0", "z1", "z2", "z3", "y0", "y1"]
    assert taken(dispatcher, "a", number=9) == ["x0", "x1", "x2", "x3", "y2", "y3"]


def test_later_requests_of_a_key_follow_those_that_were_taken_over() -> None:
    dispatcher = filled("xyz", "a")
    dispatcher.update(fleet("a", "b"))
    assert taken(dispatcher, "b", number=1) == ["z0"]
    dispatcher.put("z4", key="z", cost=100)
    assert taken(dispatcher, "b", number=4) == ["z1", "z2", "z3", "z4"]


def test_what_waits_for_a_draining_replica_goes_elsewhere_ahead_of_later_requests() -> None:
    dispatcher = filled("x", "a")
    dispatcher.update(fleet("b"))
    dispatcher.put("y0", key="y", cost=100)
    assert dispatcher.take("a") is None
    assert taken(dispatcher, "b", number=5) == ["x0", "x1", "x2", "x3", "y0"]


def test_requests_wait_in_order_while_no_replica_is_usable() -> None:
    dispatcher = filled("x", "a")
    dispatcher.update(fleet())
    dispatcher.put("y0", key="y", cost=100)
    assert (len(dispatcher), dispatcher.take("a")) == (5, None)
    dispatcher.update(fleet("c"))
    assert taken(dispatcher, "c", number=5) == ["x0", "x1", "x2", "x3", "y0"]


def test_a_request_that_failed_goes_first_and_to_another_replica() -> None:
    dispatcher = filled("xy", "a", "b")
    dispatcher.put("again", key="x", cost=100, avoid={"a"})
    assert taken(dispatcher, "b", number=1) == ["again"]


def test_a_request_that_failed_is_not_taken_over_by_who_failed_it() -> None:
    dispatcher: Dispatcher[str] = Dispatcher()
    dispatcher.update(fleet("a", "b"))
    dispatcher.put("again", key="x", cost=100, avoid={"a"})
    assert dispatcher.take("a") is None
    assert taken(dispatcher, "b", number=1) == ["again"]


def test_a_request_goes_back_to_the_only_usable_replica() -> None:
    dispatcher: Dispatcher[str] = Dispatcher()
    dispatcher.update(fleet("a"))
    dispatcher.put("again", key="x", cost=100, avoid={"a"})
    assert taken(dispatcher, "a", number=1) == ["again"]


def test_what_is_dropped_is_given_back_and_weighs_nothing() -> None:
    dispatcher = filled("xy", "a", "b")
    assert len(dispatcher.drop()) == 8
    assert (len(dispatcher), dict(dispatcher.router.loads)) == (0, {})
