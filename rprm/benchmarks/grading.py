"""Is a prediction the reference answer?  Right, wrong, or undecided.

Graders     math-verify   symbolic equality by the library of that name (see math_verify_grader)
            qwen          the laxer published one of the Qwen2.5-Math harness (see qwen_grader)
            exact         the same text, spaces around it aside
Right       at once where both texts come out the same in `answers.normalised`; else if the grader
            says so (of two whole numbers it is not asked).  The reference comes first in a pair:
            the order matters
Wrong       an empty prediction, one that cannot be read, one that is not equal
Undecided   the reference could not be read ("unparsed"), the comparison took too long ("timeout"),
            broke its process twice ("crashed"), or a text is longer than any answer ("too_long")

math-verify and qwen run in processes that a hanging pair cannot hold up (see grading_pool).  Equal
pairs are graded once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from rprm.benchmarks.answers import normalised
from rprm.benchmarks.grading_pool import GradingPool, Outcome, Pair
from rprm.benchmarks.grading_verdicts import Verdict

GraderName = Literal["math-verify", "qwen", "exact"]
OnGraded = Callable[[int], None]

TIMEOUT_S = 5.0
MAX_CHARACTERS = 2000
"""Of a text that is handed to a grader; the longest reference of the known sets has 993."""


_WHOLE = re.compile(r"\s*-?[0-9]{1,100}\s*")


class Grade(StrEnum):
    RIGHT = "right"
    WRONG = "wrong"
    UNDECIDED = "undecided"


@dataclass(frozen=True, kw_only=True, slots=True)
class Graded:
    grade: Grade
    cause: str | None = None
    """Why it is undecided."""


RIGHT, WRONG = Graded(grade=Grade.RIGHT), Graded(grade=Grade.WRONG)


def grade_all(
    pairs: Sequence[Pair],
    *,
    grader: GraderName = "math-verify",
    workers: int | None = None,
    timeout_s: float = TIMEOUT_S,
    on_graded: OnGraded | None = None,
) -> list[Grade]:
    """The grade of every (gold, prediction), in their order.

    `workers` defaults to the cores this process may use.  `timeout_s` is CPU time per pair.
    `on_graded` is told how many pairs are graded so far."""
    with Grading(grader=grader, workers=workers, timeout_s=timeout_s) as grading:
        return [one.grade for one in grading.grade(pairs, on_graded=on_graded)]


def is_right(grade: Grade) -> bool | None:
    """As tables keep it: null where undecided."""
    return None if grade is Grade.UNDECIDED else grade is Grade.RIGHT


class Grading:
    """Grades batch after batch with the same processes, and remembers what it graded."""

    def __init__(
        self,
        *,
        grader: GraderName = "math-verify",
        workers: int | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._grader = grader
        self._pool = GradingPool(grader, workers=workers or _cores(), timeout_s=timeout_s)
        self._known: dict[Pair, Graded] = {}

    def __enter__(self) -> Grading:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.__exit__()

    def grade(self, pairs: Sequence[Pair], *, on_graded: OnGraded | None = None) -> list[Graded]:
        for pair in dict.fromkeys(pairs):
            if pair not in self._known:
                found = at_once(*pair, grader=self._grader)
                if found is not None:
                    self._known[pair] = found
        hard = [pair for pair in dict.fromkeys(pairs) if pair not in self._known]
        done = len(pairs) - len(hard)

        def decided(index: int, outcome: Outcome) -> None:
            nonlocal done
            done += 1
            self._known[hard[index]] = _graded(outcome)
            if on_graded:
                on_graded(done)

        if on_graded:
            on_graded(done)
        self._pool.grade(hard, decided)
        return [self._known[pair] for pair in pairs]


def at_once(gold: str, prediction: str, *, grader: GraderName) -> Graded | None:
    """The grade of a pair that needs no grader; None for one that does."""
    if grader == "exact":
        return RIGHT if gold.strip() == prediction.strip() else WRONG
    if not prediction.strip():
        return WRONG
    if max(len(gold), len(prediction)) > MAX_CHARACTERS:
        same = gold.strip() == prediction.strip()
        return RIGHT if same else Graded(grade=Grade.UNDECIDED, cause="too_long")
    if normalised(gold) == normalised(prediction):
        return RIGHT
    if grader == "math-verify" and _WHOLE.fullmatch(gold) and _WHOLE.fullmatch(prediction):
        return RIGHT if int(gold) == int(prediction) else WRONG  # the most frequent mistakes
    return None


def _graded(outcome: Outcome) -> Graded:
    match outcome:
        case Verdict.RIGHT:
            return RIGHT
        case Verdict.WRONG:
            return WRONG
        case Verdict.UNPARSED:
            return Graded(grade=Grade.UNDECIDED, cause="unparsed")
        case str():
            return Graded(grade=Grade.UNDECIDED, cause=outcome)


def _cores() -> int:
    found = getattr(os, "sched_getaffinity", None)
    return len(found(0)) if found else os.cpu_count() or 1
