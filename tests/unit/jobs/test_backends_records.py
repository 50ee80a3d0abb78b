"""Do records and births name processes, and only these?"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from jobs.backends.process_trees import Birth, is_alive, look_up, own_birth
from jobs.backends.replica_records import NOBODY, Record, read_record, this_boot, write_record

RECORD = Record(boot="b", controller=Birth(7, 100))

needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="births are found in /proc")


@pytest.mark.parametrize(
    "record",
    [
        RECORD,  # as the controller begins it
        RECORD._replace(warden=Birth(8, 101), server=Birth(9, 102)),  # as the warden completes it
        RECORD._replace(exit_code=-9),  # as it ends
    ],
)
def test_a_record_is_read_as_it_was_written(tmp_path: Path, record: Record) -> None:
    write_record(tmp_path / "a.pids", record)
    assert read_record(tmp_path / "a.pids") == record
    assert len(list(tmp_path.iterdir())) == 1


@needs_proc
def test_a_process_is_alive_under_its_own_birth_alone() -> None:
    birth = own_birth()
    assert is_alive(birth)
    assert not is_alive(birth._replace(ticks=birth.ticks + 1)), "the pid is another's now"
    assert not is_alive(NOBODY)


@needs_proc
def test_a_process_is_looked_up_with_its_parent_and_session() -> None:
    process = look_up(os.getpid())
    assert process is not None
    assert process.parent == os.getppid()
    assert process.session == os.getsid(0)
    assert not process.is_zombie


def test_nobody_is_looked_up_as_nobody() -> None:
    assert look_up(0) is None


def test_a_boot_has_one_name() -> None:
    assert this_boot() == this_boot()
