"""What would a judge have written of many solutions?  Made up, as large as a test wants it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rprm.data.tables import solutions_to_table
from rprm.schema import Solution
from rprm.stages.judged import CRITIQUE, JUDGED

HOSTILE = (
    "<script>document.title='owned'</script></script><!-- <img src=x onerror=alert(1)> "
    "\u2028 \u2029 \u202e ]]> ${1+1} ' \" ` \\ \\u003c &lt;b&gt; \x00"
)
SUBSETS = ("gsm8k", "math", "olympiadbench")

_PROSE = (
    "To check whether the step is correct, recompute $\\frac{{{a}}}{{{b}}} + \\sqrt{{{c}}}$ "
    "from the previous steps.\n\n**Data analysis:** the value {a} was derived above, and "
    "{b} < {c} holds, so the quotient is well defined.\n\nThe step claims $x_{{{a}}} = {b}$. "
    "Substituting gives "
    "\\[ x_{{{a}}} = \\frac{{{c} - {a}}}{{2}} \\] which {agrees} with the claim. The sign of the "
    "second term {agrees} as well, and no case is lost when both sides are squared.\n\n"
    "Verification: Is the step correct (Yes/No)? {word}"
)


@dataclass(frozen=True, kw_only=True)
class Written:
    """What `write_run` left."""

    solutions: list[Solution]
    judged: pa.Table


def write_run(
    folder: Path, *, solutions: int, steps: int, critiques: int, seed: int = 0
) -> Written:
    """A folder with solutions.parquet and judged.parquet; the first solution is hostile."""
    draw = random.Random(seed)
    made = [_solution(index, steps, draw) for index in range(solutions)]
    judged = _judged(made, critiques, draw)
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(solutions_to_table(made), folder / "solutions.parquet")
    pq.write_table(judged, folder / "judged.parquet", row_group_size=2048)
    return Written(solutions=made, judged=judged)


def _solution(index: int, steps: int, draw: random.Random) -> Solution:
    label = draw.choice([-1, draw.randrange(steps)])
    mark = HOSTILE if index == 0 else ""
    return Solution(
        id=f"{SUBSETS[index % 3]}-{index}",
        problem_id=f"p{index}",
        subset=SUBSETS[index % 3],
        generator="made-up",
        problem=f"{mark}Let $a_{{{index}}} = {draw.randrange(99)}$. Find the sum\nof all roots "
        f"of $x^2 - {draw.randrange(9, 99)}x + {draw.randrange(99)} = 0$ that exceed {index}.",
        steps=tuple(
            f"{mark}Step {step + 1}: hence $x = \\frac{{{draw.randrange(99)}}}{{{step + 2}}}$, "
            "because both sides\nare positive."
            for step in range(steps)
        ),
        label=label,
    )


def _judged(solutions: list[Solution], critiques: int, draw: random.Random) -> pa.Table:
    """Every step, whatever the label; a step in fifty has critiques without a verdict alone."""
    places = [(one, step) for one in solutions for step in range(len(one.steps))]
    pool = {word: [_prose(word, draw) for _ in range(200)] for word in ("Yes", "No", "")}
    text: list[Any] = []
    verdict: list[Any] = []
    cause: list[Any] = []
    p_yes: list[Any] = []
    for one, step in places:
        belief = 0.15 if step == one.label else 0.85
        if draw.random() < 0.05:
            belief = 1 - belief
        silent = draw.random() < 0.02
        for sample in range(critiques):
            if one is solutions[1] and sample == 1:  # a judge that repeats itself
                for column in (text, verdict, cause, p_yes):
                    column.append(column[-1])
                continue
            p = min(max(draw.gauss(belief, 0.15), 0.001), 0.999)
            word = "" if silent else ("Yes" if p >= 0.5 else "No")
            mark = HOSTILE if one is solutions[0] else ""
            text.append(f"{mark}Analysis {sample + 1}. {draw.choice(pool[word])}")
            verdict.append(word.lower() or None)
            cause.append("no_word" if silent else None)
            p_yes.append(None if silent else p)
    structs = pa.StructArray.from_arrays(
        [
            pa.array(text),
            pa.array(verdict, pa.string()),
            pa.array(cause, pa.string()),
            pa.array(p_yes, pa.float64()),
            pa.array([len(one) // 4 for one in text]),
        ],
        fields=list(CRITIQUE),
    )
    offsets = pa.array(range(0, len(text) + 1, critiques), pa.int32())
    columns = {
        "id": [f"{one.id}:{step}" for one, step in places],
        "solution_id": [one.id for one, _ in places],
        "problem_id": [one.problem_id for one, _ in places],
        "step": [step for _, step in places],
        "question": [one.problem for one, _ in places],
        "previous_steps": [list(one.steps[:step]) for one, step in places],
        "now_step": [one.steps[step] for one, step in places],
        "gold": [one.label < 0 or step != one.label for one, step in places],
        "engine": ["judge-0123456789abcdef"] * len(places),
        "critiques": pa.ListArray.from_arrays(offsets, structs),
    }
    return pa.table(columns).cast(JUDGED)


def _prose(word: str, draw: random.Random) -> str:
    agrees = "agrees" if word == "Yes" else "disagrees"
    a, b, c = (draw.randrange(99) for _ in range(3))
    return _PROSE.format(a=a, b=b, c=c, agrees=agrees, word=word)
