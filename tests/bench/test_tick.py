"""What does a tick of the controller cost with 100,000 shards?  Against one listing of them.

Run with:  pytest tests/bench/test_tick.py -m bench -s
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.backends.array import Array
from jobs.backends.base import ArrayStatus, ArrayWork
from jobs.plan.graph import expand
from jobs.runtime.controller import Controller, Site
from jobs.runtime.events import EventLog
from jobs.runtime.resolving import resolve
from jobs.spec.loading import parse_campaign
from jobs.store import layout
from jobs.store.objects import ObjectStore, open_store
from jobs.store.records import CommitRecord

NUM_SHARDS = 100_000

CAMPAIGN = f"""
apiVersion: rprm.dev/v1alpha1
kind: Campaign
metadata: {{name: wide}}
spec:
  tracking: {{uri: none}}
  stages:
    - {{name: numbers, run: "tests.toy.stages:Numbers", params: {{rows: {NUM_SHARDS}}},
       shards: {NUM_SHARDS}}}
"""


class Holding:
    """A backend that takes shards and never runs them."""

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}

    def submit(self, work: ArrayWork) -> None:
        self.arrays.setdefault(work.name, Array(work)).take(work, 0.0)

    def observe(self) -> dict[str, ArrayStatus]:
        return {name: array.status for name, array in self.arrays.items()}

    def wait(self, timeout_s: float) -> None: ...

    def cancel(self, name: str) -> None: ...

    def drain(self, *, hard: bool = False) -> None: ...

    def close(self) -> None: ...


def seconds(call: Callable[[], object]) -> float:
    """The best of three: the machine has other work."""
    took = []
    for _ in range(3):
        began_s = time.perf_counter()
        call()
        took.append(time.perf_counter() - began_s)
    return min(took)


def commit_without_flushing(folder: Path, address: str, shards: range) -> None:
    """What a listing finds of commits: a record and the folder of the data, for each shard."""
    for shard in shards:
        (folder / layout.data_key(address, shard, "a")).parent.mkdir(parents=True)
        record = CommitRecord(index=shard, attempt="a", rows=1, bytes=4, sha256="0")
        (folder / layout.done_key(address, shard)).write_bytes(record.to_json())


def listing(store: ObjectStore, address: str) -> Callable[[], object]:
    return lambda: store.names(layout.shards_prefix(address))


@pytest.mark.bench
@pytest.mark.timeout(900)
def test_a_tick_costs_little_more_than_one_listing(tmp_path: Path) -> None:
    stages = resolve(expand(parse_campaign(CAMPAIGN, source="wide.yaml")))
    store = open_store(str(tmp_path / "store"))
    address = stages[0].address
    log = EventLog(tmp_path / "events.jsonl")
    done = 0
    ratios: dict[int, float] = {}
    for num_done in (0, NUM_SHARDS // 2, NUM_SHARDS - 1):
        commit_without_flushing(tmp_path / "store", address, range(done, num_done))
        done = num_done
        controller = Controller(
            campaign="wide",
            stages=stages,
            store=store,
            site=Site(backend=Holding()),
            events=log,
        )
        first_s = seconds_once(controller.tick)
        tick_s = seconds(controller.tick)
        list_s = seconds(listing(store, address)) if done else 0.0
        ratios[num_done] = tick_s / list_s if list_s else 1.0
        print(
            f"{num_done} of {NUM_SHARDS} done: first tick {first_s:.2f} s, tick {tick_s:.3f} s, "
            f"listing {list_s:.3f} s, ratio {ratios[num_done]:.2f}"
        )
    log.close()
    shutil.rmtree(tmp_path / "store")  # else some later session of pytest pays for it
    assert max(ratios.values()) < 5.0


def seconds_once(call: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    call()
    return time.perf_counter() - began_s
