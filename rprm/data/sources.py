"""Where does a data set come from, and which bytes exactly?

data:processbench/gsm8k.json      below the folder RPRM_DATA (default ../shared/data)
some/folder, some/file.jsonl.gz, 'some/*.parquet'          local
hf://org/name@revision/path, or org/name where no such path exists      Hugging Face Hub
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TextIO, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from rprm.data import hub as hugging_face
from rprm.data.rows import RowReader
from rprm.data.tables import read_rows
from rprm.errors import BadInput

T = TypeVar("T")

DATA_VARIABLE = "RPRM_DATA"
DEFAULT_DATA = "../shared/data"
SUFFIXES = (".json", ".jsonl", ".json.gz", ".jsonl.gz", ".parquet")


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    name: str
    """As the user wrote it; never a path of this machine unless the user gave one."""
    files: tuple[Path, ...]
    revision: str | None
    """Commit of the Hub's repository; None for local files."""
    digest: str
    """sha256 of the one file, or of the names and sha256s of several."""

    def shown(self, file: Path) -> str:
        """What messages call one of the files."""
        return self.name if len(self.files) == 1 else f"{self.name} ({file.name})"


def resolve(
    source: str, *, revision: str | None = None, hub: hugging_face.Hub | None = None
) -> Source:
    """Find the files of `source` and digest them.  Raises BadInput that says where it looked."""
    if not source.strip():
        raise BadInput(f"The source {source!r} names nothing.", fix=_local_fix(""))
    if source.startswith("data:"):
        root = Path(os.environ.get(DATA_VARIABLE) or DEFAULT_DATA)
        return _local(source, root / source.removeprefix("data:"), revision=revision)
    if source.startswith("hf://") or _is_hub_id(source):
        wanted = hugging_face.parse_hub_name(source, revision=revision)
        found = (hub or hugging_face.HuggingFaceHub()).fetch(wanted, SUFFIXES)
        files = _data_files(found.path)
        if not files:
            raise BadInput(f"{source}: no data file at {wanted}.", fix=_suffix_hint())
        return _source(source, files, revision=found.revision)
    return _local(source, Path(source), revision=revision)


def pin(source: str, *, revision: str | None = None) -> str:
    """What identifies the data without fetching anything: a plan must not download.

    The digest of local files; name and revision of a Hub data set, whose own digest is recorded
    when it is loaded."""
    if source.startswith("data:") or not (source.startswith("hf://") or _is_hub_id(source)):
        return resolve(source, revision=revision).digest
    wanted = hugging_face.parse_hub_name(source, revision=revision)
    if wanted.revision is None:
        raise BadInput(
            f"{source} names no revision, so the data could change under the campaign.",
            fix="append @ and a commit or a tag, or set `revision`",
        )
    return f"{source}@{wanted.revision}"


def read_source(
    source: Source, read: Callable[[RowReader], T], *, unique: str | None = None
) -> list[T]:
    """Read the rows of all files; each file's problems are reported together."""
    found: list[T] = []
    for file in source.files:
        found += read_rows(rows_of(file), source.shown(file), read, unique=unique)
    return found


def rows_of(file: Path) -> Iterator[object]:
    """The rows of one JSON list, JSON-lines or Parquet file, unchecked."""
    try:
        yield from _rows(file)
    except (UnicodeDecodeError, EOFError, gzip.BadGzipFile, pa.ArrowInvalid) as problem:
        raise BadInput(
            f"{file} cannot be read: {problem}.", fix="fetch it again; it may be cut off"
        ) from problem
    except PermissionError as problem:
        raise BadInput(f"{file} may not be read.", fix="give this user read access") from problem


def sha256_of(file: Path) -> str:
    """Remembered per path, size and modification time: sets are read by many stages."""
    facts = file.stat()
    return _sha256(str(file), facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=4096)
def _sha256(path: str, _size: int, _mtime_ns: int) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _local(name: str, path: Path, *, revision: str | None) -> Source:
    if revision is not None:
        raise BadInput(
            f"{name} is local and has no revision {revision!r}.", fix="leave the revision out"
        )
    files = _data_files(path)
    if not files:
        raise BadInput(f"{name}: {_looked(path)}", fix=_local_fix(name))
    return _source(name, files, revision=None)


