"""How does a policy of the small world write solutions?  With its working, which judges never see.

    question : 345 #1 + 210 #2 - 120
    solve : value 345 term #1 + 210 units 5 + 0 = 5 carry 0 tens 4 + 1 = 5 carry 0
    hundreds 3 + 2 = 5 so 555 . value 555 term #2 - 120 units ... so 435

A small model cannot add three digits at sight, but it can in columns.  Steps are parted by a full
stop, the text ends after the last one, and its result is the answer.  What judges read of a step is
`345 + 210 = 555`: the value, sign and operand that it begins with and the number after `so`.  A
policy that copies one of them wrongly states a wrong step, whatever its columns say.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from rprm.data.chain_analysis import columns
from rprm.data.chains import Step
from rprm.engines.base import Sample
from rprm.policy import FormatName, Proposal, Written, end_of_text
from rprm.prompting import Tokenizer

PARTING: Final = "."
_STATED: Final = re.compile(r"([0-9]+) ([+-]) ([0-9]+) = ([0-9]+)")
_WORKED: Final = re.compile(r"value ([0-9]+) term #[0-9] ([+-] [0-9]+) units .* so ([0-9]+)")
_BETWEEN_DIGITS: Final = re.compile(r"(?<=[0-9])\s+(?=[0-9])")


class ChainFormat:
    name: FormatName = "chain"
    stop: tuple[str, ...] = (PARTING,)

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.eos_id = end_of_text(tokenizer)

    def prompt(self, problem: str, steps: Sequence[str]) -> tuple[int, ...]:
        written = "".join(f" {one} {PARTING}" for one in _worked(steps))
        return self._encode(f"question : {problem}\nsolve :{written}")

    def completion(self, steps: Sequence[str]) -> tuple[int, ...]:
        return (*self._encode(f" {PARTING} ".join(_worked(steps))), self.eos_id)

    def read_step(self, sample: Sample) -> Proposal | None:
        step = stated(sample.text.removesuffix(PARTING))
        if sample.finish == "length" or step is None:
            return None
        return Proposal(
            text=step, finished=sample.finish == "eos", num_tokens=len(sample.token_ids)
        )

    def read_solution(self, sample: Sample) -> Written | None:
        read = [stated(part) for part in sample.text.split(PARTING)]
        steps = tuple(step for step in read if step is not None)
        if sample.finish == "length" or len(steps) < len(read):
            return None
        return Written(steps=steps, answer=self.answer(steps))

    def split(self, text: str) -> tuple[str, ...]:
        """What can be read as a step is; the other parts stay as they are."""
        parts = [part.strip() for part in text.split(PARTING)]
        return tuple(stated(part) or part for part in parts if part)

    def answer(self, steps: Sequence[str]) -> str | None:
        found = _STATED.fullmatch(steps[-1]) if steps else None
        return found[4] if found else None

    def _encode(self, text: str) -> tuple[int, ...]:
        made = self.tokenizer([text], add_special_tokens=False, split_special_tokens=True)
        return tuple(made["input_ids"][0])


def stated(text: str) -> str | None:
    """The step that a worked step states, as judges read it; None where there is none."""
    found = _WORKED.fullmatch(_BETWEEN_DIGITS.sub("", text.strip()))
    return f"{found[1]} {found[2]} = {found[3]}" if found else None


def worked(step: str, *, number: int) -> str:
    """A stated step with its working: the columns lead to the result that it states.

    Any other text is left as it is."""
    found = _STATED.fullmatch(step)
    if found is None:
        return step
    value, sign, operand, result = found.groups()
    made = Step(value=int(value), sign=sign, operand=int(operand), result=int(result))
    working = " ".join(
        f"{f'carry {column.carry_in} ' if place else ''}{column.name} {column.digits[0]}"
        f" {sign} {column.digits[1]} = {column.claimed}"
        for place, column in enumerate(columns(made))
    )
    return f"value {value} term #{number} {sign} {operand} {working} so {result}"


def _worked(steps: Sequence[str]) -> list[str]:
    return [worked(step, number=number) for number, step in enumerate(steps, start=1)]
