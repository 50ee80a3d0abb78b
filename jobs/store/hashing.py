"""What are the size and the sha256 of some bytes or of a file?"""

from __future__ import annotations

import hashlib
from pathlib import Path

from jobs.store.explaining import explained
from jobs.store.records import FileRecord


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def describe_file(path: Path, name: str) -> FileRecord:
    with explained("read", str(path)), path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FileRecord(name=name, size=file.tell(), sha256=digest)


def files_below(path: Path, name: str) -> list[tuple[Path, str]]:
    """(file, name) of a file or of every file in a folder, sorted by name."""
    if path.is_file():
        return [(path, name)]
    found = [(file, f"{name}/{file.relative_to(path).as_posix()}") for file in path.rglob("*")]
    return sorted((pair for pair in found if pair[0].is_file()), key=lambda pair: pair[1])
