"""Do slots and arrays keep count, whatever comes in whatever order?"""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.backends.array import Array
from jobs.backends.base import ArrayWork
from jobs.backends.local import safe_name
from jobs.backends.slots import Lease, Machine, Slots, visible_devices

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


WISHES = st.tuples(st.integers(1, 6), st.integers(0, 2), st.booleans(), st.booleans())
"""(cpus, gpus, calls a fleet, squeeze)"""


@given(st.integers(1, 8), st.integers(0, 4), st.lists(WISHES, max_size=30), st.randoms())
def test_whatever_was_out_all_is_free_again_once_it_is_given_back(
    cpus: int, gpus: int, wishes: list[tuple[int, int, bool, bool]], chance: Random
) -> None:
    slots = Slots(Machine(cpus=cpus, gpus=gpus))
    taken = [
        slots.take(cpus=want_cpus, gpus=want_gpus, calls_fleet=calls, squeeze=squeeze)
        for want_cpus, want_gpus, calls, squeeze in wishes
    ]
    out = [lease for lease in taken if lease is not None]
    assert sum(len(lease.gpus) for lease in out) <= gpus
    chance.shuffle(out)
    for lease in out:
        slots.give_back(lease)
    everything = slots.take(cpus=cpus, gpus=gpus)
    assert everything == Lease(cpus=cpus, gpus=tuple(range(gpus)))
    callers = [slots.take(cpus=1, gpus=0, calls_fleet=True) for _ in range(cpus + 1)]
    assert [lease is not None for lease in callers] == [True] * cpus + [False]


def test_who_calls_a_fleet_leaves_the_cpus_to_it() -> None:
    slots = Slots(Machine(cpus=2))
    calling = slots.take(cpus=2, gpus=0, calls_fleet=True)
    assert calling == Lease(cpus=2, callers=1), "for its threads it still may have them"
    assert slots.take(cpus=2, gpus=0) is not None
    assert slots.take(cpus=1, gpus=0, calls_fleet=True) is not None
    assert slots.take(cpus=1, gpus=0, calls_fleet=True) is None


def test_what_was_squeezed_in_is_counted() -> None:
    slots = Slots(Machine(cpus=2))
    first = slots.take(cpus=2, gpus=0)
    assert first is not None
    squeezed = slots.take(cpus=1, gpus=0, squeeze=True)
    assert squeezed == Lease(cpus=1)
    slots.give_back(first)
    assert slots.take(cpus=2, gpus=0) is None
    assert slots.take(cpus=1, gpus=0) is not None


def test_gpus_are_never_squeezed() -> None:
    slots = Slots(Machine(cpus=1, gpus=1))
    assert slots.take(cpus=1, gpus=2, squeeze=True) is None


@pytest.mark.parametrize(
    ("environ", "devices"),
    [
        ({}, "0,2"),  # all of the machine's GPUs are ours
        ({"CUDA_VISIBLE_DEVICES": "4,5,6"}, "4,6"),  # some are
        ({"CUDA_VISIBLE_DEVICES": "GPU-a, GPU-b, GPU-c"}, "GPU-a,GPU-c"),  # by name
    ],
)
def test_leased_gpus_are_those_that_the_controller_was_given(
    environ: dict[str, str], devices: str
) -> None:
    assert visible_devices((0, 2), environ) == devices


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
