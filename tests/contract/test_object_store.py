"""Does every object store keep the same promises?  A local folder, memory, and S3 over HTTP."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pytest

from jobs.spec.errors import StoreError
from jobs.store import layout
from jobs.store.artifacts import Artifact
from jobs.store.checkpoints import commit_checkpoint, list_checkpoints, restore
from jobs.store.commit import Output, commit_output, commit_shard
from jobs.store.gc import collect
from jobs.store.objects import Entry, NotFound, ObjectStore, open_store
from tests.contract.s3_server import ABSENT, BUCKET, KEYS, find_server, serve

RACERS = 16
FRESH = itertools.count()
T = TypeVar("T")


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    binary = find_server()
    if binary is None:
        pytest.skip(ABSENT)
    with serve(binary, tmp_path_factory.mktemp("s3")) as endpoint:
        yield endpoint


@pytest.fixture
def s3_options(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    return {"endpoint": s3_endpoint}


@pytest.fixture(params=["folder", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    match request.param:
        case "folder":
            return open_store(str(tmp_path / "store"))
        case "memory":
            return open_store("memory://")
    options = request.getfixturevalue("s3_options")
    return open_store(f"s3://{BUCKET}/deep/prefix{next(FRESH)}", options)


def race(contend: Callable[[int], T]) -> list[T]:
    """Let many threads do it at the same instant."""
    start = threading.Barrier(RACERS)

    def run(racer: int) -> T:
        start.wait()
        return contend(racer)

    with ThreadPoolExecutor(RACERS) as pool:
        return list(pool.map(run, range(RACERS)))


def keys(entries: list[Entry]) -> list[str]:
    return [entry.key for entry in entries]


def test_what_was_put_is_read_back_and_replaced(store: ObjectStore) -> None:
    store.put("a/b.json", b"one")
    assert store.get("a/b.json") == b"one"
    store.put("a/b.json", b"two", durable=False)
    assert store.get("a/b.json") == b"two"
    store.put("empty", b"")
    assert store.get("empty") == b""


def test_a_missing_object_is_not_found(store: ObjectStore) -> None:
    store.put("folder/file", b"")
    for key in ("nothing", "folder", "folder/file/deeper"):
        assert not store.exists(key)
        with pytest.raises(NotFound, match=key):
            store.get(key)
    with pytest.raises(NotFound):
        store.get_many(["folder/file", "nothing"])
    with pytest.raises(NotFound):
        store.sha256("nothing")


def test_create_succeeds_once_and_keeps_the_first_bytes(store: ObjectStore) -> None:
    assert store.create("record", b"first")
    assert not store.create("record", b"second")
    assert store.get("record") == b"first"
    store.delete(["record"])
    assert store.create("record", b"third")


def test_of_sixteen_concurrent_creators_exactly_one_wins(store: ObjectStore) -> None:
    for attempt in range(5):
        key = f"race/{attempt}"
        won = race(lambda racer, key=key: store.create(key, str(racer).encode()))  # type: ignore[misc]
        assert won.count(True) == 1
        assert store.get(key) == str(won.index(True)).encode()


def test_one_listing_is_recursive_sorted_and_bounded_by_folders(store: ObjectStore) -> None:
    for key in ("a/b/2", "a/b/1/x", "a/bc", "a.b", "z"):
        store.put(key, key.encode())
    assert keys(store.list()) == ["a.b", "a/b/1/x", "a/b/2", "a/bc", "z"]
    assert keys(store.list("a/b")) == ["a/b/1/x", "a/b/2"]
    assert keys(store.list("nothing")) == []
    assert [entry.size for entry in store.list("a")] == [7, 5, 4]


def test_the_names_in_one_folder_leave_out_what_is_deeper(store: ObjectStore) -> None:
    for key in ("a/2", "a/1", "a/b/3", "ab"):
        store.put(key, b"")
    assert store.names("a") == ["1", "2"]
    assert store.names("nothing") == []


def test_a_listing_tells_when_an_object_was_written(store: ObjectStore) -> None:
    store.put("now", b"")
    age = datetime.now(UTC) - store.list()[0].modified
    assert abs(age) < timedelta(seconds=60)


def test_a_listing_of_several_pages_is_complete(store: ObjectStore) -> None:
    wanted = [f"many/{number:05d}" for number in range(1100)]  # a page of S3 is 1000
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put(key, b"", durable=False), wanted))
    assert keys(store.list("many")) == wanted
    assert [f"many/{name}" for name in store.names("many")] == wanted


def test_deleting_twice_is_fine(store: ObjectStore) -> None:
    store.put("a/b/c", b"")
    store.put("a/d", b"")
    store.delete(["a/b/c", "a/b/c", "never"])
    assert keys(store.list()) == ["a/d"]


def test_many_objects_come_in_the_asked_order(store: ObjectStore) -> None:
    wanted = [f"n/{number}" for number in range(40)]
    for key in wanted:
        store.put(key, key.encode(), durable=False)
    assert store.get_many(wanted[::-1]) == [key.encode() for key in wanted[::-1]]
    assert store.get_many([]) == []


@pytest.mark.parametrize(
    "key",
    [
        "with space/and=+@,:;!'()",
        "ümlaut/漢字",
        "100%/%20",  # already looks encoded
        "part#1",  # the name some clients stage under
        "[x]{y}~^|`",
        "." + "x" * 254,  # the longest name a file system takes
    ],
)
def test_odd_names_survive(store: ObjectStore, key: str) -> None:
    store.put(key, b"odd")
    assert store.get(key) == b"odd"
    assert keys(store.list()) == [key]


@pytest.mark.parametrize(
    "key", ["", "/a", "a/", "a//b", "../a", "a/./b", "a\nb", "a\\b", "x" * 256]
)
def test_keys_that_some_store_cannot_hold_are_refused_by_all(store: ObjectStore, key: str) -> None:
    with pytest.raises(StoreError, match="Fix:"):
        store.put(key, b"")


def test_a_big_file_goes_up_and_comes_down_unchanged(store: ObjectStore, tmp_path: Path) -> None:
    data = b"".join(number.to_bytes(4) for number in range(3_000_000))  # more than one part
    (tmp_path / "big").write_bytes(data)
    store.upload(tmp_path / "big", "files/big")
    store.download("files/big", tmp_path / "down" / "again")
    assert (tmp_path / "down" / "again").read_bytes() == data
    assert store.sha256("files/big") == hashlib.sha256(data).hexdigest()
    assert [path.name for path in (tmp_path / "down").iterdir() if path.is_file()] == ["again"]
    with pytest.raises(NotFound):
        store.download("files/none", tmp_path / "none")


def test_a_folder_and_a_file_can_be_fetched(store: ObjectStore, tmp_path: Path) -> None:
    store.put("m/one", b"1")
    store.put("m/sub/two", b"2")
    cache = tmp_path / "cache"
    for _ in range(2):  # the second time from the cache
        folder = store.fetch("m", cache)
        assert (folder / "one").read_bytes() == b"1"
        assert (folder / "sub" / "two").read_bytes() == b"2"
    assert store.fetch("m/sub/two", cache).read_bytes() == b"2"
    with pytest.raises(NotFound):
        store.fetch("nothing", cache)


def test_a_usable_store_passes_its_check_and_shows_no_trace_of_it(store: ObjectStore) -> None:
    store.check()
    assert store.list() == []


def test_of_racing_commits_one_counts_and_everyone_learns_which(store: ObjectStore) -> None:
    artifact = Artifact(store, "race-1")
    artifact.prepare({"run": "m:C", "version": "1"})
    records = race(
        lambda racer: commit_shard(artifact, 0, f"a{racer}", pa.table({"racer": [racer]}), None)
    )
    assert len({record.attempt for record in records}) == 1
    artifact.seal(1)
    assert artifact.table().to_pylist() == [{"racer": int(records[0].attempt[1:])}]
    data = [entry.key for entry in store.list() if entry.key.endswith(".parquet")]
    assert data == [layout.data_key("race-1", 0, records[0].attempt)]


def test_an_artifact_is_prepared_observed_sealed_and_read(
    store: ObjectStore, tmp_path: Path
) -> None:
    artifact = Artifact(store, "sft-0123")
    artifact.prepare({"run": "m:C", "version": "1", "node": "sft", "stage": "sft"})
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_bytes(b"w")
    errors = pa.table({"row_id": ["r"], "cause": ["c"], "detail": ["d"]})
    files = {"model": tmp_path / "model"}
    output = Output(table=pa.table({"x": [1, 2]}), errors=errors, facts={"n": 2}, files=files)
    commit_output(artifact, 0, "a1", output)
    artifact.fail(1, "lost", "a1")
    state = artifact.observe()
    assert (state.done, state.sealed, list(state.failures)) == (frozenset({0}), False, [1])
    commit_shard(artifact, 1, "a2", pa.table({"x": [3]}), None, {"n": 1})
    seal = artifact.seal(2)
    assert (seal.num_rows, seal.num_errors, seal.facts) == (3, 1, {"n": 3})
    assert artifact.read_seal() == seal
    assert artifact.table(["x"]).column("x").to_pylist() == [1, 2, 3]
    assert artifact.errors().to_pylist() == errors.to_pylist()
    assert (artifact.path("model", tmp_path / "cache") / "weights").read_bytes() == b"w"
    assert artifact.path("model/weights", tmp_path / "cache").read_bytes() == b"w"


def test_checkpoints_come_back_whole(store: ObjectStore, tmp_path: Path) -> None:
    artifact = Artifact(store, "sft-0123")
    for step in (10, 20, 30):
        for part in ("weights", "resume"):
            (tmp_path / str(step) / part).mkdir(parents=True)
            (tmp_path / str(step) / part / "state").write_bytes(f"{part}{step}".encode())
        folder = tmp_path / str(step)
        uri = commit_checkpoint(
            artifact, step, folder / "weights", folder / "resume", {"loss": 0.5}, {"best": step}
        )
        assert uri == f"{store.url}/artifacts/sft-0123/checkpoints/{step:010d}"
    assert [found.step for found in list_checkpoints(artifact)] == [20, 30]
    store.put(f"{layout.checkpoint_prefix('sft-0123', 30)}/weights/state", b"weights3!")
    newest = list_checkpoints(artifact)[-1]
    assert (newest.step, newest.facts) == (20, {"best": 20})
    restore(artifact, 20, tmp_path / "back")
    assert (tmp_path / "back" / "weights" / "state").read_bytes() == b"weights20"
    assert (tmp_path / "back" / "resume" / "state").read_bytes() == b"resume20"


def test_garbage_is_shown_first_and_then_removed(store: ObjectStore) -> None:
    kept, dropped = Artifact(store, "kept-1"), Artifact(store, "dropped-1")
    for artifact in (kept, dropped):
        artifact.prepare({"run": "m:C", "version": "1"})
        commit_shard(artifact, 0, "a1", pa.table({"x": [1]}), None)
        artifact.seal(1)
    store.put(layout.data_key("kept-1", 0, "killed"), b"PAR1 half a file")
    later = datetime.now(UTC) + timedelta(days=2)
    plan = collect(store, {"kept-1"}, now=later)
    assert dropped.read_seal() is not None
    assert collect(store, {"kept-1"}, now=later, dry_run=False) == plan
    assert all(entry.key.startswith("artifacts/kept-1/") for entry in store.list())
    assert kept.table().num_rows == 1
    assert collect(store, {"kept-1"}, now=later).items == ()


def test_a_missing_bucket_is_named(s3_options: dict[str, str]) -> None:
    store = open_store("s3://nowhere/x", s3_options)
    for act in (store.check, store.list, lambda: store.get("a"), lambda: store.create("a", b"")):
        with pytest.raises(StoreError, match=r"s3://nowhere.*bucket does not exist.*Fix: create"):
            act()


@pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_wrong_credentials_are_named_and_not_repeated(
    s3_options: dict[str, str], monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "a-wrong-value")
    store = open_store(f"s3://{BUCKET}/x", s3_options)
    for act in (store.check, store.list, lambda: store.get("a")):
        with pytest.raises(
            StoreError, match=r"access denied.*Fix: check the credentials"
        ) as caught:
            act()
        assert not isinstance(caught.value, NotFound)
        assert "a-wrong-value" not in str(caught.value)
