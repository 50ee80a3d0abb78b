"""Where does any solution of the small world first go wrong, and what is the answer?  Pure.

The label rules are those by which `chains` makes its solutions: a step states the value before it,
the sign and the operand of its term, and the right result.  Up to the first error every step is
true, so a step is right exactly when it says what the true solution says there.

Missing steps   make no step wrong: a solution that stops too soon has the label -1, and a wrong
                answer
Surplus steps   have no term: the first of them is wrong
Other text      is wrong, whatever it means; only blanks do not count
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from rprm.data.chain_analysis import QUESTION
from rprm.data.chains import Problem, Step, Term, apply


def parse_problem(text: str) -> Problem | None:
    """None for a text that is no problem of the small world."""
    if not QUESTION.fullmatch(text):
        return None
    start, *words = text.split()
    signs_and_operands = zip(words[1::3], words[2::3], strict=True)
    terms = tuple(Term(sign=sign, operand=int(operand)) for sign, operand in signs_and_operands)
    return Problem(id="", start=int(start), terms=terms)


def true_steps(problem: Problem) -> tuple[Step, ...]:
    value, steps = problem.start, list[Step]()
    for term in problem.terms:
        result = apply(value, term.sign, term.operand)
        steps.append(Step(value=value, sign=term.sign, operand=term.operand, result=result))
        value = result
    return tuple(steps)


def answer_of(problem: str) -> str | None:
    """The exact answer; None for a text that is no problem of the small world."""
    parsed = parse_problem(problem)
    return None if parsed is None else str(true_steps(parsed)[-1].result)


def first_wrong(problem: str, steps: Sequence[str]) -> int | None:
    """The 0-based index of the first wrong step, -1 where every step is right.

    None for a text that is no problem of the small world: nothing can be said of its steps."""
    parsed = parse_problem(problem)
    if parsed is None:
        return None
    truth = [_squeezed(step.text) for step in true_steps(parsed)][: len(steps)]
    stated = [_squeezed(step) for step in steps]
    pairs = enumerate(zip_longest(stated, truth))
    return next((index for index, (one, other) in pairs if one != other), -1)


def _squeezed(text: str) -> str:
    return "".join(text.split())
