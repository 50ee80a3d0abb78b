"""Does routing keep keys where they are, bound the load and give back exactly what it booked?"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm.engines.routing import BOUND, STAY, Candidate, Lease, Router, preference

KEYS = [f"problem-{i}" for i in range(400)]
names = st.text(min_size=1, max_size=8)
weights = st.dictionaries(names, st.sampled_from([64.0, 128.0, 1024.0]), min_size=1, max_size=8)
costs = st.integers(0, 10_000)
requests = st.lists(st.tuples(st.sampled_from(KEYS), costs), max_size=60)


def candidates(weights: dict[str, float]) -> list[Candidate]:
    return [Candidate(name=name, capacity=capacity) for name, capacity in weights.items()]


def fills(router: Router, weights: dict[str, float]) -> dict[str, float]:
    return {name: router.loads.get(name, 0) / weight for name, weight in weights.items()}


@given(weights, st.sampled_from(KEYS), names, st.sampled_from([64.0, 128.0]))
def test_the_order_of_any_two_replicas_does_not_depend_on_a_third(
    weights: dict[str, float], key: str, third: str, weight: float
) -> None:
    without = [name for name in preference(key, weights) if name != third]
    order = preference(key, {**weights, third: weights.get(third, weight)})
    assert [name for name in order if name != third] == without


@given(weights, names)
def test_a_replica_that_joins_takes_keys_but_moves_none_between_others(
    weights: dict[str, float], joins: str
) -> None:
    after = {**weights, joins: weights.get(joins, 128.0)}
    for key in KEYS[:50]:
        assert preference(key, after)[0] in (joins, preference(key, weights)[0])


@given(weights, st.data())
def test_a_replica_that_leaves_moves_its_own_keys_only(
    weights: dict[str, float], data: st.DataObject
) -> None:
    leaves = data.draw(st.sampled_from(sorted(weights)))
    rest = {name: weight for name, weight in weights.items() if name != leaves}
    for key in KEYS[:50] if rest else []:
        first = preference(key, weights)[0]
        assert first == leaves or preference(key, rest)[0] == first


def test_every_replica_is_first_for_its_share_of_the_keys() -> None:
    weights = {"small": 1.0, "large": 3.0, "other": 4.0}
    firsts = Counter(preference(f"key {i}", weights)[0] for i in range(8000))
    assert firsts == pytest.approx({"small": 1000, "large": 3000, "other": 4000}, rel=0.1)


def test_what_a_full_replica_turns_away_is_spread_over_all_others() -> None:
    weights = dict.fromkeys("abcdef", 1.0)
    orders = [preference(f"key {i}", weights) for i in range(6000)]
    seconds = Counter(order[1] for order in orders if order[0] == "a")
    assert seconds == pytest.approx(dict.fromkeys("bcdef", 200), rel=0.3)


@given(weights, requests)
def test_no_replica_is_given_more_while_it_is_above_the_bound(
    weights: dict[str, float], requests: list[tuple[str, int]]
) -> None:
    router, replicas = Router(), candidates(weights)
    for key, cost in requests:
        before = fills(router, weights)
        lease = router.lease(key, cost, replicas)
        assert lease is not None
        share = sum(router.loads.values()) / sum(weights.values())
        assert before[lease.name] <= STAY * share * (1 + 1e-9)


@given(weights, requests)
def test_keys_that_are_new_are_bounded_more_tightly_than_those_that_stay(
    weights: dict[str, float], requests: list[tuple[str, int]]
) -> None:
    router, replicas = Router(), candidates(weights)
    for number, (key, cost) in enumerate(requests):
        before = fills(router, weights)
        lease = router.lease(f"{number} {key}", cost, replicas)
        assert lease is not None
        share = sum(router.loads.values()) / sum(weights.values())
        assert before[lease.name] <= BOUND * share * (1 + 1e-9)


@given(weights, requests, st.randoms(use_true_random=False))
def test_releasing_gives_back_exactly_what_was_booked(
    weights: dict[str, float], requests: list[tuple[str, int]], random: object
) -> None:
    router, replicas = Router(), candidates(weights)
    held: list[Lease] = []
    for key, cost in requests:
        lease = router.lease(key, cost, replicas)
        assert lease is not None
        held.append(lease)
        if len(held) % 3 == 0:
            held.pop(len(held) // 2).release()
        booked = Counter[str]()
        for one in held:
            booked[one.name] += one.cost
        assert Counter(router.loads) == booked
    for lease in held:
        lease.release()
        lease.release()
    assert not router.loads


@given(weights, st.data())
def test_a_replica_that_is_not_usable_gets_nothing(
    weights: dict[str, float], data: st.DataObject
) -> None:
    down = data.draw(st.sets(st.sampled_from(sorted(weights))))
    router = Router()
    for key in KEYS[:20]:
        router.lease(key, 1, candidates(weights))
    now = [
        Candidate(name=name, capacity=weight, usable=name not in down)
        for name, weight in weights.items()
    ]
    for key in KEYS[:40]:
        lease = router.lease(key, 100, now)
        assert (lease is None) == (down == set(weights))
        assert lease is None or lease.name not in down


def test_choosing_alone_books_nothing() -> None:
    router = Router()
    assert router.pick("key", 5, candidates({"a": 1.0})) == "a"
    assert not router.loads


def test_a_lone_key_stays_where_its_prefix_is_when_another_replica_joins() -> None:
    two = {"a": 1.0, "b": 1.0}
    for key in KEYS[:50]:
        router = Router()
        first = router.lease(key, 10, candidates(two))
        assert first is not None
        first.release()
        assert router.pick(key, 10, candidates({**two, "c": 1.0})) == first.name


def test_a_key_leaves_a_replica_that_is_too_full_and_stays_where_it_went() -> None:
    router, replicas = Router(), candidates({"a": 1.0, "b": 1.0})
    home = router.lease("key", 100, replicas)
    assert home is not None
    other = router.lease("key", 10, replicas)
    assert other is not None
    assert other.name != home.name
    home.release()
    router.lease_on(home.name, "another key", 10)
    assert router.pick("key", 10, replicas) == other.name


def test_a_negative_cost_is_refused() -> None:
    with pytest.raises(ValueError, match="-1"):
        Router().lease("key", -1, candidates({"a": 1.0}))
