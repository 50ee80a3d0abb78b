"""Is the ledger of promotions complete, in order and race-free?"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jobs.store.base import ObjectStore
from jobs.store.objects import open_store
from jobs.tracking import registry


@pytest.fixture(params=["memory", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return open_store("memory://" if request.param == "memory" else str(tmp_path))


def decision(name: str, *, promoted: bool = True) -> dict[str, object]:
    return {"promoted": promoted, "checkpoint": name, "reason": f"because of {name}"}


def test_decisions_are_numbered_from_one_in_the_order_they_came(store: ObjectStore) -> None:
    assert [registry.append(store, "r-prm", decision(n)) for n in "abc"] == [1, 2, 3]
    history = registry.history(store, "r-prm")
    assert [entry.sequence for entry in history] == [1, 2, 3]
    assert [entry.decision["checkpoint"] for entry in history] == ["a", "b", "c"]


def test_a_decision_that_is_appended_again_keeps_its_number(store: ObjectStore) -> None:
    registry.append(store, "r-prm", decision("a"))
    registry.append(store, "r-prm", decision("b"))
    assert registry.append(store, "r-prm", decision("a")) == 1
    assert len(registry.history(store, "r-prm")) == 2


def test_there_is_no_champion_before_a_promotion(store: ObjectStore) -> None:
    assert registry.champion(store, "r-prm") is None
    registry.append(store, "r-prm", decision("a", promoted=False))
    assert registry.champion(store, "r-prm") is None


def test_the_champion_is_the_newest_that_was_promoted(store: ObjectStore) -> None:
    registry.append(store, "r-prm", decision("a"))
    registry.append(store, "r-prm", decision("b"))
    registry.append(store, "r-prm", decision("c", promoted=False))
    assert registry.champion(store, "r-prm") == decision("b")


def test_models_have_ledgers_of_their_own(store: ObjectStore) -> None:
    registry.append(store, "r-prm", decision("a"))
    assert registry.append(store, "r-prm-large", decision("b")) == 1
    assert registry.champion(store, "r-prm") == decision("a")


def test_racing_appends_each_get_a_number_of_their_own(store: ObjectStore) -> None:
    names = [f"candidate-{i}" for i in range(24)]
    with ThreadPoolExecutor(max_workers=8) as pool:
        taken = list(pool.map(lambda n: registry.append(store, "r-prm", decision(n)), names))
    assert sorted(taken) == list(range(1, 25))
    by_sequence = {e.sequence: e.decision["checkpoint"] for e in registry.history(store, "r-prm")}
    assert [by_sequence[number] for number in taken] == names


def test_racing_appends_of_one_decision_become_one_entry(store: ObjectStore) -> None:
    with ThreadPoolExecutor(max_workers=8) as pool:
        taken = list(pool.map(lambda _: registry.append(store, "m", decision("a")), range(16)))
    assert taken == [1] * 16
    assert len(registry.history(store, "m")) == 1
