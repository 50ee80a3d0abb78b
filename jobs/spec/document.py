"""What does a YAML text say, and on which line?  Bounded, safe, and every problem at once.

Reads parser events rather than constructing objects, so that no tag can run code, deep nesting
cannot exhaust the stack and an alias bomb costs nothing.  Plain words that YAML 1.1 and 1.2 read
differently are problems: the same file must mean the same here and to kubectl.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from jobs.spec.errors import PathKey, Problem, path_text

MAX_BYTES = 1_000_000
"""A Kubernetes object of more than about 1.5 MB cannot be stored; ours must fit with its status."""

MAX_VALUES = 100_000
"""Values after aliases are followed."""

MAX_DEPTH = 40

Scalar = str | int | float | bool | None

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z")
_RADIX = re.compile(r"0(?:x[0-9a-fA-F]+|o[0-7]+)\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_NOT_FINITE = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z")
_AMBIGUOUS = re.compile(
    r"(?:(?:y|n|yes|no|on|off)"  # booleans of YAML 1.1
    r"|[-+]?0[0-9_]+"  # octal there, decimal here
    r"|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"  # base 60
    r"|[-+]?[0-9][0-9_]*_[0-9_]*)\Z",
    re.IGNORECASE,
)
_MAX_INT = 2**63 - 1

_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class Document:
    """A text read as plain values; `problems` is empty when the YAML itself is sound."""

    source: str
    value: object = None
    lines: dict[PathKey, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line_of(self, path: PathKey) -> int:
        """The line of a value, or of the nearest thing around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def problem(self, path: PathKey, message: str, suggestion: str = "") -> Problem:
        return Problem(self.source, self.line_of(path), path_text(path), message, suggestion)


class _Unreadable(Exception):
    def __init__(self, line: int, message: str, suggestion: str = "") -> None:
        self.line, self.message, self.suggestion = line, message, suggestion
        super().__init__(message)


def read_document(text: str, *, source: str) -> Document:
    """Read exactly one YAML document.  Never raises on any text."""
    document = Document(source=source)
    try:
        _check_text(text)
        _Reader(document, text).read()
    except _Unreadable as stop:
        document.value = None
        document.problems.append(
            Problem(source, stop.line, "", stop.message, stop.suggestion),
        )
    except yaml.YAMLError as error:
        document.value = None
        document.problems.append(_syntax_problem(error, document, text))
    return document


def _check_text(text: str) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise _Unreadable(line, "a character that is not valid Unicode") from error
    if size > MAX_BYTES:
        raise _Unreadable(
            1,
            f"the document has {size} bytes, more than {MAX_BYTES}",
            "move large params into a file that the stage reads",
        )


def _syntax_problem(error: yaml.YAMLError, document: Document, text: str) -> Problem:
    mark = getattr(error, "problem_mark", None)
    line = mark.line + 1 if mark is not None else 1
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
    last = text.removesuffix("\n").count("\n") + 1  # the parser may stop behind the end
    return Problem(document.source, min(line, last), "", f"not valid YAML: {what}")


