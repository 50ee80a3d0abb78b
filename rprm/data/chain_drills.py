"""What does the base model of the small world know before it sees a label?  Digit arithmetic.

A drill puts random numbers beside randomly corrupted ones and asks for the checking lines, past any
`bad` and without a verdict: 40 % in the layout of the judge's prompt, 60 % columns only.  Drills
teach most of the skill of checking, but not which steps are wrong, where to stop or what to
answer: that is left to supervised fine-tuning, as it is for the
mathematical base model of a real judge.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from rprm.data.chain_analysis import check_of, columns, lines
from rprm.data.chains import (
    HIGH,
    LOW,
    Problem,
    Step,
    apply,
    draw_problem,
    split_of,
    stream,
    with_other_digit,
)
from rprm.prompting import Renderer
from rprm.schema import Case
from rprm.training.collate import Example

IN_LAYOUT: Final = 0.4
"""Share of drills in the judge's layout; the rest is columns only, which is shorter."""
CORRUPT_COPY: Final = 0.4
"""Chance that the value, and again that the term, is not the one to copy."""
CORRUPT_DIGIT: Final = 0.7
"""Chance of each digit of the result to be drawn anew.  With mostly right digits the model learns
to copy the written one and to call it right, and stays on that plateau for thousands of steps."""


def drill_examples(seed: int, rows: Iterable[int], renderer: Renderer) -> list[Example]:
    """Drills `rows` of a seed as token ids; `renderer` is that of the template `chain`."""
    return [_example(seed, row, renderer) for row in rows]


def _example(seed: int, row: int, renderer: Renderer) -> Example:
    rng = stream("drill", seed, row)
    if rng.random() < IN_LAYOUT:
        case, text = layout_drill(rng)
        prompt_T = renderer.prompt(case)
    else:
        prompt, text = column_drill(rng)
        prompt_T = tuple(renderer.tokenizer([prompt], add_special_tokens=False)["input_ids"][0])
    return Example(
        id=f"drill-{seed}-{row}", prompt_T=prompt_T, completion_T=renderer.completion(text)
    )


def layout_drill(rng: random.Random) -> tuple[Case, str]:
    """A step in the judge's prompt, and every checking line of it."""
    posed = _train_problem(rng)
    number = rng.randrange(len(posed.terms))
    before = _steps(posed)[:number]
    truth = _steps(posed)[number]
    stated = _corrupted_digits(rng, _corrupted_copy(rng, posed, truth))
    case = Case(
        id=posed.id,
        solution_id=posed.id,
        problem_id=posed.id,
        step=number,
        question=posed.text,
        previous_steps=tuple(step.text for step in before),
        now_step=stated.text,
    )
    return case, " ".join(lines(check_of(case.question, case.previous_steps, case.now_step)))


def column_drill(rng: random.Random) -> tuple[str, str]:
    """One stated sum or difference, and its columns."""
    stated = _corrupted_digits(rng, rng.choice(_steps(_train_problem(rng))))
    return f"now : {stated.text}\ncolumns :", " ".join(column.text for column in columns(stated))


def _train_problem(rng: random.Random) -> Problem:
    while True:
        posed = draw_problem(rng, "drill")
        if split_of(posed.text) == "train":
            return posed


def _steps(posed: Problem) -> list[Step]:
    value, steps = posed.start, list[Step]()
    for term in posed.terms:
        result = apply(value, term.sign, term.operand)
        steps.append(Step(value=value, sign=term.sign, operand=term.operand, result=result))
        value = result
    return steps


def _corrupted_copy(rng: random.Random, posed: Problem, step: Step) -> Step:
    """With another value or term now and then; the result follows from what is stated."""
    while True:
        value, sign, operand = step.value, step.sign, step.operand
        if rng.random() < CORRUPT_COPY:
            value = with_other_digit(rng, value)
        if rng.random() < CORRUPT_COPY:
            others = [term.operand for term in posed.terms]
            sign, operand = rng.choice(
                [
                    (sign, with_other_digit(rng, operand)),
                    (sign, rng.choice(others)),
                    ("-" if sign == "+" else "+", operand),
                ]
            )
        result = apply(value, sign, operand)
        if LOW <= result <= HIGH:
            return Step(value=value, sign=sign, operand=operand, result=result)


def _corrupted_digits(rng: random.Random, step: Step) -> Step:
    places = [10**place for place in range(3) if rng.random() < CORRUPT_DIGIT]
    result = step.result
    for ten in places:
        least = 1 if ten == 100 else 0
        result += ten * (rng.randint(least, 9) - result // ten % 10)
    return replace(step, result=result)
