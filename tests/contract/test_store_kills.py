"""Does a kill -9 at any moment leave only whole files and whole commits in a local store?"""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import time
from pathlib import Path

from jobs.store import layout
from jobs.store.artifacts import Artifact
from jobs.store.objects import open_store

KILLS = 25

WRITER = """
import hashlib, itertools, sys
from pathlib import Path
from jobs.store.durable import create_file, from_bytes, replace_file
root, first = Path(sys.argv[1]), int(sys.argv[2])
print("ready", flush=True)
for number in itertools.count(first):
    body = number.to_bytes(8) * 40_000
    data = hashlib.sha256(body).digest() + body
    create_file(root, f"a/{number % 7}/new-{number}", from_bytes(data))
    replace_file(root, f"a/{number % 3}/again", from_bytes(data))
"""

COMMITTER = """
import itertools, sys
import pyarrow as pa
from jobs.store.artifacts import Artifact
from jobs.store.commit import commit_shard
from jobs.store.objects import open_store
artifact, run = Artifact(open_store(sys.argv[1]), "kill-1"), int(sys.argv[2])
rows = pa.table({"x": list(range(5000))})  # the first table imports a lot
print("ready", flush=True)
for shard in itertools.count(run * 1000):
    commit_shard(artifact, shard, f"r{run}", rows.slice(shard % 100), None)
"""


def kill_at_random(script: str, *args: str, at_most_s: float) -> None:
    """Start a writer, let it write for a random moment, and kill -9 it."""
    command = [sys.executable, "-c", script, *args]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(random.uniform(0.0, at_most_s))
        process.kill()


def is_whole(path: Path) -> bool:
    data = path.read_bytes()
    return len(data) == 32 + 320_000 and hashlib.sha256(data[32:]).digest() == data[:32]


def test_no_kill_leaves_a_torn_file_in_sight(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    for kill in range(KILLS):
        kill_at_random(WRITER, str(tmp_path), str(kill * 1000), at_most_s=0.12)
        torn = [entry.key for entry in store.list() if not is_whole(tmp_path / entry.key)]
        assert torn == []
    assert len(store.list("a")) > KILLS


def test_no_kill_leaves_a_commit_without_its_data(tmp_path: Path) -> None:
    artifact = Artifact(open_store(str(tmp_path)), "kill-1")
    for run in range(6):
        kill_at_random(COMMITTER, str(tmp_path), str(run), at_most_s=0.25)
        for record in artifact.records(sorted(artifact.observe().done)):
            key = layout.data_key("kill-1", record.index, record.attempt)
            assert artifact.store.sha256(key) == record.sha256
    assert artifact.observe().done
