"""Is a comparison's file whole or not there, also when the disk is full?"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from rprm.compare_cli import _write
from rprm.errors import BadInput


def test_a_full_disk_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "comparison.html"
    _write(file, "before")
    written = Path.write_text

    def full(path: Path, text: str, **how: Any) -> int:
        written(path, text[:3], **how)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(BadInput, match=r"cannot write .*comparison.html: No space left"):
        _write(file, "afterwards")
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]


def test_what_is_no_plain_file_is_written_to() -> None:
    _write(Path("/dev/null"), "anything")
    assert not Path("/dev/null").is_file()
