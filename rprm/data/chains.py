"""Which problems and solutions does the small world have, and where is the first wrong step?

A problem is a chain of two to four numbered additions and subtractions of three-digit numbers, such
as `345 #1 + 210 #2 - 120`; every value stays within 100..999.  A solution states each step, as in
`345 + 210 = 555`.
About half of the solutions carry one injected first error and then go on consistently from it, so
every label is exact by construction.

Problem i of a world is a function of (seed, i, split) alone.  The text of a problem decides its
split, so no problem can ever stand in two of them, whatever the seeds.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from rprm.errors import BadInput
from rprm.schema import Solution

LOW: Final = 100
HIGH: Final = 999
SUBSET: Final = "chain"
ERRONEOUS: Final = 0.5
"""Share of solutions with an error, as in a benchmark whose two accuracies weigh the same."""

Split = Literal["train", "dev", "test"]
SPLITS: Final[Mapping[str, range]] = {"train": range(2, 10), "dev": range(1), "test": range(1, 2)}
"""Which tenths of all problem texts belong to a split."""


class Flaw(StrEnum):
    SLIP = "slip"  # one digit of the result is wrong
    DROPPED_CARRY = "dropped-carry"  # a carry or borrow was forgotten
    WRONG_OPERAND = "wrong-operand"  # another number was added or subtracted
    MISCOPY = "miscopy"  # the value before was copied wrongly
    WRONG_OPERATION = "wrong-operation"  # added instead of subtracted, or the reverse


FLAWS: Final[Mapping[Flaw, float]] = {
    Flaw.SLIP: 0.30,
    Flaw.DROPPED_CARRY: 0.30,
    Flaw.WRONG_OPERAND: 0.15,
    Flaw.MISCOPY: 0.15,
    Flaw.WRONG_OPERATION: 0.10,
}
"""How often each kind is the injected error."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Term:
    sign: str
    """"+" or "-"."""
    operand: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    id: str
    start: int
    terms: tuple[Term, ...]

    @property
    def text(self) -> str:
        terms = (f"#{n} {term.sign} {term.operand}" for n, term in enumerate(self.terms, start=1))
        return " ".join([str(self.start), *terms])


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One stated step.  It need not be true."""

    value: int
    sign: str
    operand: int
    result: int

    @property
    def text(self) -> str:
        return f"{self.value} {self.sign} {self.operand} = {self.result}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Worked:
    """A problem, one solution of it, and what was done to the solution."""

    problem: Problem
    solution: Solution
    flaw: Flaw | None


def problem(seed: int, index: int, split: Split) -> Problem:
    return worked(seed, index, split).problem


def solution(seed: int, index: int, split: Split, *, erroneous: float = ERRONEOUS) -> Solution:
    return worked(seed, index, split, erroneous=erroneous).solution


def worked(seed: int, index: int, split: Split, *, erroneous: float = ERRONEOUS) -> Worked:
    """The flaw is fixed first, so its rate holds; then draw until problem, split and flaw fit.

    A world in which all solutions are erroneous has about as many wrong steps as right ones before
    them, which balanced training pairs need."""
    if split not in SPLITS:
        raise BadInput(f"unknown split {split!r}", fix=f"use one of {', '.join(SPLITS)}")
    rng = stream("chain", seed, index, split)
    flaw = _draw_flaw(rng, erroneous)
    name = f"chain-{split}-{seed}-{index}"
    while True:
        posed = draw_problem(rng, name)
        if split_of(posed.text) != split:
            continue
        wrong = -1 if flaw is None else rng.randrange(len(posed.terms))
        if (steps := _solve(posed, flaw, wrong, rng)) is not None:
            return Worked(problem=posed, flaw=flaw, solution=_as_solution(posed, steps, wrong))


def stream(*parts: object) -> random.Random:
    """A random stream that depends on its name alone, on every machine."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=16).digest()
    return random.Random(int.from_bytes(digest, "big"))


def split_of(text: str) -> str:
    """The one split that a problem with this text may appear in."""
    tenth = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") % 10
    return next(name for name, tenths in SPLITS.items() if tenth in tenths)


