"""How do tests write recorded outputs, and benchmarks to score them against?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rprm.data.prmbench import PrmBenchData, PrmItem
from rprm.data.processbench import ProcessBench
from rprm.data.sources import Source
from rprm.recorded.reading import Row, RowFile
from rprm.schema import Solution

SOURCE = Source(name="test", files=(), revision=None, digest="0")


def rows(*values: Mapping[str, Any]) -> RowFile:
    return RowFile(
        source="rows.jsonl",
        rows=tuple(Row(index=at, line=at + 1, values=one) for at, one in enumerate(values)),
    )


def solution(id: str, label: int, *, num_steps: int = 4) -> Solution:
    """Of the subset that its id begins with."""
    return Solution(
        id=id,
        problem_id=id,
        subset=id.split("-")[0],
        generator="g",
        problem="q",
        steps=tuple("s" * num_steps),
        label=label,
    )


def benchmark(*solutions: Solution) -> ProcessBench:
    return ProcessBench(solutions=solutions, subsets=(), source=SOURCE)


def item(id: str, *, steps: int = 3, wrong: Iterable[int] = ()) -> PrmItem:
    """Of the class that its id begins with."""
    errors = frozenset(wrong)
    one = Solution(
        id=id,
        problem_id=id,
        subset=id.rpartition("_")[0],
        generator="",
        problem="q",
        steps=tuple("s" * steps),
        label=min(errors, default=-1),
    )
    return PrmItem(solution=one, error_steps_S=errors)


def prmbench(*items: PrmItem) -> PrmBenchData:
    return PrmBenchData(items=items, duplicates=(), counts={}, source=SOURCE)
