"""Does every sample become a row, with the exact label and grade it deserves?"""

from __future__ import annotations

import pytest

from rprm.attempts import (
    NOTHING_WRITTEN,
    Attempt,
    GraderName,
    attempt_of,
    counts_of,
    grades_of,
    label_of,
    solved_of,
)
from rprm.chain_policy import ChainFormat, worked
from rprm.data.chain_tokenizer import chain_tokenizer
from rprm.data.problem_tables import solved_to_table, table_to_solved
from rprm.engines.base import Sample
from rprm.schema import MathProblem

PROBLEM = MathProblem(id="p", subset="chain", problem="345 #1 + 210 #2 - 120", answer="435")
FMT = ChainFormat(chain_tokenizer())
FIRST, SECOND = worked("345 + 210 = 555", number=1), worked("555 - 120 = 435", number=2)


def attempt(text: str, *, cut_off: bool = False) -> Attempt:
    sample = Sample(text=text, token_ids=(0,), finish="length" if cut_off else "eos")
    return attempt_of(PROBLEM, 3, sample, FMT)


@pytest.mark.parametrize(
    ("text", "cut_off", "steps", "answer", "correct", "label"),
    [
        (f"{FIRST} . {SECOND}", False, 2, "435", True, -1),
        (f"{FIRST} . {SECOND}", True, 2, None, False, -1),  # nobody knows if it would go on
        (FIRST, False, 1, "555", False, -1),  # stopped too soon
        (f"{FIRST} . value 5", False, 2, None, False, 1),
        (f"{FIRST} . value 5", True, 2, None, False, 1),
        ("", False, 1, None, False, 0),
        (" . ", True, 1, None, False, 0),
        (f"{FIRST.replace('so 555', 'so 565')} . {SECOND}", False, 2, "435", True, 0),
    ],
)
def test_a_sample_is_kept_whatever_it_is(
    text: str, cut_off: bool, steps: int, answer: str | None, correct: bool, label: int
) -> None:
    one = attempt(text, cut_off=cut_off)
    (grade,) = grades_of([one], "exact", workers=1)
    solved = solved_of(one, generator="policy", correct=grade)
    assert solved.solution.id == "p/3"
    assert (len(solved.solution.steps), solved.answer) == (steps, answer)
    assert (solved.correct, solved.solution.label) == (correct, label)
    assert table_to_solved(solved_to_table([solved])) == [solved]


def test_an_empty_sample_says_so() -> None:
    assert attempt("").written.steps == (NOTHING_WRITTEN,)


def test_outside_the_small_world_nobody_knows_of_a_wrong_step() -> None:
    other = MathProblem(id="q", subset="math500", problem=PROBLEM.problem, answer="435")
    assert label_of(other, ("nonsense",)) == -1
    assert label_of(PROBLEM, ("nonsense",)) == 0


@pytest.mark.parametrize("grader", ["math-verify", "qwen"])
def test_a_lax_grader_sees_the_answers_only(grader: GraderName) -> None:
    attempts = [attempt(""), attempt(f"{FIRST} . {SECOND}")]  # equal texts need no process
    assert grades_of(attempts, grader, workers=1) == [False, True]


def test_counts_cover_every_sample() -> None:
    attempts = [attempt(f"{FIRST} . {SECOND}"), attempt(FIRST), attempt("", cut_off=True)]
    grades = grades_of(attempts, "exact", workers=1)
    solved = [
        solved_of(one, generator="policy", correct=correct)
        for one, correct in zip(attempts, grades, strict=True)
    ]
    assert counts_of(attempts, solved) == {
        "solutions": 3,
        "correct": 1,
        "undecided": 0,
        "unusable": 1,
        "solution_tokens": 3,
    }
