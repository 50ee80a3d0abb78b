"""Which fixtures do the tests of the controller share?"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.runtime import patience
from tests.contract.controlled import CHAIN, MakeWorld, World


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The entry sets a handler for SIGTERM, which must not outlive the test."""
    monkeypatch.setattr(patience, "PAUSE_S", 0.0)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def make_world(tmp_path: Path, no_pauses: None) -> Iterator[MakeWorld]:
    made: list[World] = []

    def make(body: str) -> World:
        made.append(World(tmp_path / str(len(made)), body))
        return made[-1]

    yield make
    for world in made:
        world.log.close()


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world(CHAIN)
