"""Are commits, seals and reads right, also when something in the store is torn or was changed?"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.spec.errors import StoreError
from jobs.store import layout
from jobs.store.artifacts import Artifact
from jobs.store.commit import Output, commit_output, commit_shard, committed
from jobs.store.merging import merge_facts
from jobs.store.objects import NotFound, open_store
from jobs.store.records import CommitRecord, Damaged, Failure, Seal, dump
from jobs.store.tables import concatenate, from_parquet, to_parquet

ADDRESS = "seed-0123456789abcdef"
SPEC = {"run": "m:Seed", "version": "1", "params": {"k": 2}, "node": "seed", "stage": "seed"}


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    made = Artifact(open_store(str(tmp_path / "store")), ADDRESS)
    made.prepare(SPEC)
    return made


def file_of(artifact: Artifact, key: str) -> Path:
    path = artifact.store.local_path(key)
    assert path is not None
    return path


def commit_rows(artifact: Artifact, *rows: list[int], attempt: str = "a1") -> None:
    for shard, values in enumerate(rows):
        commit_shard(artifact, shard, attempt, pa.table({"x": pa.array(values, pa.int64())}), None)


def test_the_same_address_may_be_prepared_by_another_node_but_not_by_other_code(
    artifact: Artifact,
) -> None:
    artifact.prepare(SPEC | {"node": "seed[rows=2]", "coordinates": {"rows": 2}})
    assert artifact.spec()["node"] == "seed"
    with pytest.raises(StoreError, match=r"another version, params.*Fix: raise the `version`"):
        artifact.prepare(SPEC | {"version": "2", "params": {"k": 3}})


def test_a_late_twin_gets_the_first_commit_and_leaves_no_data(artifact: Artifact) -> None:
    first = commit_shard(artifact, 0, "a1", pa.table({"x": [1]}), None)
    assert commit_shard(artifact, 0, "a2", pa.table({"x": [2]}), None) == first
    assert committed(artifact, 0) == first
    assert committed(artifact, 1) is None
    assert not artifact.store.exists(layout.data_key(ADDRESS, 0, "a2"))


def test_an_observation_counts_what_is_done_and_what_failed(artifact: Artifact) -> None:
    commit_rows(artifact, [1], [2])
    assert artifact.fail(2, "lost", "a1", "no heartbeat")
    assert not artifact.fail(2, "lost", "a1", "said twice")
    artifact.fail(2, "failed", "a2")
    artifact.store.put(layout.data_key(ADDRESS, 3, "a1"), b"half a file of a killed attempt")
    state = artifact.observe()
    assert state.done == {0, 1}
    assert set(state.failures[2]) == {
        Failure(code="lost", attempt="a1"),
        Failure(code="failed", attempt="a2"),
    }
    assert not state.sealed


def test_an_artifact_is_sealed_only_when_every_shard_is_there(artifact: Artifact) -> None:
    commit_rows(artifact, [1], [2])
    with pytest.raises(StoreError, match=r"2 of 3 shards are committed \(missing \[2\]"):
        artifact.seal(3)
    with pytest.raises(StoreError, match=r"surplus \[1\]"):
        artifact.seal(1)
    with pytest.raises(NotFound, match="not sealed"):
        artifact.table()
    artifact.seal(2)
    assert artifact.observe().sealed
    assert artifact.seal(2) == artifact.read_seal()


def test_the_data_digest_forgets_who_made_the_rows(artifact: Artifact, tmp_path: Path) -> None:
    twin = Artifact(open_store(str(tmp_path / "other")), ADDRESS)
    twin.prepare(SPEC)
    commit_rows(artifact, [1, 2], [3], attempt="a1")
    commit_rows(twin, [1, 2], [3], attempt="b7")
    assert artifact.seal(2).data_digest == twin.seal(2).data_digest
    twin.forget([1])
    commit_shard(twin, 1, "b8", pa.table({"x": [4]}), None)
    assert artifact.seal(2).data_digest != twin.seal(2).data_digest


def test_rows_come_in_shard_order_with_the_asked_columns(artifact: Artifact) -> None:
    for shard in (2, 0, 1):
        table = pa.table({"x": [shard], "y": [str(shard)]})
        commit_shard(artifact, shard, "a1", table, None)
    artifact.seal(3)
    assert artifact.table(["y"]).to_pydict() == {"y": ["0", "1", "2"]}
    assert artifact.table().column_names == ["x", "y"]


@pytest.mark.parametrize(
    ("start", "stop"),
    [(0, 6), (0, 0), (1, 3), (2, 5), (3, 4), (5, 6), (4, 99), (6, 9)],
)
def test_a_range_of_rows_is_read_across_shards(artifact: Artifact, start: int, stop: int) -> None:
    commit_rows(artifact, [0, 1], [], [2, 3, 4], [5])
    artifact.seal(4)
    rows = artifact.rows(start, stop)
    assert rows.column("x").to_pylist() == list(range(start, min(stop, 6)))


def test_a_range_of_rows_reads_only_the_files_that_hold_it(artifact: Artifact) -> None:
    commit_rows(artifact, [0], [1], [2])
    artifact.seal(3)
    file_of(artifact, layout.data_key(ADDRESS, 0, "a1")).unlink()
    assert artifact.rows(1, 3).column("x").to_pylist() == [1, 2]


def test_empty_shards_are_fine(artifact: Artifact) -> None:
    commit_shard(artifact, 0, "a1", pa.table({}), None)  # a stage that yielded nothing
    commit_shard(artifact, 1, "a1", None, None)  # a stage without data
    commit_shard(artifact, 2, "a1", pa.table({"x": pa.array([], pa.int64())}), None)
    commit_shard(artifact, 3, "a1", pa.table({"x": [7]}), None)
    seal = artifact.seal(4)
    assert seal.num_rows == 1
    assert artifact.table().to_pydict() == {"x": [7]}
    assert artifact.table(["x"]).schema.field("x").type == pa.int64()
    assert artifact.errors().column_names == ["row_id", "cause", "detail"]


def test_an_artifact_without_rows_still_has_the_asked_columns(artifact: Artifact) -> None:
    commit_shard(artifact, 0, "a1", None, None)
    artifact.seal(1)
    assert artifact.table(["x"]).column_names == ["x"]
    assert artifact.table().num_rows == 0


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "has .* bytes"),
    ],
)
def test_a_commit_whose_data_is_torn_is_found_when_sealing(
    artifact: Artifact, damage: object, told: str
) -> None:
    commit_rows(artifact, [1], [2])
    assert callable(damage)
    damage(file_of(artifact, layout.data_key(ADDRESS, 1, "a1")))
    with pytest.raises(Damaged, match=rf"shards/00001/a1.parquet {told}.*Fix: delete") as caught:
        artifact.seal(2)
    assert caught.value.shards == (1,)
    artifact.forget(caught.value.shards)
    assert artifact.observe().done == {0}
    commit_shard(artifact, 1, "a2", pa.table({"x": [2]}), None)
    assert artifact.seal(2).num_rows == 2


def test_data_changed_after_sealing_is_never_read_silently(artifact: Artifact) -> None:
    commit_rows(artifact, [1], [2])
    artifact.seal(2)
    path = file_of(artifact, layout.data_key(ADDRESS, 0, "a1"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1  # same size, one bit
    path.write_bytes(data)
    with pytest.raises(Damaged, match=r"00000/a1.parquet has changed .*Fix: delete"):
        artifact.table()


def test_published_files_are_listed_and_checked(artifact: Artifact, tmp_path: Path) -> None:
    (tmp_path / "m" / "sub").mkdir(parents=True)
    (tmp_path / "m" / "sub" / "w").write_bytes(b"weights")
    (tmp_path / "r.html").write_bytes(b"<p>")
    files = {"report.html": tmp_path / "r.html", "model": tmp_path / "m"}
    commit_output(artifact, 0, "a1", Output(files=files))
    seal = artifact.seal(1)
    assert [file.name for file in seal.files] == ["model/sub/w", "report.html"]
    assert (artifact.path("model", tmp_path) / "sub" / "w").read_bytes() == b"weights"
    with pytest.raises(NotFound, match=r"no published file 'nodel'.*model/sub/w, report.html"):
        artifact.path("nodel", tmp_path)
    file_of(artifact, layout.file_key(ADDRESS, "model/sub/w")).write_bytes(b"weight")
    with pytest.raises(Damaged, match="model/sub/w has changed"):
        artifact.path("model", tmp_path)


def test_publishing_nothing_is_an_error(artifact: Artifact, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nothing to publish"):
        artifact.publish(tmp_path / "absent", "model")


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"{}", b'{"index": 0}', b"\xff\xfe", b'{"index":0,"attempt":"a","x":1}'],
)
def test_a_torn_record_is_named_with_its_fix(artifact: Artifact, text: bytes) -> None:
    artifact.store.put(layout.done_key(ADDRESS, 0), text)
    artifact.store.put(layout.seal_key(ADDRESS), text)
    with pytest.raises(Damaged, match=r"00000.done is damaged .*Fix: delete it"):
        committed(artifact, 0)
    with pytest.raises(Damaged, match=r"seal.json is damaged .*Fix: delete it"):
        artifact.read_seal()


def test_a_seal_that_was_edited_is_refused(artifact: Artifact) -> None:
    commit_rows(artifact, [1])
    artifact.seal(1)
    raw = json.loads(artifact.store.get(layout.seal_key(ADDRESS)))
    raw["shards"][0]["sha256"] = "0" * 64
    artifact.store.put(layout.seal_key(ADDRESS), dump(raw))
    with pytest.raises(Damaged, match="does not match its own digest"):
        artifact.read_seal()


def test_facts_of_shards_are_summed_when_numeric_and_kept_when_equal() -> None:
    facts = [
        {"n": 1, "rules": {"kept": 2}, "revision": "abc", "ok": True},
        {"n": 2.5, "rules": {"kept": 3, "cut": 1}, "revision": "abc", "ok": True, "only": [1]},
    ]
    assert merge_facts(facts) == {
        "n": 3.5,
        "rules": {"kept": 5, "cut": 1},
        "revision": "abc",
        "ok": True,
        "only": [1],
    }


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("abc", "abd"),
        (True, False),  # a flag is no number
        (True, 1),
        ([1], [2]),
        ({"a": 1}, 1),
    ],
)
def test_facts_that_disagree_are_an_error(left: object, right: object) -> None:
    with pytest.raises(StoreError, match=r"disagree about the fact 'f'.*Fix: note numbers"):
        merge_facts([{"f": left}, {"f": right}])


values = st.lists(
    st.fixed_dictionaries(
        {"t": st.text(max_size=5), "f": st.floats(allow_nan=False), "n": st.none() | st.integers(0)}
    ).filter(lambda row: row["n"] is None or row["n"] < 2**63),
    max_size=30,
)
schema = pa.schema([("t", pa.string()), ("f", pa.float64()), ("n", pa.int64())])


@given(values, st.integers(1, 7))
def test_the_same_rows_are_the_same_bytes_however_they_were_chunked(
    rows: list[dict[str, object]], step: int
) -> None:
    whole = pa.Table.from_pylist(rows, schema=schema)
    parts = [whole.slice(at, step) for at in range(0, max(len(rows), 1), step)]
    chunked = pa.concat_tables(parts).replace_schema_metadata({"made": "elsewhere"})
    data = to_parquet(whole)
    assert to_parquet(chunked) == data
    assert from_parquet(data, None, where="here").to_pylist() == rows


def test_bytes_that_are_no_parquet_are_damage() -> None:
    with pytest.raises(Damaged, match=r"here is not a Parquet file.*Fix:"):
        from_parquet(b"PAR1 not really", None, where="here")


def test_shards_whose_columns_have_other_types_are_named_as_damage() -> None:
    with pytest.raises(Damaged, match="Fix:"):
        concatenate([pa.table({"x": [1]}), pa.table({"x": ["a"]})], None)


@given(
    st.builds(
        CommitRecord,
        index=st.integers(0, 10**6),
        attempt=st.text(),
        rows=st.integers(0),
        facts=st.dictionaries(st.text(), st.integers() | st.text() | st.booleans()),
    )
)
def test_commit_records_survive_json(record: CommitRecord) -> None:
    assert CommitRecord.from_json(record.to_json(), where="here") == record


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_bytes_make_a_reader_fail_in_another_way_than_damaged(data: bytes) -> None:
    for read in (CommitRecord.from_json, Seal.from_json):
        with pytest.raises(Damaged):
            read(data, where="here")


def test_parquet_can_be_read_by_others(artifact: Artifact) -> None:
    commit_rows(artifact, [1, 2])
    table = pq.read_table(file_of(artifact, layout.data_key(ADDRESS, 0, "a1")))
    assert table.to_pydict() == {"x": [1, 2]}
