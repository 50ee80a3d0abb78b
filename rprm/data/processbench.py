"""What does ProcessBench hold, and is this copy the published one?

Data    Qwen/ProcessBench (Apache-2.0), four subsets; label -1 means every step is right, else it
        is the 0-based index of the first wrong step
Pinned  the md5 of each subset's JSON file: copies differ in labels (math-688 is 2 in the copy
        that R-PRM's scripts used, 0 in the current data), so every report names its md5
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rprm.data.problems import problem_id
from rprm.data.rows import RowReader
from rprm.data.sources import Source, resolve, rows_of
from rprm.data.tables import read_rows
from rprm.errors import BadInput
from rprm.schema import Solution

DEFAULT_SOURCE = "data:processbench"
SUBSETS = ("gsm8k", "math", "olympiadbench", "omnimath")

KNOWN_MD5: Mapping[str, str] = {
    "gsm8k": "adcc66ce302e2b762e3617c69afe7697",
    "math": "7e6e6aeac835532cb17fc213d76c168a",
    "olympiadbench": "64d3d709c0eb19ede545ada0efef2356",
    "omnimath": "48f9bbd736369c5ee65ccab8b6713d57",
}

_SHARD = re.compile(r"-\d{5}-of-\d{5}$")


@dataclass(frozen=True, kw_only=True, slots=True)
class SubsetFacts:
    subset: str
    num_solutions: int
    num_errors: int
    """Solutions with a wrong step; the rest are right throughout."""
    num_steps: int
    num_steps_to_first_error: int
    """Steps that decide the metric: those after the first wrong one cannot change a match."""
    num_right_answers_by_wrong_steps: int
    md5: str
    copy: Literal["published", "differs", "unknown"]
    """Against KNOWN_MD5; a copy that differs is reported, and the run goes on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessBench:
    solutions: tuple[Solution, ...]
    subsets: tuple[SubsetFacts, ...]
    source: Source

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence for each subset whose bytes are not the published ones."""
        return tuple(
            f"ProcessBench {one.subset}: md5 {one.md5} is not the published "
            f"{KNOWN_MD5.get(one.subset, '(none known)')}; labels may differ"
            for one in self.subsets
            if one.copy != "published"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Row:
    solution: Solution
    right_answer: bool


def load_processbench(
    name: str = DEFAULT_SOURCE,
    *,
    subsets: Sequence[str] | None = None,
    revision: str | None = None,
) -> ProcessBench:
    """Load the named subsets (default: every file of the source), in that order."""
    source = resolve(name, revision=revision)
    files = _chosen(source, subsets)
    rows = {subset: _read_file(source, file, subset) for subset, file in files.items()}
    return ProcessBench(
        solutions=tuple(row.solution for subset in files for row in rows[subset]),
        subsets=tuple(_facts(subset, rows[subset], _md5(file)) for subset, file in files.items()),
        source=source,
    )


def subset_of(file: Path) -> str:
    """The Hub may serve gsm8k.json as gsm8k-00000-of-00001.parquet."""
    return _SHARD.sub("", file.name.split(".")[0])


def _chosen(source: Source, subsets: Sequence[str] | None) -> dict[str, Path]:
    by_name = {subset_of(file): file for file in source.files}
    if len(by_name) < len(source.files):
        raise BadInput(
            f"{source.name}: several files hold one subset: {[f.name for f in source.files]}.",
            fix="keep one file per subset",
        )
    missing = [subset for subset in subsets or () if subset not in by_name]
    if missing:
        raise BadInput(
            f"{source.name} has no subset {', '.join(missing)}; it has {', '.join(by_name)}.",
            fix="name subsets that are there",
        )
    wanted = subsets or sorted(by_name, key=_published_order)
    return {subset: by_name[subset] for subset in wanted}


def _published_order(subset: str) -> tuple[int, str]:
    return (SUBSETS.index(subset) if subset in SUBSETS else len(SUBSETS), subset)


def _read_file(source: Source, file: Path, subset: str) -> list[_Row]:
    def read(row: RowReader) -> _Row:
        return _read(row, subset)

    return read_rows(rows_of(file), source.shown(file), read, unique="id")


def _read(row: RowReader, subset: str) -> _Row:
    steps, problem = row.texts("steps"), row.text("problem")
    solution = Solution(
        id=row.text("id"),
        problem_id=problem_id(problem),
        subset=subset,
        generator=row.text("generator"),
        problem=problem,
        steps=steps,
        label=row.label("label", num_steps=len(steps)),
    )
    return _Row(solution=solution, right_answer=row.boolean("final_answer_correct"))


def _facts(subset: str, rows: Sequence[_Row], md5: str) -> SubsetFacts:
    known = KNOWN_MD5.get(subset)
    wrong = [row for row in rows if row.solution.label >= 0]
    return SubsetFacts(
        subset=subset,
        num_solutions=len(rows),
        num_errors=len(wrong),
        num_steps=sum(len(row.solution.steps) for row in rows),
        num_steps_to_first_error=sum(_num_deciding(row.solution) for row in rows),
        num_right_answers_by_wrong_steps=sum(row.right_answer for row in wrong),
        md5=md5,
        copy="unknown" if known is None else "published" if md5 == known else "differs",
    )


def _num_deciding(solution: Solution) -> int:
    return len(solution.steps) if solution.label == -1 else solution.label + 1


def _md5(file: Path) -> str:
    """The name under which copies are compared, not a safeguard; the digest is sha256."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
