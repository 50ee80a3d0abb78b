"""Does training always find the newest checkpoint it can trust?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.store import layout
from jobs.store.artifacts import Artifact
from jobs.store.checkpoints import (
    Checkpoint,
    commit_checkpoint,
    committed_checkpoints,
    list_checkpoints,
    restore,
)
from jobs.store.objects import NotFound, open_store
from jobs.store.records import Damaged

ADDRESS = "sft-0123456789abcdef"


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    return Artifact(open_store(str(tmp_path / "store")), ADDRESS)


def make(artifact: Artifact, tmp_path: Path, step: int) -> str:
    for part in ("weights", "resume"):
        (tmp_path / f"{step}" / part / "deep").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{step}" / part / "deep" / "state").write_text(f"{part} {step}")
    folder = tmp_path / f"{step}"
    return commit_checkpoint(
        artifact, step, folder / "weights", folder / "resume", {"loss": 1 / step}, {"step": step}
    )


def steps(found: list[Checkpoint]) -> list[int]:
    return [checkpoint.step for checkpoint in found]


def stored(artifact: Artifact, step: int, name: str) -> Path:
    path = artifact.store.local_path(f"{layout.checkpoint_prefix(ADDRESS, step)}{name}")
    assert path is not None
    return path


def test_weights_are_kept_for_every_step_and_resume_state_for_the_newest_two(
    artifact: Artifact, tmp_path: Path
) -> None:
    for step in (10, 20, 30, 40):
        make(artifact, tmp_path, step)
    assert steps(list_checkpoints(artifact)) == [30, 40]
    everything = committed_checkpoints(artifact)
    assert steps(everything) == [10, 20, 30, 40]
    assert [checkpoint.resumable for checkpoint in everything] == [False, False, True, True]
    assert not stored(artifact, 10, "/resume").exists()
    restore(artifact, 10, tmp_path / "back")
    assert (tmp_path / "back" / "weights" / "deep" / "state").read_text() == "weights 10"
    assert not (tmp_path / "back" / "resume").exists()


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("/weights/deep/state", flip),  # same size, other bytes
        ("/resume/deep/state", flip),
        ("/weights/deep/state", Path.unlink),
        ("/resume/deep/state", Path.unlink),
        ("/resume/deep/state", lambda path: path.write_text("")),  # wrong size
        (".done", Path.unlink),  # killed before the manifest
        (".done", lambda path: path.write_text('{"step": 30')),  # torn manifest
        (".done", lambda path: path.write_text('{"step": 30}')),  # manifest without files
    ],
)
def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(
    artifact: Artifact, tmp_path: Path, name: str, damage: Callable[[Path], object]
) -> None:
    for step in (10, 20, 30):
        make(artifact, tmp_path, step)
    damage(stored(artifact, 30, name))
    assert steps(list_checkpoints(artifact)) == [20]
    make(artifact, tmp_path, 30)  # training reaches the step again and mends it
    assert steps(list_checkpoints(artifact)) == [20, 30]


def test_a_checkpoint_that_is_whole_is_not_written_twice(
    artifact: Artifact, tmp_path: Path
) -> None:
    first = make(artifact, tmp_path, 10)
    before = stored(artifact, 10, "/weights/deep/state").stat()
    assert make(artifact, tmp_path, 10) == first
    after = stored(artifact, 10, "/weights/deep/state").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_what_is_restored_was_verified(artifact: Artifact, tmp_path: Path) -> None:
    make(artifact, tmp_path, 10)
    flip(stored(artifact, 10, "/weights/deep/state"))
    with pytest.raises(Damaged, match=r"weights/deep/state has changed .*Fix: delete"):
        restore(artifact, 10, tmp_path / "back")
    stored(artifact, 10, "/weights/deep/state").unlink()
    with pytest.raises(Damaged, match="is missing"):
        restore(artifact, 10, tmp_path / "back")
    assert not (tmp_path / "back" / "weights" / "deep" / "state").exists()


def test_a_step_without_a_checkpoint_cannot_be_restored(artifact: Artifact, tmp_path: Path) -> None:
    assert list_checkpoints(artifact) == []
    with pytest.raises(NotFound):
        restore(artifact, 10, tmp_path / "back")
