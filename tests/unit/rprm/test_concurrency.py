"""Does the limit of a replica start, grow and shrink as it should, and never collapse?"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm.engines.concurrency import RULES, Latch, ReplicaLimit, Step, first_limit, step
from rprm.engines.vllm_metrics import ReplicaMetrics

POLL_S = 5.0
CALM = ReplicaMetrics(running=100, waiting=0, kv_use=0.3, generation_tokens=1000)


class Replica:
    """Polls with given metrics; each poll may change some of them for itself alone."""

    def __init__(self, slots: int = 100, max_num_seqs: int = 1024) -> None:
        self.limit = ReplicaLimit(slots=slots, max_num_seqs=max_num_seqs)
        self.metrics = CALM
        self.now_s = 100.0
        self.finished = 0
        self.poll(in_flight=0)

    def poll(
        self,
        *,
        in_flight: int | None = None,
        finished: int = 0,
        stall_s: float = 0.0,
        **seen: float,
    ) -> Step:
        self.now_s += POLL_S + stall_s
        self.finished += finished
        preemptions = self.metrics.preemptions + int(seen.pop("preempted", 0))
        self.metrics = replace(
            self.metrics,
            generation_tokens=self.metrics.generation_tokens + 1,
            preemptions=preemptions,
        )
        now = replace(self.metrics, **seen)  # type: ignore[arg-type]  # counts are ints
        found = step(
            self.limit,
            now,
            in_flight=self.limit.slots if in_flight is None else in_flight,
            finished=self.finished,
            now_s=self.now_s,
        )
        self.limit = found.limit
        return found


@pytest.mark.parametrize(
    ("max_num_seqs", "slots"),
    [
        (128, 141),  # a CPU's default: ceil(1.1 x 128)
        (256, 282),
        (1024, 1127),
        (1, 2),
        (None, 141),  # nobody said
    ],
)
def test_the_limit_starts_a_little_above_what_the_replica_runs(
    max_num_seqs: int | None, slots: int
) -> None:
    assert first_limit(max_num_seqs).slots == slots


def test_a_whole_turnover_in_clear_time_grows_the_limit() -> None:
    replica = Replica(slots=100)
    replica.poll()
    assert replica.poll(finished=99).limit.slots == 100
    grown = replica.poll(finished=1)
    assert grown.limit.slots == 125
    assert grown.reason == "100 -> 125: the KV cache is 30% full, nothing waits"
    assert replica.poll(finished=124).limit.slots == 125
    assert replica.poll(finished=1).limit.slots == 156


@pytest.mark.parametrize(
    "spoiler",
    [
        {"kv_use": 0.6},
        {"waiting": 1},
        {"in_flight": 89},  # not the limit that holds us back
        {"stall_s": 20.0},  # what happened meanwhile was not seen
    ],
)
def test_anything_that_spoils_a_turnover_starts_it_again(spoiler: dict[str, float]) -> None:
    replica = Replica(slots=100)
    replica.poll()
    replica.poll(finished=60)
    replica.poll(finished=20, **spoiler)  # type: ignore[arg-type]
    assert replica.poll(finished=60).limit.slots == 100
    assert replica.poll(finished=100).limit.slots == 125


def test_a_poll_without_an_answer_changes_nothing() -> None:
    limit = first_limit(128)
    found = step(limit, None, in_flight=141, finished=10**6, now_s=5.0)
    assert found == Step(limit=limit, reason="")


@pytest.mark.parametrize(
    ("sign", "slots", "cancel"),
    [
        ({"kv_use": 0.8}, 800, 0),  # not above
        ({"kv_use": 0.85}, 658, 0),  # 800 x 0.7 / 0.85
        ({"kv_use": 0.95}, 589, 211),  # 800 x 0.7 / 0.95, and the rest is cancelled
        ({"kv_use": 1.0}, 560, 240),
        ({"preempted": 1}, 640, 0),  # x 0.8
        ({"preempted": 9, "kv_use": 0.95}, 589, 211),  # the KV cache says more
        ({"waiting": 500}, 800, 0),  # may be a moment's
    ],
)
def test_a_sign_of_pressure_cuts_the_limit(sign: dict[str, float], slots: int, cancel: int) -> None:
    replica = Replica(slots=800)
    found = replica.poll(**sign)  # type: ignore[arg-type]
    assert (found.limit.slots, found.cancel) == (slots, cancel)
    assert bool(found.reason) == (slots != 800)


def test_a_queue_that_persists_cuts_the_limit() -> None:
    replica = Replica(slots=1200, max_num_seqs=1024)
    slots = [replica.poll(running=1024, waiting=176).limit.slots for _ in range(3)]
    assert slots == [1200, 1200, 1080]


def test_the_queue_that_the_start_means_to_have_is_none() -> None:
    replica = Replica(slots=1127, max_num_seqs=1024)
    for _ in range(20):
        assert replica.poll(running=1024, waiting=103).limit.slots == 1127


def test_a_queue_that_is_being_taken_in_is_no_queue() -> None:
    replica = Replica(slots=1127, max_num_seqs=1024)
    for running in range(150, 1000, 50):
        found = replica.poll(running=running, waiting=1127 - running)
        assert found.limit.slots == 1127


def test_until_the_cut_has_drained_the_same_signs_say_nothing_new() -> None:
    replica = Replica(slots=1024)
    first = replica.poll(preempted=5).limit.slots
    for in_flight in (1000, 950, 900, 850, first + 1):
        found = replica.poll(in_flight=in_flight, preempted=5, waiting=300, kv_use=0.85)
        assert found.limit.slots == first
    assert replica.limit.latch is Latch.HARD


def test_a_worse_sign_cuts_while_a_milder_cut_drains() -> None:
    replica = Replica(slots=1000)
    assert replica.poll(kv_use=0.85).limit.slots == 823
    assert replica.poll(in_flight=990, kv_use=0.85).limit.slots == 823
    assert replica.poll(in_flight=980, kv_use=0.95).limit.slots == 606
    assert replica.poll(in_flight=970, kv_use=0.99).limit.slots == 606


def test_preemptions_that_outlast_a_drain_cut_harder_until_a_calm_look() -> None:
    replica = Replica(slots=1000)
    assert replica.poll(preempted=1).limit.slots == 800
    assert replica.poll(preempted=1).limit.slots == 400  # it had drained, and still
    replica.poll()
    assert replica.poll(preempted=1).limit.slots == 320


def test_a_replica_that_started_again_starts_again() -> None:
    replica = Replica(slots=300)
    replica.poll(preempted=4)
    replica.metrics = CALM
    found = replica.poll(generation_tokens=5)
    assert (found.limit.slots, found.reason) == (1127, "the replica started again")
    assert found.limit.latch is Latch.NONE


def test_pressure_that_others_make_does_not_cut_below_the_floor() -> None:
    replica = Replica(slots=100, max_num_seqs=1024)
    for _ in range(50):
        before = replica.limit.slots
        found = replica.poll(in_flight=before, kv_use=0.99, preempted=3)
        assert bool(found.reason) == (found.limit.slots < before)
    assert replica.limit.slots == 32
    replica = Replica(slots=100, max_num_seqs=1024)
    assert replica.poll(in_flight=30, kv_use=0.99).limit.slots == 100


looks = st.fixed_dictionaries(
    {"in_flight": st.integers(0, 3000), "finished": st.integers(0, 3000)},
    optional={
        "kv_use": st.floats(0, 1),
        "waiting": st.integers(0, 2000),
        "running": st.integers(0, 2000),
        "preempted": st.integers(0, 5),
        "stall_s": st.floats(0, 60),
    },
)


@given(st.integers(1, 2048), st.lists(looks, max_size=40))
def test_whatever_is_seen_the_limit_keeps_its_promises(
    max_num_seqs: int, looks: list[dict[str, float]]
) -> None:
    replica = Replica(slots=first_limit(max_num_seqs).slots, max_num_seqs=max_num_seqs)
    for look in looks:
        before = replica.limit
        found = replica.poll(**look)  # type: ignore[arg-type]
        after = found.limit
        assert min(before.slots, max_num_seqs / 32) <= after.slots
        assert 1 <= after.slots <= max(RULES.ceiling, before.slots)
        assert (after.slots != before.slots) == bool(found.reason)
        assert 0 <= found.cancel <= max(0, look["in_flight"] - after.slots)
        if after.slots > before.slots:
            assert look.get("kv_use", CALM.kv_use) < RULES.grow_below_kv
            assert not look.get("waiting")
            assert not look.get("preempted")
            assert look["in_flight"] >= RULES.binding * before.slots
            assert after.slots <= max(before.slots + 1, before.slots * RULES.growth)
        if after.slots < before.slots and before.latch is Latch.HARD:
            assert look["in_flight"] <= before.slots


def settled(tokens_per_sequence: int, *, kv_tokens: int, max_num_seqs: int) -> list[int]:
    """The limits over 400 polls of a replica whose sequences end after about ten polls each."""
    replica = Replica(slots=first_limit(max_num_seqs).slots, max_num_seqs=max_num_seqs)
    slots, in_flight = [], 0
    for _ in range(400):
        in_flight = max(in_flight, replica.limit.slots)
        fits = kv_tokens // tokens_per_sequence
        running = min(in_flight, max_num_seqs, fits)
        replica.poll(
            in_flight=in_flight,
            finished=max(1, running // 10),
            running=running,
            waiting=in_flight - running,
            kv_use=min(1.0, running * tokens_per_sequence / kv_tokens),
            preempted=1 if in_flight > fits else 0,
        )
        in_flight -= max(1, running // 10)
        slots.append(replica.limit.slots)
    return slots


def test_where_the_kv_cache_is_ample_the_limit_stays_above_what_the_replica_runs() -> None:
    slots = settled(1000, kv_tokens=10**7, max_num_seqs=256)
    assert set(slots) == {282}


def test_where_the_kv_cache_is_short_the_limit_settles_where_it_suffices() -> None:
    slots = settled(4000, kv_tokens=400_000, max_num_seqs=256)  # 100 sequences fit
    assert all(50 <= one <= 90 for one in slots[50:])


def test_where_nobody_said_what_a_large_replica_runs_the_limit_finds_it() -> None:
    replica = Replica(slots=first_limit(None).slots, max_num_seqs=128)
    for _ in range(200):
        in_flight = replica.limit.slots
        running = min(in_flight, 1024)
        replica.poll(
            running=running, waiting=in_flight - running, finished=running // 3, kv_use=0.4
        )
    assert 1024 <= replica.limit.slots <= 1300


def test_clients_that_share_a_replica_end_up_with_what_it_runs_between_them() -> None:
    clients = [Replica(slots=first_limit(256).slots, max_num_seqs=256) for _ in range(4)]
    shared = []
    for _ in range(400):
        total = sum(client.limit.slots for client in clients)
        running = min(total, 256)
        for client in clients:
            ended = running * client.limit.slots // total // 5
            client.poll(running=running, waiting=total - running, finished=ended)
        shared.append(total)
    assert shared[0] == 4 * 282
    assert all(230 <= total <= 320 for total in shared[100:])
    assert all(client.limit.slots >= 40 for client in clients)
