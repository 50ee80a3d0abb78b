"""Which solutions did a person hand over?  Texts in, solutions or every problem out.  Pure.

JSON     {"problem": "…", "steps": ["…", "…"]}, or a list of such objects; also `id`, and `label`:
         the 0-based index of the first wrong step, -1 when all are right.  Other keys are ignored,
         so rows of ProcessBench and of `rprm data` can be given as they are
JSONL    one such object per line
text     paragraphs parted by blank lines: the first is the problem, each other one is a step.  With
         a single other paragraph, each of its lines is a step; with no blank line at all, the first
         line is the problem and each other line is a step
         Numbers that count the steps from 1 ("Step 1:", "1.", "1)", "#1") and a leading "Problem:"
         or "Question:" are taken off: the prompt template writes its own

A text is JSON if its first character is "{", or "[" before another bracket; a name that ends in
.json, .jsonl, .txt or .md decides first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from rprm.data.problems import problem_id
from rprm.data.rows import MAX_SHOWN, RowChecks, RowReader
from rprm.errors import BadInput
from rprm.schema import Solution
from rprm.scoring import ALL_RIGHT


class Format(StrEnum):
    AUTO = "auto"  # by the name, then by the first character
    JSON = "json"  # an object, a list of objects, or one object per line
    TEXT = "text"  # paragraphs


SUFFIXES = {
    ".json": Format.JSON,
    ".jsonl": Format.JSON,
    ".txt": Format.TEXT,
    ".md": Format.TEXT,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """A solution to judge; its label counts only where one was given."""

    solution: Solution
    has_label: bool

    @property
    def label(self) -> int | None:
        return self.solution.label if self.has_label else None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Object:
    line: int
    """1-based, where it begins."""
    value: object


@dataclass(kw_only=True, slots=True)
class _Problems:
    source: str
    lines: list[str] = field(default_factory=list)

    def add(self, line: int, what: str, *, fix: str) -> None:
        self.lines.append(f"line {line}{what}. Fix: {fix}")

    def done(self) -> None:
        if not self.lines:
            return
        rest = len(self.lines) - MAX_SHOWN
        shown = [*self.lines[:MAX_SHOWN], *([f"and {rest} more"] if rest > 0 else [])]
        raise BadInput("\n  ".join([f"{self.source}: {len(self.lines)} problem(s)", *shown]))


def decode(data: bytes, *, source: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadInput(
            f"{source}, line {line}: not UTF-8.", fix="save the file as UTF-8 and give it again"
        ) from error


def read_solutions(
    text: str, *, source: str, fmt: Format = Format.AUTO, problem: str | None = None
) -> list[Given]:
    """Raises BadInput with every problem; `source` is what messages call the text.

    With `problem`, the text holds steps alone, whatever it looks like.
    """
    if not text.strip():
        what = "no steps" if problem is not None else "no solution"
        raise BadInput(f"{source} is empty: {what}.", fix='give {"problem": …, "steps": […]}')
    if problem is not None:
        return [_from_text(text, problem, source)]
    if _format(text, source, fmt) is Format.TEXT:
        return [_from_text(text, None, source)]
    return _from_json(text, source)


def _format(text: str, source: str, fmt: Format) -> Format:
    if fmt is not Format.AUTO:
        return fmt
    for suffix, named in SUFFIXES.items():
        if source.lower().endswith(suffix):
            return named
    looks_like_json = re.match(r"\s*(\{|\[\s*[\[{\]])", text)
    return Format.JSON if looks_like_json else Format.TEXT


def _from_text(text: str, problem: str | None, source: str) -> Given:
    _check_characters(text + (problem or ""), source)
    paragraphs = [part.strip("\n") for part in re.split(r"\n\s*\n", text.replace("\r\n", "\n"))]
    paragraphs = [part for part in paragraphs if part.strip()]
    if problem is None:
        if len(paragraphs) == 1:
            paragraphs = paragraphs[0].strip().split("\n", 1)
        problem = re.sub(r"\A\s*(Problem|Question)\s*:\s*", "", paragraphs.pop(0))
    if len(paragraphs) == 1:
        paragraphs = paragraphs[0].split("\n")
    steps = _without_numbers([part.strip() for part in paragraphs if part.strip()])
    if not problem.strip() or not steps:
        what = "a problem but no steps" if not steps else "no problem"
        raise BadInput(
            f"{source} has {what}.",
            fix="write the problem, a blank line, then one step per line; or give JSON",
        )
    solution = Solution(
        id="1",
        problem_id=problem_id(problem),
        subset="",
        generator="",
        problem=problem.strip(),
        steps=tuple(steps),
        label=ALL_RIGHT,
    )
    return Given(solution=solution, has_label=False)


_NUMBER = re.compile(r"(?:Step\s+(\d+)\s*[:.)]|#(\d+)\s|(\d+)[.)](?=\s))\s*", re.IGNORECASE)


def _without_numbers(steps: list[str]) -> list[str]:
    """Only where they count all steps from 1: "3. " may also be where a sentence ends."""
    found = [_NUMBER.match(step) for step in steps]
    numbers = [int(one[1] or one[2] or one[3]) if one else 0 for one in found]
    rests = [step[one.end() :] if one else "" for step, one in zip(steps, found, strict=True)]
    counts = numbers == list(range(1, len(steps) + 1))
    return rests if counts and all(rest.strip() for rest in rests) else steps


def _from_json(text: str, source: str) -> list[Given]:
    problems = _Problems(source=source)
    objects = _objects(text, problems)
    problems.done()
    if not objects:
        raise BadInput(f"{source} holds an empty list.", fix="put at least one solution in it")
    found: list[Given] = []
    seen: dict[str, _Object] = {}
    for number, one in enumerate(objects, start=1):
        given = _read(one, f"{number}", problems)
        first = seen.setdefault(given.solution.id, one)
        if first is not one:
            what = f", id: {given.solution.id!r} is already used on line {first.line}"
            problems.add(one.line, what, fix="make ids unique, or leave them all out")
        found.append(given)
    problems.done()
    return found


def _objects(text: str, problems: _Problems) -> list[_Object]:
    try:
        whole = json.loads(text)
    except RecursionError:
        problems.add(1, ": nested too deeply", fix='give {"problem": …, "steps": […]}')
        return []
    except ValueError as error:
        return _lines(text, problems, error)
    if not isinstance(whole, list):
        return [_Object(line=1 + _blank_lines(text), value=whole)]
    return list(_items(text))


def _lines(text: str, problems: _Problems, error: ValueError) -> list[_Object]:
    """JSON lines, unless not even the first line is JSON: then it is one broken document."""
    found: list[_Object] = []
    broken: list[tuple[int, json.JSONDecodeError]] = []
    for number, line in enumerate(text.split("\n"), start=1):  # U+2028 is data
        if not line.strip():
            continue
        try:
            found.append(_Object(line=number, value=json.loads(line)))
        except json.JSONDecodeError as problem:
            broken.append((number, problem))
            if not found:
                break
        except (ValueError, RecursionError):
            problems.add(number, ": a number or a nesting too long", fix="shorten it")
    if not found and isinstance(error, json.JSONDecodeError):
        what = f", column {error.colno}: not JSON ({error.msg})"
        problems.add(error.lineno, what, fix='give {"problem": "…", "steps": ["…"]} or plain text')
        return []
    for number, wrong in broken:
        what = f", column {wrong.colno}: not JSON ({wrong.msg})"
        problems.add(number, what, fix="write one JSON object per line")
    return found


def _items(text: str) -> Iterator[_Object]:
    """The items of a JSON list, which is known to be one, with their lines."""
    decoder, at = json.JSONDecoder(), text.index("[") + 1
    while True:
        while text[at] in " \t\r\n,":
            at += 1
        if text[at] == "]":
            return
        line = text.count("\n", 0, at) + 1
        value, at = decoder.raw_decode(text, at)
        yield _Object(line=line, value=value)


def _blank_lines(text: str) -> int:
    return text[: len(text) - len(text.lstrip())].count("\n")


_MEANT = {
    "problem": ("question", "prompt", "query", "input"),
    "steps": ("step", "solution", "response", "model_process", "process"),
}
"""What other data sets call our keys."""


def _read(one: _Object, default_id: str, problems: _Problems) -> Given:
    checks = RowChecks(source=problems.source)
    row = checks.row(one.line, one.value)
    has_label = row.values.get("label") is not None
    problem, steps = row.text("problem"), row.texts("steps")
    whole = problem.encode("utf-8", "replace").decode()  # half characters have no bytes
    solution = Solution(
        id=_id(row, default_id),
        problem_id=problem_id(whole),
        subset="",
        generator="",
        problem=problem,
        steps=steps,
        label=row.label("label", num_steps=len(steps)) if has_label else ALL_RIGHT,
    )
    for key, value in {"id": solution.id, "problem": problem, "steps": "".join(steps)}.items():
        if _has_lone_surrogate(value):
            row.problem(key, "holds half of a character", fix=r"mend the \ud… escape in it")
    for found in checks.shown:
        fix = _renamed(row.values, found.key) or found.fix
        problems.add(found.row, f", {found.key}: {found.what}", fix=fix)
    return Given(solution=solution, has_label=has_label)


def _id(row: RowReader, default: str) -> str:
    value = row.values.get("id")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return row.optional_text("id") or default


def _renamed(values: Mapping[str, object], key: str) -> str | None:
    """Where a missing key stands under another name."""
    if key not in _MEANT or values.get(key) is not None:
        return None
    near = next((name for name in values if name.lower() in _MEANT[key]), None)
    return f"rename {near!r} to {key!r}" if near else None


def _check_characters(text: str, source: str) -> None:
    if _has_lone_surrogate(text):
        raise BadInput(f"{source} holds half of a character.", fix="save it as UTF-8 again")


def _has_lone_surrogate(text: str) -> bool:
    return any("\ud800" <= sign <= "\udfff" for sign in text)
