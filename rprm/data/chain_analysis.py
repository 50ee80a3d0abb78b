"""How does one check a step of the small world digit by digit, and how does a sloppy teacher?

    value 5 5 ok 5 5 ok 5 5 ok              the value to start from: each digit, as it should be
    term #2 - - ok 1 1 ok 2 2 ok 0 0 ok     and as written; then the operation and the operand
    units 5 - 0 = 5 5 ok                    digit and digit, what it gives and what is written
    carry 0 tens 5 - 2 = 3 3 ok             with the carry or borrow of the column before
    carry 0 hundreds 5 - 1 = 4 4 ok
    correct ? yes

An analysis is one line and stops at its first `bad`.  Every `ok` compares two neighbours, which a
small model can learn.  Without noise an analysis is right by construction; the noisy version makes
the mistakes that filtering by gold agreement is there to remove.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from rprm.data.chains import Step
from rprm.errors import BadInput

VERDICT: Final = "correct ?"
OK: Final = "ok"
BAD: Final = "bad"
COLUMNS: Final = ("units", "tens", "hundreds")
STEP: Final = re.compile(r"(\d{3}) ([+-]) (\d{3}) = (\d{3})")
QUESTION: Final = re.compile(r"\d{3}(?: #\d [+-] \d{3})+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Noise:
    """How often a teacher errs."""

    slip: float = 0.02
    """Per column without one: the digit comes out one off."""
    carry_slip: float = 0.15
    """Per column with a carry or borrow to hand on: it is forgotten, so the next column is off."""
    misread: float = 0.01
    """Per analysis: one digit is copied wrongly."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """What a step should copy, and what it states."""

    number: int
    """1-based."""
    value: int
    sign: str
    operand: int
    stated: Step


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    name: str
    sign: str
    digits: tuple[int, int]
    carry_in: int
    digit: int
    carry_out: int
    claimed: int

    @property
    def text(self) -> str:
        """The units have no carry to start from."""
        one, other = self.digits
        carry = "" if self.name == COLUMNS[0] else f"carry {self.carry_in} "
        found = _compared(str(self.digit), str(self.claimed))
        return f"{carry}{self.name} {one} {self.sign} {other} = {found}"


def check_of(question: str, previous_steps: Sequence[str], now_step: str) -> Check:
    """Read a case of the small world.  BadInput when its text is not of that form."""
    if not QUESTION.fullmatch(question):
        raise BadInput(f"not a chain problem: {question!r}", fix="use cases of the chain world")
    start, *words = question.split()
    terms = list(zip(words[1::3], words[2::3], strict=True))
    number = len(previous_steps)
    if number >= len(terms):
        raise BadInput(f"more steps than terms in {question!r}", fix="use cases of the chain world")
    sign, operand = terms[number]
    return Check(
        number=number + 1,
        value=parse_step(previous_steps[-1]).result if previous_steps else int(start),
        sign=sign,
        operand=int(operand),
        stated=parse_step(now_step),
    )


def parse_step(text: str) -> Step:
    found = STEP.fullmatch(text)
    if found is None:
        raise BadInput(f"not a chain step: {text!r}", fix="use cases of the chain world")
    value, sign, operand, result = found.groups()
    return Step(value=int(value), sign=sign, operand=int(operand), result=int(result))


def analyse(check: Check, *, noise: Noise | None = None, rng: random.Random | None = None) -> str:
    """The analysis up to its first `bad`, then the verdict."""
    said: list[str] = []
    for line in lines(check, noise=noise, rng=rng):
        said.append(line)
        if line.endswith(BAD):
            return f"{' '.join(said)} {VERDICT} no"
    return f"{' '.join(said)} {VERDICT} yes"


def lines(
    check: Check, *, noise: Noise | None = None, rng: random.Random | None = None
) -> Iterator[str]:
    """Every comparison of the analysis, past any `bad`, without the verdict."""
    stated = check.stated
    written = str(stated.value)
    if noise and rng and rng.random() < noise.misread:
        written = _misread(written, rng)
    yield from _copied("value", str(check.value), written)
    expected, written = f"{check.sign}{check.operand}", f"{stated.sign}{stated.operand}"
    yield from _copied(f"term #{check.number}", expected, written)
    for column in columns(stated, noise=noise, rng=rng):
        yield column.text


def columns(
    step: Step, *, noise: Noise | None = None, rng: random.Random | None = None
) -> Iterator[Column]:
    """The columns from the right; a forgotten carry is missing in the next one too."""
    carry = 0
    for place, name in enumerate(COLUMNS):
        one, other, claimed = (_digit(n, place) for n in (step.value, step.operand, step.result))
        total = one + other + carry if step.sign == "+" else one - other - carry
        column = Column(
            name=name,
            sign=step.sign,
            digits=(one, other),
            carry_in=carry,
            digit=total % 10,
            carry_out=int(not 0 <= total <= 9),
            claimed=claimed,
        )
        if noise and rng:
            column = _slipped(column, noise, rng)
        yield column
        carry = column.carry_out


def _slipped(column: Column, noise: Noise, rng: random.Random) -> Column:
    if rng.random() >= (noise.carry_slip if column.carry_out else noise.slip):
        return column
    if column.carry_out:
        return replace(column, carry_out=0)
    return replace(column, digit=(column.digit + rng.choice((-1, 1))) % 10)


def _misread(number: str, rng: random.Random) -> str:
    place = rng.randrange(len(number))
    other = rng.choice([d for d in "0123456789" if d != number[place]])
    return number[:place] + other + number[place + 1 :]


def _copied(name: str, expected: str, written: str) -> Iterator[str]:
    first, *rest = (_compared(*both) for both in zip(expected, written, strict=True))
    yield f"{name} {first}"
    yield from rest


def _compared(expected: str, written: str) -> str:
    return f"{expected} {written} {OK if expected == written else BAD}"


def _digit(number: int, place: int) -> int:
    return int(str(number).zfill(3)[-1 - place])
