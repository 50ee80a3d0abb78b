"""Do slots and arrays keep count, whatever comes in whatever order?"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobs.backends.array import Array
from jobs.backends.base import ArrayWork
from jobs.backends.local import safe_name
from jobs.backends.slots import Lease, Machine, Slots

NEEDS = st.tuples(st.integers(1, 6), st.integers(0, 3), st.integers(1, 3), st.booleans())
"""(cpus, gpus, processes, give one back first)"""


@given(st.integers(1, 8), st.integers(0, 4), st.lists(NEEDS, max_size=30))
def test_no_more_is_out_than_the_machine_has(
    cpus: int, gpus: int, wishes: list[tuple[int, int, int, bool]]
) -> None:
    slots = Slots(Machine(cpus=cpus, gpus=gpus))
    out: list[Lease] = []
    for want_cpus, want_gpus, processes, give_back in wishes:
        if give_back and out:
            slots.give_back(out.pop(0))
        lease = slots.take(cpus=want_cpus, gpus=want_gpus, processes=processes)
        if lease is not None:
            out.append(lease)
        devices = [device for one in out for device in one.gpus]
        assert sum(one.cpus for one in out) <= cpus
        assert len(devices) == len(set(devices))
        assert set(devices) <= set(range(gpus))


@given(st.integers(1, 8), st.integers(1, 99))
def test_more_cpus_than_there_are_means_all_of_them(cpus: int, wanted: int) -> None:
    lease = Slots(Machine(cpus=cpus)).take(cpus=wanted, gpus=0)
    assert lease == Lease(cpus=min(cpus, wanted))


def work(*shards: int, delay_s: float = 0.0) -> ArrayWork:
    delays_s = dict.fromkeys(shards, delay_s) if delay_s else {}
    return ArrayWork(name="a", shards=shards, delays_s=delays_s, store_url="memory://", node="a")


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.lists(st.integers(0, 9), max_size=4)),
        st.tuples(st.just("delay"), st.lists(st.integers(0, 9), max_size=4)),
        st.tuples(st.just("start"), st.just([])),
        st.tuples(st.just("end"), st.lists(st.sampled_from([0, 1, 75, -9]), min_size=1)),
        st.tuples(st.just("stop"), st.just([])),
        st.tuples(st.just("later"), st.just([])),
    ),
    max_size=40,
)


@given(STEPS)
def test_an_array_never_runs_a_shard_twice_at_once_and_loses_none(
    steps: list[tuple[str, list[int]]],
) -> None:
    array, now_s, ended = Array(work()), 0.0, 0
    for step, (word, numbers) in enumerate(steps):
        if word in {"take", "delay"}:
            array.take(work(*numbers, delay_s=5.0 * (word == "delay")), now_s)
            assert set(numbers) <= array.status.held
        elif word == "start" and array.ready(now_s):
            before = set(array.status.running)
            assert array.start(f"attempt{step}") not in before
        elif word == "end" and array.status.running:
            shard = next(iter(array.status.running))
            array.end(shard, numbers[0])
            ended += numbers[0] != 0
            assert shard not in array.status.held
        elif word == "stop":
            array.stop()
            assert array.status.held == set(array.status.running)
        elif word == "later":
            now_s += 10.0
        assert set(array.status.running) <= array.status.held
        assert len(array.status.failed) == ended
    _run_out(array, now_s + 10.0)
    assert not array.status.held


def _run_out(array: Array, now_s: float) -> None:
    while array.ready(now_s):
        array.start("last")
    for shard in list(array.status.running):
        array.end(shard, 0)


def test_a_pause_is_over_at_its_time() -> None:
    array = Array(work())
    array.take(work(3, delay_s=2.0), 10.0)
    assert array.next_s == 12.0
    assert not array.ready(11.9)
    assert array.ready(12.0)
    assert array.next_s == float("inf")


def test_a_nodes_name_becomes_a_harmless_folder() -> None:
    assert safe_name("dpo@2[seed=1,lr=1e-05]") == "dpo@2_seed_1_lr_1e-05"
