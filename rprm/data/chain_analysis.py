"""How does one check a step of the small world digit by digit, and how does a sloppy teacher?

    value 5 5 5 wrote 5 5 5 ok              the value that the step starts from
    term - 1 2 0 wrote - 1 2 0 ok           its operation and operand
    units 5 0 0 = 5 0 wrote 5 ok            digits, carry in = digit, carry out, the claim
    tens 5 2 0 = 3 0 wrote 3 ok
    hundreds 5 1 0 = 4 0 wrote 4 ok correct ? yes

An analysis stops at its first `bad`.  Without noise it is right by construction; the noisy version
makes the mistakes that filtering by gold agreement is there to remove.
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
COLUMNS: Final = ("units", "tens", "hundreds")
STEP: Final = re.compile(r"(\d{3}) ([+-]) (\d{3}) = (\d{3})")
QUESTION: Final = re.compile(r"\d{3}(?: [+-] \d{3})+")


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

    value: int
    sign: str
    operand: int
    stated: Step


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    name: str
    digits: tuple[int, int]
    carry_in: int
    digit: int
    carry_out: int
    claimed: int

    @property
    def fits(self) -> bool:
        return self.digit == self.claimed

    @property
    def text(self) -> str:
        one, other = self.digits
        worked = f"{one} {other} {self.carry_in} = {self.digit} {self.carry_out}"
        return f"{self.name} {worked} wrote {self.claimed} {_word(self.fits)}"


def check_of(question: str, previous_steps: Sequence[str], now_step: str) -> Check:
    """Read a case of the small world.  BadInput when its text is not of that form."""
    if not QUESTION.fullmatch(question):
        raise BadInput(f"not a chain problem: {question!r}", fix="use cases of the chain world")
    numbers = question.split()
    place = 1 + 2 * len(previous_steps)
    if place >= len(numbers):
        raise BadInput(f"more steps than terms in {question!r}", fix="use cases of the chain world")
    value = parse_step(previous_steps[-1]).result if previous_steps else int(numbers[0])
    return Check(
        value=value,
        sign=numbers[place],
        operand=int(numbers[place + 1]),
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
        if line.endswith(_word(False)):
            return f"{' '.join(said)} {VERDICT} no"
    return f"{' '.join(said)} {VERDICT} yes"


def lines(
    check: Check, *, noise: Noise | None = None, rng: random.Random | None = None
) -> Iterator[str]:
    """Every line of the analysis, past any `bad`, without the verdict."""
    value, term = str(check.value), f"{check.sign}{check.operand}"
    stated = check.stated
    claimed_value, claimed_term = str(stated.value), f"{stated.sign}{stated.operand}"
    if noise and rng and rng.random() < noise.misread:
        claimed_value = _misread(claimed_value, rng)
    yield _copied("value", value, claimed_value)
    yield _copied("term", term, claimed_term)
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


def _copied(name: str, expected: str, stated: str) -> str:
    return f"{name} {' '.join(expected)} wrote {' '.join(stated)} {_word(expected == stated)}"


def _digit(number: int, place: int) -> int:
    return int(str(number).zfill(3)[-1 - place])


def _word(fits: bool) -> str:
    return "ok" if fits else "bad"
