"""What becomes of a sample that a policy wrote?  A solution with its answer, label and grade.

A sample that was cut off, or whose text its format cannot read, is unusable: it stays as a solution
without an answer, and not correct.  In the small world every label is exact; elsewhere it is -1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rprm.benchmarks.grading import GraderName, grade_all, is_right
from rprm.data import chains
from rprm.data.chain_checks import first_wrong
from rprm.data.problem_tables import Solved
from rprm.engines.base import Sample
from rprm.policy import PolicyFormat, Written
from rprm.schema import MathProblem, Solution

NOTHING_WRITTEN: Final = "(nothing was written)"
"""Stands for the steps of an empty sample, which no table of solutions could hold."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One sample of a problem, read but not graded."""

    problem: MathProblem
    number: int
    """Of the sample, from 0."""
    written: Written
    usable: bool
    num_tokens: int


def attempt_of(problem: MathProblem, number: int, sample: Sample, fmt: PolicyFormat) -> Attempt:
    written = fmt.read_solution(sample)
    kept = Written(steps=fmt.split(sample.text) or (NOTHING_WRITTEN,), answer=None)
    return Attempt(
        problem=problem,
        number=number,
        written=written or kept,
        usable=written is not None,
        num_tokens=len(sample.token_ids),
    )


def label_of(problem: MathProblem, steps: Sequence[str]) -> int:
    """Index of the first wrong step; -1 where there is none, or nobody can say."""
    wrong = first_wrong(problem.problem, steps) if problem.subset == chains.SUBSET else None
    return -1 if wrong is None else wrong


def grades_of(
    attempts: Sequence[Attempt], grader: GraderName, *, workers: int
) -> list[bool | None]:
    """Is the answer right?  None where the grader cannot decide; without an answer nothing is."""
    answered = [
        (one.problem.answer, one.written.answer)
        for one in attempts
        if one.written.answer is not None
    ]
    grades = iter(grade_all(answered, grader=grader, workers=workers))
    return [False if one.written.answer is None else is_right(next(grades)) for one in attempts]


def solved_of(attempt: Attempt, *, generator: str, correct: bool | None) -> Solved:
    problem, written = attempt.problem, attempt.written
    return Solved(
        solution=Solution(
            id=f"{problem.id}/{attempt.number}",
            problem_id=problem.id,
            subset=problem.subset,
            generator=generator,
            problem=problem.problem,
            steps=written.steps,
            label=label_of(problem, written.steps),
        ),
        sample=attempt.number,
        answer=written.answer,
        reference=problem.answer,
        correct=correct,
        num_tokens=attempt.num_tokens,
    )


def counts_of(attempts: Sequence[Attempt], solved: Sequence[Solved]) -> dict[str, int]:
    return {
        "solutions": len(solved),
        "correct": sum(one.correct is True for one in solved),
        "undecided": sum(one.correct is None for one in solved),
        "unusable": sum(not one.usable for one in attempts),
        "solution_tokens": sum(one.num_tokens for one in attempts),
    }