def draw_problem(rng: random.Random, name: str) -> Problem:
    start = value = rng.randint(LOW, HIGH)
    terms: list[Term] = []
    for _ in range(rng.randint(2, 4)):
        terms.append(_draw_term(rng, value))
        value = apply(value, terms[-1].sign, terms[-1].operand)
    return Problem(id=name, start=start, terms=tuple(terms))


def apply(value: int, sign: str, operand: int) -> int:
    return value + operand if sign == "+" else value - operand


def with_other_digit(rng: random.Random, number: int) -> int:
    """A three-digit number that differs from this one in exactly one digit."""
    digits = list(str(number))
    place = rng.randrange(3)
    digits[place] = rng.choice([d for d in "0123456789"[place == 0 :] if d != digits[place]])
    return int("".join(digits))


def _draw_term(rng: random.Random, value: int) -> Term:
    signs = ["+"] * (value + LOW <= HIGH) + ["-"] * (value - LOW >= LOW)
    sign = rng.choice(signs)
    return Term(sign=sign, operand=rng.randint(LOW, HIGH - value if sign == "+" else value - LOW))


def _draw_flaw(rng: random.Random, erroneous: float) -> Flaw | None:
    if rng.random() >= erroneous:
        return None
    return rng.choices(list(FLAWS), weights=list(FLAWS.values()))[0]


def _solve(
    posed: Problem, flaw: Flaw | None, wrong: int, rng: random.Random
) -> tuple[Step, ...] | None:
    """The steps with `flaw` in step `wrong`; None when a value would leave the range."""
    value, steps = posed.start, list[Step]()
    for number, term in enumerate(posed.terms):
        step = _right(value, term)
        if flaw is not None and number == wrong:
            step = SPOILERS[flaw](rng, posed, step)
            if step == _right(value, term):
                return None
        if not all(LOW <= n <= HIGH for n in (step.value, step.operand, step.result)):
            return None
        steps.append(step)
        value = step.result
    return tuple(steps)


def _right(value: int, term: Term) -> Step:
    result = apply(value, term.sign, term.operand)
    return Step(value=value, sign=term.sign, operand=term.operand, result=result)


def _as_solution(posed: Problem, steps: tuple[Step, ...], wrong: int) -> Solution:
    return Solution(
        id=f"{posed.id}-a",
        problem_id=posed.id,
        subset=SUBSET,
        generator="chains",
        problem=posed.text,
        steps=tuple(step.text for step in steps),
        label=wrong,
    )


def _slip(rng: random.Random, _posed: Problem, step: Step) -> Step:
    result = with_other_digit(rng, step.result)
    return Step(value=step.value, sign=step.sign, operand=step.operand, result=result)


def _drop_carry(rng: random.Random, _posed: Problem, step: Step) -> Step:
    """Unchanged when no column carries: the caller then draws another problem."""
    shift = -1 if step.sign == "+" else 1
    lost = [ten for ten in (10, 100) if _carries(step, ten)]
    result = step.result + shift * rng.choice(lost) if lost else step.result
    return Step(value=step.value, sign=step.sign, operand=step.operand, result=result)


def _carries(step: Step, ten: int) -> bool:
    """Does the column below `ten` hand a carry or borrow on?"""
    return not 0 <= apply(step.value % ten, step.sign, step.operand % ten) < ten


def _swap_operand(rng: random.Random, posed: Problem, step: Step) -> Step:
    others = [term.operand for term in posed.terms if term.operand != step.operand]
    misread = with_other_digit(rng, step.operand)
    operand = rng.choice(others) if others and rng.random() < 0.5 else misread
    return _right(step.value, Term(sign=step.sign, operand=operand))


def _miscopy(rng: random.Random, _posed: Problem, step: Step) -> Step:
    value = with_other_digit(rng, step.value)
    return _right(value, Term(sign=step.sign, operand=step.operand))


def _swap_operation(_rng: random.Random, _posed: Problem, step: Step) -> Step:
    sign = "-" if step.sign == "+" else "+"
    return _right(step.value, Term(sign=sign, operand=step.operand))


SPOILERS: Final[Mapping[Flaw, Callable[[random.Random, Problem, Step], Step]]] = {
    Flaw.SLIP: _slip,
    Flaw.DROPPED_CARRY: _drop_carry,
    Flaw.WRONG_OPERAND: _swap_operand,
    Flaw.MISCOPY: _miscopy,
    Flaw.WRONG_OPERATION: _swap_operation,
}
