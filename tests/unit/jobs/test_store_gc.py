"""Is only garbage called garbage?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.store import layout
from jobs.store.artifacts import Artifact
from jobs.store.base import Entry
from jobs.store.commit import commit_shard
from jobs.store.gc import collect, contested, garbage
from jobs.store.objects import ObjectStore, open_store
from jobs.store.records import dump

NOW = datetime(2030, 1, 10, tzinfo=UTC)
OLD, YOUNG = NOW - timedelta(days=5), NOW - timedelta(hours=1)
BEFORE = NOW - timedelta(days=1)


def entries(*keys: str, modified: datetime = OLD) -> list[Entry]:
    return [Entry(key=key, size=1, modified=modified) for key in keys]


def swept(
    found: list[Entry], *roots: str, winners: dict[tuple[str, int], str] | None = None
) -> list[str]:
    plan = garbage(found, set(roots), before=BEFORE, winners=winners or {})
    return [item.key for item in plan.items]


def test_an_unwanted_artifact_goes_seal_first_then_records_then_data() -> None:
    found = entries(
        layout.data_key("a-1", 0, "x"),
        layout.done_key("a-1", 0),
        layout.seal_key("a-1"),
        layout.spec_key("a-1"),
    )
    assert swept(found) == [
        layout.seal_key("a-1"),
        layout.done_key("a-1", 0),
        layout.data_key("a-1", 0, "x"),
        layout.spec_key("a-1"),
    ]
    assert swept(found, "a-1") == []


def test_an_unwanted_artifact_with_young_work_is_left_alone() -> None:
    old, young = entries(layout.spec_key("a-1")), entries("artifacts/a-1/x", modified=YOUNG)
    assert swept(old + young) == []


def test_uncommitted_attempts_of_a_wanted_artifact_go_once_they_are_old() -> None:
    key = layout.data_key("a-1", 0, "killed")
    assert swept(entries(key), "a-1") == [key]
    assert swept(entries(key, modified=YOUNG), "a-1") == []


def test_of_a_committed_shard_only_the_losers_go() -> None:
    win, lose = layout.data_key("a-1", 0, "win"), layout.data_key("a-1", 0, "lose")
    late = layout.errors_key("a-1", 0, "lose")
    found = entries(win, lose, late, layout.done_key("a-1", 0))
    assert contested(found) == [("a-1", 0)]
    assert swept(found, "a-1", winners={("a-1", 0): "win"}) == [lose, late]
    assert contested(entries(win, layout.done_key("a-1", 0))) == []


def test_a_torn_checkpoint_goes_and_a_committed_one_stays() -> None:
    prefix = layout.checkpoints_prefix("a-1")
    torn = [f"{prefix}/0000000020/weights/w", f"{prefix}/0000000020/resume/r"]
    whole = [f"{prefix}/0000000010/weights/w", f"{prefix}/0000000010.done"]
    assert swept(entries(*torn, *whole), "a-1") == torn
    assert swept(entries(torn[0]) + entries(torn[1], modified=YOUNG), "a-1") == []


def test_leftovers_of_killed_writers_go_and_unknown_files_stay() -> None:
    found = entries(".staging/1-dead", "registry/m/00000001.json", "campaigns/c/cancel", "notes")
    assert swept(found) == [".staging/1-dead"]
    assert swept(entries(".staging/2-live", modified=YOUNG)) == []


addresses = st.sampled_from(["a-1", "b-2", "c-3"])
keys = st.one_of(
    st.builds(layout.data_key, addresses, st.integers(0, 3), st.sampled_from(["x", "y"])),
    st.builds(layout.done_key, addresses, st.integers(0, 3)),
    st.builds(layout.seal_key, addresses),
    st.builds(layout.file_key, addresses, st.sampled_from(["m/w", "r.html"])),
    st.just("registry/m/00000001.json"),
)


@given(st.sets(keys), st.sets(addresses), st.data())
def test_nothing_that_counts_is_ever_garbage(
    names: set[str], roots: set[str], data: st.DataObject
) -> None:
    found = entries(*sorted(names))
    winners = {shard: data.draw(st.sampled_from(["x", "y"])) for shard in contested(found)}
    gone = set(swept(found, *roots, winners=winners))
    for key in names - gone:
        split = layout.split_artifact_key(key)
        assert split is None or split[0] in roots
    for key in gone:
        split = layout.split_artifact_key(key)
        assert split is not None
        if split[0] not in roots:
            continue
        shard = layout.parse_shard_key(split[1])
        assert shard is not None
        committed = layout.done_key(split[0], shard.shard) in names
        assert not committed or winners[split[0], shard.shard] != shard.attempt


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(str(tmp_path / "store"))


def test_what_a_promotion_names_is_kept(store: ObjectStore) -> None:
    for address in ("sft-1", "sft-2"):
        store.put(layout.seal_key(address), b"{}")
    uri = f"{store.url}/artifacts/sft-1/checkpoints/0000000010"
    store.put(layout.registry_key("r-prm", 1), dump({"promoted": True, "checkpoint": uri}))
    later = datetime.now(UTC) + timedelta(days=2)
    plan = collect(store, set(), now=later)
    assert [item.key for item in plan.items] == [layout.seal_key("sft-2")]
    assert plan.num_bytes == 2


def test_collecting_asks_the_record_which_attempt_counts(store: ObjectStore) -> None:
    artifact = Artifact(store, "a-1")
    artifact.prepare({"run": "m:C", "version": "1"})
    commit_shard(artifact, 0, "win", pa.table({"x": [1]}), None)
    store.put(layout.data_key("a-1", 0, "lose"), b"PAR1")
    store.put(".staging/1-dead", b"")
    later = datetime.now(UTC) + timedelta(days=2)
    plan = collect(store, {"a-1"}, now=later, dry_run=False)
    assert {item.key for item in plan.items} == {
        layout.data_key("a-1", 0, "lose"),
        ".staging/1-dead",
    }
    assert artifact.seal(1).num_rows == 1
    assert collect(store, {"a-1"}, now=later).items == ()
