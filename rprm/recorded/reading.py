"""Which rows does a file of recorded outputs hold, and what is wrong with them?

One JSON object per line, or one JSON list of objects; gzipped or not; `-` is stdin.  A byte-order
mark, blank lines and any line ends are fine.  All problems are told at once, with row (from 0, as
in the data) and line (from 1, as editors count).
"""

from __future__ import annotations

import difflib
import gzip
import json
import math
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from rprm.data.rows import MAX_SHOWN
from rprm.errors import BadInput

STDIN = Path("-")
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    index: int
    """0-based, among the rows."""
    line: int | None
    """1-based; None inside a JSON list."""
    values: Mapping[str, object]

    @property
    def where(self) -> str:
        return f"row {self.index}" if self.line is None else f"row {self.index} (line {self.line})"


@dataclass(frozen=True, kw_only=True, slots=True)
class RowFile:
    source: str
    rows: tuple[Row, ...]


@dataclass(kw_only=True, slots=True)
class Problems:
    """Collects what is wrong with a file; `done` raises it together."""

    source: str
    shown: list[str] = field(default_factory=list)
    count: int = 0

    @property
    def full(self) -> bool:
        """Further problems are counted but not spelled out, so hints need not be looked for."""
        return len(self.shown) >= MAX_SHOWN

    def add(self, where: str, what: str, *, fix: str) -> None:
        self.count += 1
        if not self.full:
            self.shown.append(f"{where}: {what}. Fix: {fix}")

    def done(self) -> None:
        if not self.count:
            return
        rest = self.count - len(self.shown)
        lines = [f"{self.source}: {self.count} problem(s)", *self.shown]
        raise BadInput("\n  ".join([*lines, f"and {rest} more"] if rest else lines))


# --- the file ---------------------------------------------------------------------------------


def read_rows(file: Path) -> RowFile:
    source = "stdin" if file == STDIN else str(file)
    data = _unzipped(_bytes(file), source).removeprefix(b"\xef\xbb\xbf")
    if not data.strip():
        raise BadInput(f"{source} is empty.", fix="give one JSON object per line; see --help")
    problems = Problems(source=source)
    is_list = data.lstrip().startswith(b"[")
    values = list(_items(data, problems) if is_list else _lines(data, problems))
    rows = tuple(_rows(values, problems))
    problems.done()
    if not rows:
        raise BadInput(f"{source} holds an empty list.", fix="put at least one row in it")
    return RowFile(source=source, rows=rows)


def _bytes(file: Path) -> bytes:
    if file == STDIN:
        if sys.stdin.isatty():
            sys.stderr.write("reading from the terminal: end with Ctrl-D; --help has examples\n")
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot read {file}: {error.strerror}.", fix=_hint(file)) from error


def _hint(file: Path) -> str:
    if file.is_dir():
        return "give one of the files inside"
    siblings = [one.name for one in file.parent.iterdir()] if file.parent.is_dir() else []
    near = difflib.get_close_matches(file.name, siblings, n=1)
    return f"did you mean {file.parent / near[0]}?" if near else "give a file, or - for stdin"


def _unzipped(data: bytes, source: str) -> bytes:
    if not data.startswith(_GZIP):
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, OSError, zlib.error) as error:
        raise BadInput(f"{source}: broken gzip ({error}).", fix="compress it again") from error


def _items(data: bytes, problems: Problems) -> Iterator[tuple[int | None, object]]:
    found = _parsed(data, "the JSON list", problems)
    yield from ((None, value) for value in found) if isinstance(found, list) else ()


def _lines(data: bytes, problems: Problems) -> Iterator[tuple[int | None, object]]:
    parts = data.split(b"\n")  # never splitlines: U+2028 is data
    if len(parts) > 1 and parts[0].strip() == b"{":
        yield 1, _parsed(data, "the JSON object", problems)  # one object over several lines
        return
    for number, line in enumerate(parts, start=1):
        if line.strip():
            before = problems.count
            value = _parsed(line, f"line {number}", problems)
            if problems.count == before:
                yield number, value


def _parsed(data: bytes, where: str, problems: Problems) -> object:
    """None after noting a problem.  NaN and infinities pass here: their key is told later."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass  # the slower reader takes NaN, and words its complaints with the column
    fix = "write one JSON object per line"
    try:
        return json.loads(data)
    except UnicodeDecodeError:
        problems.add(where, "is not UTF-8", fix="save the file as UTF-8")
    except json.JSONDecodeError as error:
        at = f"line {error.lineno}, " if error.lineno > 1 else ""
        problems.add(where, f"is not JSON ({at}column {error.colno}: {error.msg})", fix=fix)
    except (ValueError, RecursionError):
        problems.add(where, "holds a number or a nesting that is too long", fix=fix)
    return None


def _rows(values: Sequence[tuple[int | None, object]], problems: Problems) -> Iterator[Row]:
    for index, (line, value) in enumerate(values):
        if isinstance(value, dict):
            yield Row(index=index, line=line, values=value)
        else:
            empty = Row(index=index, line=line, values={})
            problems.add(empty.where, f"is {kind(value)}, not an object", fix='write {"id": …}')


# --- values -----------------------------------------------------------------------------------


def kind(value: object) -> str:
    """What a message calls a value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    name = {str: "text", int: "the number", float: "the number", list: "a list", dict: "an object"}
    return f"{name.get(type(value), type(value).__name__)} {value!r:.40}"


def read_id(
    row: Row,
    problems: Problems,
    *,
    key: str = "id",
    fix: str = "give the id of the benchmark's own row",
) -> str | None:
    value = row.values.get(key)
    if isinstance(value, str) and value.strip():
        return value
    what = "is missing" if key not in row.values else f"is {kind(value)}, not a text"
    problems.add(f"{row.where}, {key}", what, fix=fix)
    return None


def read_scores(row: Row, problems: Problems, key: str = "scores") -> tuple[float | None, ...]:
    """A list of finite numbers and nulls; what is not one of them reads as null."""
    value = row.values.get(key)
    where = f"{describe(row)}, {key}"
    if not isinstance(value, list):
        what = f"is {kind(value)}, not a list"
        problems.add(where, what, fix="give one number per step, null for a step without one")
        return ()
    return tuple(_number(one, f"{where}[{step}]", problems) for step, one in enumerate(value))


def _number(value: object, where: str, problems: Problems) -> float | None:
    if value is None or (type(value) is float and math.isfinite(value)):
        return value
    if type(value) is int and abs(value) < _LARGEST:
        return float(value)
    what = f"is {kind(value)}, not a finite number"
    problems.add(where, what, fix="give a number, or null where the step could not be judged")
    return None


_LARGEST = 2**1023


def describe(row: Row, key: str = "id") -> str:
    """Where the row is, and its id where it has one."""
    value = row.values.get(key)
    return f"{row.where}, {key} {value!r:.80}" if isinstance(value, str) else row.where


def nearest(value: str, known: Sequence[str], problems: Problems) -> str:
    """A hint for a mistyped id."""
    near = [] if problems.full else difflib.get_close_matches(value, known, n=1, cutoff=0.7)
    return f"did you mean {near[0]!r}? " if near else ""


def listed(ids: Sequence[str], *, most: int = 5) -> str:
    """The first few, and how many more."""
    rest = f" and {len(ids) - most} more" if len(ids) > most else ""
    return ", ".join(ids[:most]) + rest
