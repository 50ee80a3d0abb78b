"""How does a page become a folder?  An index, chunks that load when they are looked at, and code.

index.html  page.css  *.js    the page itself; nothing of the data is in them
data/index.js                 rprmShow.index({…}): one entry per solution, to list, filter and sort
data/00000.js …               rprmShow.chunk(0, […]): steps and critiques of some solutions

Data are scripts, not JSON, because a browser runs scripts of a file:// page but fetches nothing
for it.  The folder appears at once or not at all.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson

from rprm.errors import BadInput
from rprm.schema import Critique, Unparsed, Verdict
from rprm.scoring import is_error, num_unparsed
from rprm.show.shown import Category, Shown

PAGE = ("index.html", "page.css", "store.js", "list.js", "solution.js", "page.js")
MARK = '<meta name="generator" content="rprm show">'
"""In index.html; a folder without it is somebody's own and is not replaced."""

CHUNK_BYTES = 400_000
"""A few dozen solutions with ten long critiques per step; parsed in some milliseconds."""

_CATEGORIES = list(Category)
_VERDICTS = {Verdict.YES: 1, Verdict.NO: 0}
_ESCAPES = ((b"<", rb"\u003c"), (b"\xe2\x80\xa8", rb"\u2028"), (b"\xe2\x80\xa9", rb"\u2029"))
"""What may stand in JSON but not in every script: </script>, <!-- and two line separators."""


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """What the page says of its run."""

    title: str
    threshold: float
    facts: tuple[tuple[str, str], ...] = ()
    """Names and values, such as ("judge", "sft-3f9a…")."""
    whole: bool = True
    """Nothing of the run was left out, so that shares of it mean something."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    solutions: int
    steps: int
    """Those that were judged."""
    critiques: int
    categories: dict[Category, int]


@dataclass(kw_only=True, slots=True)
class _Index:
    """Columns of the index, one value per solution."""

    threshold: float
    subsets: dict[str, int] = field(default_factory=dict)
    problems: dict[str, int] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    subset: list[int] = field(default_factory=list)
    problem: list[int] = field(default_factory=list)
    label: list[int | None] = field(default_factory=list)
    prediction: list[int | None] = field(default_factory=list)
    category: list[int] = field(default_factory=list)
    lowest: list[float | None] = field(default_factory=list)
    certainty: list[float | None] = field(default_factory=list)
    strip: list[str] = field(default_factory=list)
    """A character per step: 0 to 4 below the threshold, 5 to 9 above, "-" without a score, "x" for
    the wrong one that a judge without scores names."""
    unparsed: list[int] = field(default_factory=list)
    """Critiques without a verdict."""
    chunk_starts: list[int] = field(default_factory=list)
    steps: int = 0
    critiques: int = 0

    def add(self, one: Shown) -> None:
        subject = one.subject
        self.ids.append(subject.id)
        self.subset.append(self.subsets.setdefault(subject.subset, len(self.subsets)))
        self.problem.append(self.problems.setdefault(subject.problem, len(self.problems)))
        self.label.append(subject.label)
        self.prediction.append(one.prediction)
        self.category.append(_CATEGORIES.index(one.category))
        self.lowest.append(_short(one.lowest))
        self.certainty.append(_short(one.certainty))
        self.strip.append(_strip(one, self.threshold))
        self.unparsed.append(sum(num_unparsed(step.critiques_K) for step in one.steps_S))
        self.steps += sum(bool(step.critiques_K) or step.score is not None for step in one.steps_S)
        self.critiques += sum(len(step.critiques_K) for step in one.steps_S)

    def counts(self) -> Counts:
        found = dict.fromkeys(_CATEGORIES, 0)
        for code in self.category:
            found[_CATEGORIES[code]] += 1
        return Counts(
            solutions=len(self.ids),
            steps=self.steps,
            critiques=self.critiques,
            categories={name: number for name, number in found.items() if number},
        )

    def document(self, about: About) -> dict[str, Any]:
        return {
            "title": about.title,
            "facts": about.facts,
            "threshold": about.threshold,
            "whole": about.whole,
            "numSteps": self.steps,
            "numCritiques": self.critiques,
            "categories": [one.value for one in _CATEGORIES],
            "subsets": list(self.subsets),
            "problems": list(self.problems),
            "ids": self.ids,
            "subset": self.subset,
            "problem": self.problem,
            "label": self.label,
            "prediction": self.prediction,
            "category": self.category,
            "lowest": self.lowest,
            "certainty": self.certainty,
            "strip": self.strip,
            "unparsed": self.unparsed,
            "chunkStarts": self.chunk_starts,
        }


def write_page(folder: Path, shown: Iterable[Shown], about: About) -> Counts:
    """Replaces an older page in `folder`; anything else there is left alone and refused."""
    with _replaced(folder) as fresh:
        (fresh / "data").mkdir()
        index = _Index(threshold=about.threshold)
        for number, chunk in enumerate(_chunks(shown, index)):
            (fresh / "data" / f"{number:05d}.js").write_bytes(
                b"rprmShow.chunk(%d, [\n%s\n]);\n" % (number, b",\n".join(chunk))
            )
        data = script_json(index.document(about))
        (fresh / "data" / "index.js").write_bytes(b"rprmShow.index(%s);\n" % data)
        here = files("rprm.show") / "page"
        for name in PAGE:
            (fresh / name).write_bytes((here / name).read_bytes())
    return index.counts()


def _chunks(shown: Iterable[Shown], index: _Index) -> Iterator[list[bytes]]:
    entries: list[bytes] = []
    size = 0
    for one in shown:
        if not entries:
            index.chunk_starts.append(len(index.ids))
        index.add(one)
        entries.append(script_json(solution_entry(one)))
        size += len(entries[-1])
        if size >= CHUNK_BYTES:
            yield entries
            entries, size = [], 0
    if entries:
        yield entries


def solution_entry(one: Shown) -> dict[str, Any]:
    """What a chunk holds of a solution: all but what the index says."""
    return {
        "id": one.subject.id,
        "generator": one.subject.generator,
        "answer": one.subject.answer,
        "texts": one.texts,
        "steps": [
            {
                "text": text,
                "gold": gold,
                "score": step.score,  # unrounded: which side of the threshold it is on must hold
                "refused": step.refused,
                "critiques": [_critique(critique) for critique in step.critiques_K],
            }
            for text, gold, step in zip(one.subject.steps_S, one.gold_S, one.steps_S, strict=True)
        ],
    }


def script_json(value: object) -> bytes:
    """JSON that is also a harmless expression in a script, wherever the script stands."""
    try:
        data = orjson.dumps(value)
    except TypeError:  # half a surrogate pair: escaped, a browser can read it
        data = json.dumps(value, separators=(",", ":")).encode()
    for character, escape in _ESCAPES:
        data = data.replace(character, escape)
    return data


def _critique(one: Critique | Unparsed) -> tuple[int | None, float | None, int, str, str]:
    if isinstance(one, Critique):
        return _VERDICTS[one.verdict], _short(one.p_yes), one.num_tokens, one.text, ""
    return None, None, one.num_tokens, one.text, one.cause


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _strip(one: Shown, threshold: float) -> str:
    letters = [_letter(step.score, threshold) for step in one.steps_S]
    if one.lowest is None and one.prediction is not None and 0 <= one.prediction < len(letters):
        letters[one.prediction] = "x"
    return "".join(letters)


def _letter(score: float | None, threshold: float) -> str:
    if score is None:
        return "-"
    if is_error(score, threshold):
        return str(min(int(score / threshold * 5), 4))
    return str(5 + min(int((score - threshold) / max(1 - threshold, 1e-9) * 5), 4))


@contextmanager
def _replaced(folder: Path) -> Iterator[Path]:
    """A fresh folder beside it, that takes its place when all is written."""
    _refuse_strangers(folder)
    token = uuid.uuid4().hex[:8]
    fresh = folder.with_name(f".{folder.name}.{token}.part")
    older = folder.with_name(f".{folder.name}.{token}.old")
    try:
        fresh.mkdir(parents=True)
    except OSError as error:
        raise BadInput(
            f"cannot write to {folder}: {error.strerror}.", fix="give another --output"
        ) from error
    try:
        yield fresh
        _swap(folder, fresh, older)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(older, ignore_errors=True)


def _swap(folder: Path, fresh: Path, older: Path) -> None:
    """The older page is kept aside until the fresh one stands, and put back if it cannot."""
    if folder.exists():
        folder.rename(older)
    try:
        fresh.rename(folder)
    except OSError:
        if older.exists():
            older.rename(folder)
        raise


def _refuse_strangers(folder: Path) -> None:
    if not folder.exists():
        return
    index = folder / "index.html"
    ours = index.is_file() and MARK in index.read_text(encoding="utf-8", errors="replace")
    if not ours and not (folder.is_dir() and not any(folder.iterdir())):
        raise BadInput(
            f"{folder} exists and is no page of `rprm show`.", fix="give another --output"
        )
