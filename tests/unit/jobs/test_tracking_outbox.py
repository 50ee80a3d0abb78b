"""Does every sink get every record once, whatever is retried?"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobs.store.base import Entry, ObjectStore
from jobs.store.layout import track_key
from jobs.store.objects import open_store
from jobs.tracking import outbox
from jobs.tracking.records import File, Metrics, key
from jobs.tracking.tracker import NullTracker, SyncReport

A = "sft-0123456789abcdef"


def fresh() -> ObjectStore:
    return open_store("memory://")


def waiting(store: ObjectStore, sink: str, address: str = A) -> list[str]:
    return [item.key for item in outbox.pending(store, address, sink).waiting]


def test_a_retried_attempt_cannot_log_twice() -> None:
    store = fresh()
    first = Metrics(values={"loss": 1.0}, step=3, time_ms=10)
    assert outbox.append(store, A, first)
    assert not outbox.append(store, A, Metrics(values={"loss": 1.1}, step=3, time_ms=99))
    (item,) = outbox.pending(store, A, "sink").waiting
    assert item.record == first


def test_a_sent_record_no_longer_waits() -> None:
    store = fresh()
    record = File(name="report.html")
    outbox.append(store, A, record)
    outbox.mark_sent(store, A, key(record), "one")
    outbox.mark_sent(store, A, key(record), "one")
    assert waiting(store, "one") == []
    assert outbox.pending(store, A, "one").sent == {key(record)}


def test_an_artifact_is_delivered_to_every_sink_that_uses_it() -> None:
    store = fresh()
    record = File(name="report.html")
    outbox.append(store, A, record)
    outbox.mark_sent(store, A, key(record), "one")
    assert waiting(store, "two") == [key(record)]


def test_an_artifact_without_records_has_nothing_pending() -> None:
    assert waiting(fresh(), "sink") == []


def test_a_torn_record_does_not_hold_up_the_others() -> None:
    store = fresh()
    outbox.append(store, A, File(name="report.html"))
    store.create(track_key(A, "metrics-torn"), b'{"kind": "met')
    seen = outbox.pending(store, A, "sink")
    assert seen.unreadable == ("metrics-torn",)
    assert [item.record for item in seen.waiting] == [
        File(name="report.html", time_ms=seen.waiting[0].record.time_ms)
    ]


class CountingStore:
    """A store that remembers how often it was listed."""

    def __init__(self, inner: ObjectStore) -> None:
        self._inner = inner
        self.url = inner.url
        self.get = inner.get
        self.get_many = inner.get_many
        self.create = inner.create
        self.listings = 0

    def list(self, prefix: str) -> list[Entry]:
        self.listings += 1
        return self._inner.list(prefix)


def test_looking_costs_one_listing_however_many_records_there_are() -> None:
    store = CountingStore(fresh())
    for step in range(50):
        outbox.append(store, A, Metrics(values={"loss": 1.0}, step=step))
    outbox.pending(store, A, "sink")
    assert store.listings == 1


@given(st.lists(st.integers(0, 30)), st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)))
def test_what_waits_is_what_was_appended_and_not_sent(
    appended: list[int], sent_one: set[int], sent_two: set[int]
) -> None:
    store = fresh()
    records = {step: Metrics(values={"loss": 1.0}, step=step, time_ms=step) for step in range(31)}
    for step in appended:
        outbox.append(store, A, records[step])
    for step in sent_one:
        outbox.mark_sent(store, A, key(records[step]), "one")
    for step in sent_two:
        outbox.mark_sent(store, A, key(records[step]), "two")
    assert waiting(store, "one") == [key(records[s]) for s in sorted(set(appended) - sent_one)]
    assert waiting(store, "two") == [key(records[s]) for s in sorted(set(appended) - sent_two)]


def test_tracking_that_is_off_delivers_nothing_and_minds_nothing() -> None:
    assert NullTracker().sync(fresh(), []) == SyncReport()
    assert NullTracker().finish("FINISHED") == SyncReport()