class _Reader:
    def __init__(self, document: Document, text: str) -> None:
        self._document = document
        self._events: Iterator[Event] = yaml.parse(text.removeprefix("\ufeff"), Loader=_LOADER)
        self._anchors: dict[str, tuple[object, int]] = {}
        self._open: set[str] = set()
        self._num_values = 0

    def read(self) -> None:
        next(self._events)  # start of the stream
        event = next(self._events)
        if isinstance(event, StreamEndEvent):
            raise _Unreadable(1, "the document is empty", "start from a campaign of the examples")
        self._document.value = self._value(next(self._events), ())
        next(self._events)  # end of the document
        event = next(self._events)
        if isinstance(event, DocumentStartEvent):
            raise _Unreadable(
                _line(event),
                "a second document starts here; a campaign file holds exactly one",
                "put it into a file of its own",
            )

    def _value(self, event: Event, path: PathKey) -> object:
        self._document.lines.setdefault(path, _line(event))
        if isinstance(event, AliasEvent):
            return self._alias(event)
        self._count(event, 1)
        if len(path) > MAX_DEPTH:
            raise _Unreadable(_line(event), f"nested deeper than {MAX_DEPTH} levels")
        before = self._num_values
        anchor: str | None = getattr(event, "anchor", None)
        if anchor is not None:
            self._open.add(anchor)
        value = self._plain(event, path)
        if anchor is not None:
            self._open.discard(anchor)
            self._anchors[anchor] = (value, self._num_values - before + 1)
        return value

    def _plain(self, event: Event, path: PathKey) -> object:
        self._check_tag(event, path)
        if isinstance(event, MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, SequenceStartEvent):
            return self._sequence(path)
        assert isinstance(event, ScalarEvent)
        return self._scalar(event, path)

    def _alias(self, event: AliasEvent) -> object:
        name = str(event.anchor)
        if name in self._open:
            raise _Unreadable(_line(event), f"alias *{name} contains itself")
        if name not in self._anchors:
            raise _Unreadable(_line(event), f"alias *{name} has no anchor &{name} before it")
        value, num_values = self._anchors[name]
        self._count(event, num_values)
        return value

    def _count(self, event: Event, num_values: int) -> None:
        self._num_values += num_values
        if self._num_values > MAX_VALUES:
            raise _Unreadable(_line(event), f"more than {MAX_VALUES} values, aliases included")

    def _mapping(self, path: PathKey) -> dict[str, object]:
        found: dict[str, object] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            key, line = self._key(event, path), _line(event)
            duplicate = key in found
            if duplicate:
                self._report(line, (*path, key), "duplicate key; the first one was read")
            else:
                self._document.lines[(*path, key)] = line
            value = self._value(next(self._events), (*path, key))
            if not duplicate:
                found[key] = value
        return found

    def _key(self, event: Event, path: PathKey) -> str:
        if not isinstance(event, ScalarEvent):
            raise _Unreadable(_line(event), "a key must be a word, not a list or a mapping")
        if event.value == "<<" and event.implicit[0]:
            raise _Unreadable(
                _line(event), "merge keys (<<) are not supported", "use spec.defaults instead"
            )
        self._check_tag(event, path)
        if event.implicit[0] and not isinstance(resolve(event.value), str):
            self._report(
                _line(event), path, f"key {event.value[:40]} is not text", "put it in quotes"
            )
        return str(event.value)

    def _sequence(self, path: PathKey) -> list[object]:
        found: list[object] = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            found.append(self._value(event, (*path, len(found))))
        return found

    def _scalar(self, event: ScalarEvent, path: PathKey) -> Scalar:
        text = str(event.value)
        if not event.implicit[0]:
            return text
        if is_ambiguous(text):
            message = f"{text[:40]} means different things to YAML 1.1 and 1.2"
            self._report(_line(event), path, message, "put it in quotes, or write true or false")
            return text
        value = resolve(text)
        if isinstance(value, float) and not math.isfinite(value):
            self._report(_line(event), path, f"{text[:40]} is not a finite number")
            return None
        if isinstance(value, int) and abs(value) > _MAX_INT:
            self._report(_line(event), path, "an integer of more than 64 bits", "put it in quotes")
            return None
        return value

    def _check_tag(self, event: Event, path: PathKey) -> None:
        tag = getattr(event, "tag", None)
        if tag is not None and tag not in {"!", "tag:yaml.org,2002:str"}:
            self._report(_line(event), path, f"tag {tag[:60]} is not supported", "remove it")

    def _report(self, line: int, path: PathKey, message: str, suggestion: str = "") -> None:
        source = self._document.source
        self._document.problems.append(
            Problem(source, line, path_text(path), message, suggestion),
        )


def is_ambiguous(text: str) -> bool:
    """Do YAML 1.1 and 1.2 disagree about this plain scalar?"""
    return _AMBIGUOUS.match(text) is not None


def resolve(text: str) -> Scalar:
    """What a plain scalar means in the core schema of YAML 1.2."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if len(text) > 400:
        return text  # no number is that long, and int() refuses very long ones
    if _INT.match(text):
        return int(text)
    if _RADIX.match(text):
        return int(text, 0)
    if _NOT_FINITE.match(text):
        return math.nan
    return float(text) if _FLOAT.match(text) else text


def _line(event: Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 1
