"""Which judged steps are worth reading?  A few of each kind, the same ones every time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from rprm.schema import Critique, Solution
from rprm.scoring import is_error, score
from rprm.selection import rank
from rprm.stages.judged import JudgedCase

KINDS = ("found error", "missed error", "false alarm", "unparsed")
CRITIQUES_SHOWN = 3


def choose_examples(
    solutions: Sequence[Solution], rows: Sequence[JudgedCase], each: int, threshold: float
) -> list[dict[str, Any]]:
    """At most `each` steps of every kind, with their first critiques."""
    known = {one.id: one for one in solutions}
    shuffled = sorted(rows, key=lambda row: rank("examples", row.case.id))
    return [
        _example(kind, row, known[row.case.solution_id])
        for kind in KINDS
        for row in islice(_of_kind(kind, shuffled, threshold), each)
    ]


def _of_kind(kind: str, rows: Sequence[JudgedCase], threshold: float) -> Iterator[JudgedCase]:
    return (row for row in rows if _kind(row, threshold) == kind)


def _kind(row: JudgedCase, threshold: float) -> str:
    value = score(row.critiques_K)
    if value is None:
        return "unparsed"
    wrong = is_error(value, threshold)
    if row.case.gold is False:
        return "found error" if wrong else "missed error"
    return "false alarm" if wrong else "passed"


def _example(kind: str, row: JudgedCase, solution: Solution) -> dict[str, Any]:
    return {
        "kind": kind,
        "case_id": row.case.id,
        "problem": solution.problem,
        "steps": list(solution.steps),
        "step": row.case.step,
        "label": solution.label,
        "score": score(row.critiques_K),
        "critiques": [
            {
                "text": one.text,
                "verdict": one.verdict.value if isinstance(one, Critique) else None,
                "p_yes": one.p_yes if isinstance(one, Critique) else None,
                "cause": None if isinstance(one, Critique) else one.cause,
            }
            for one in row.critiques_K[:CRITIQUES_SHOWN]
        ],
    }