def _looked(path: Path) -> str:
    where = path.absolute()
    if path.exists():
        return f"no data file in {where}; looked for {', '.join(SUFFIXES)}."
    return f"nothing at {where}."


def _local_fix(name: str) -> str:
    if not name.startswith("data:"):
        return "give a file, a folder, a glob, data:…, or hf://org/name"
    state = os.environ.get(DATA_VARIABLE)
    now = f"now {state!r}" if state else f"unset, so {DEFAULT_DATA!r} is used"
    return (
        f"set {DATA_VARIABLE} ({now}) to the folder that holds {name.removeprefix('data:')!r}, "
        "or name the set on the Hub, such as hf://Qwen/ProcessBench"
    )


def _suffix_hint() -> str:
    return f"name a file that ends in {', '.join(SUFFIXES)}"


def _is_hub_id(source: str) -> bool:
    """Where the first folder exists here, the path is local: a typo never becomes a download."""
    if not hugging_face.is_hub_id(source) or source.endswith(SUFFIXES):
        return False
    return not Path(Path(source).parts[0]).exists()


def _data_files(path: Path) -> tuple[Path, ...]:
    """Of a file, a folder or a glob; in the order of their names."""
    if path.is_file():
        return (path,)
    inside = path.rglob("*") if path.is_dir() else _glob(path)
    return tuple(sorted(file for file in inside if file.name.endswith(SUFFIXES) and file.is_file()))


def _glob(path: Path) -> Iterator[Path]:
    anchor = Path(path.anchor)
    pattern = str(path.relative_to(anchor))
    yield from anchor.glob(pattern) if any(sign in pattern for sign in "*?[") else ()


def _source(name: str, files: tuple[Path, ...], *, revision: str | None) -> Source:
    for file in files:
        if not file.name.endswith(SUFFIXES):
            raise BadInput(f"{name}: {file.name} has no known format.", fix=_suffix_hint())
    return Source(name=name, files=files, revision=revision, digest=_digest(files))


def _digest(files: tuple[Path, ...]) -> str:
    if len(files) == 1:
        return sha256_of(files[0])
    root = os.path.commonpath([file.parent for file in files])
    lines = [f"{file.relative_to(root).as_posix()} {sha256_of(file)}\n" for file in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _rows(file: Path) -> Iterator[object]:
    if file.name.endswith(".parquet"):
        with pq.ParquetFile(file) as parquet:
            for batch in parquet.iter_batches():
                yield from batch.to_pylist()
        return
    with _open_text(file) as stream:
        if file.name.removesuffix(".gz").endswith(".jsonl"):
            yield from _json_lines(file, stream)
        else:
            yield from _json_list(file, stream)


def _open_text(file: Path) -> TextIO:
    if file.name.endswith(".gz"):
        return gzip.open(file, "rt", encoding="utf-8-sig")
    return file.open(encoding="utf-8-sig")


def _json_lines(file: Path, stream: TextIO) -> Iterator[object]:
    for number, line in enumerate(stream, start=1):  # never splitlines: U+2028 is data
        if not line.strip():
            continue
        try:
            yield json.loads(line)
        except json.JSONDecodeError as problem:
            raise BadInput(
                f"{file}, line {number}: not JSON ({problem.msg} at column {problem.colno}).",
                fix="write one JSON object per line",
            ) from problem


def _json_list(file: Path, stream: TextIO) -> Iterator[object]:
    try:
        rows = json.load(stream)
    except json.JSONDecodeError as problem:
        raise BadInput(
            f"{file}, line {problem.lineno}: not JSON ({problem.msg}).",
            fix="end the name in .jsonl if each line is an object of its own",
        ) from problem
    if not isinstance(rows, list):
        raise BadInput(
            f"{file} holds {type(rows).__name__}, not a list.", fix="write a list of objects"
        )
    yield from rows
