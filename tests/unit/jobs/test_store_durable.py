"""Is a file in a local store whole or absent, whatever kills its writer and whoever races it?"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pytest

from jobs.spec.errors import StorageFull, StoreError
from jobs.store import durable
from jobs.store.artifacts import Artifact
from jobs.store.commit import commit_shard
from jobs.store.objects import ObjectStore, open_store


def test_a_killed_writers_leftover_is_seen_by_no_listing(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.put("kept", b"")
    (tmp_path / durable.STAGING / "123-dead").write_bytes(b"half")
    assert [entry.key for entry in store.list()] == ["kept"]
    assert [entry.key for entry in store.list(durable.STAGING)] == [".staging/123-dead"]


def test_writers_survive_a_sweeper_of_empty_folders(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    stop = threading.Event()

    def sweep() -> None:
        while not stop.is_set():
            store.delete(["a/b/c/first"])

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    try:
        for number in range(100):
            store.put("a/b/c/first", b"x", durable=False)
            assert store.create(f"a/b/d{number}/second", b"y")
            store.delete([f"a/b/d{number}/second"])
    finally:
        stop.set()
        sweeper.join()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Path:
    """A real file system of 256 KiB; needs the right to mount."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a tmpfs needs root; the scripted full disk below still runs")
    return disk


@pytest.fixture(autouse=True)
def unmount(request: pytest.FixtureRequest, tmp_path: Path) -> object:
    yield
    if (tmp_path / "disk").is_mount():
        subprocess.run(["umount", str(tmp_path / "disk")], check=True)
    return None


def assert_full_and_clean(store: ObjectStore, root: Path) -> None:
    """Every way of writing says that the disk is full, and leaves nothing behind."""
    artifact = Artifact(store, "full-1")
    noise = pa.table({"x": [os.urandom(400_000)]})
    source = root.parent / "big"
    source.write_bytes(os.urandom(400_000))
    before = [entry.key for entry in store.list()]
    for write in (
        lambda: store.put("big", source.read_bytes()),
        lambda: store.create("big", source.read_bytes()),
        lambda: store.upload(source, "big"),
        lambda: commit_shard(artifact, 0, "a1", noise, None),
    ):
        with pytest.raises(StorageFull, match=rf"{root}.*Fix: free space"):
            write()
    assert [entry.key for entry in store.list()] == before
    assert list((root / durable.STAGING).iterdir()) == []


def test_a_full_disk_is_named_and_nothing_half_written_shows(tiny_disk: Path) -> None:
    store = open_store(str(tiny_disk))
    store.put("before", b"small")
    assert_full_and_clean(store, tiny_disk)
    store.put("after", b"small things still fit")
    assert store.get("before") == b"small"


def test_a_scripted_full_disk_is_named_and_nothing_half_written_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "store"
    store = open_store(str(root))
    store.put("before", b"small")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(durable.os, "fsync", full)
    assert_full_and_clean(store, root)


def test_a_store_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file is a file.*Fix: name a folder"):
        open_store(str(tmp_path / "file"))


def test_a_file_where_a_folder_must_be_is_named(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.put("a", b"")
    for write in (lambda: store.put("a/b", b""), lambda: store.create("a/b", b"")):
        with pytest.raises(StoreError, match=r"a/b: .*Fix: a file is where a folder must be"):
            write()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder that even root cannot write")
def test_a_folder_without_rights_is_named(tmp_path: Path) -> None:
    """Root may write anywhere but in /proc; other users meet a folder without the write bit."""
    denied = tmp_path / "denied"
    denied.mkdir(mode=0o500)
    root = Path("/proc/1/store") if os.geteuid() == 0 else denied
    store = open_store(str(root))
    with pytest.raises(StoreError, match=rf"{root}.*Fix:"):
        store.check()


def test_a_disk_without_hard_links_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(durable.os, "link", refuse)
    with pytest.raises(StoreError, match="hard links"):
        open_store(str(tmp_path)).check()


FORKED = """
import os, sys
from jobs.store.objects import open_store
store = open_store(sys.argv[1])
store.put("a", b"1")
if (child := os.fork()) == 0:
    os._exit(0 if store.get("a") == b"1" and store.create("b", b"") and store.list() else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_worker_may_go_on_with_its_parents_local_store(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FORKED, str(tmp_path)]
    assert subprocess.run(command, timeout=60, check=False).returncode == 0
