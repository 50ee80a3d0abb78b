r"""Which problems does a policy solve in Best-of-N and guided search, and what are the answers?

Data     AIME 2024, AMC 2023, MATH500, OlympiadBench (English, open-ended, text only), College Math,
         Minerva Math, GSM8K; as in the Qwen2.5-Math evaluation data, or any copy with the columns
         problem or question, and answer, final_answer or solution
Answers  AMC writes 27.0 for 27; OlympiadBench a list of one text, or that list as a text; GSM8K's
         stands after "####"; Minerva's only in the solution's \boxed{}
Seed     the R-PRM tables used 200 problems of OlympiadBench (by id) and 200 of College Math (by
         0-based row number), and the other sets whole
"""

from __future__ import annotations

import ast
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rprm.benchmarks.answers import boxed
from rprm.data.rows import RowReader
from rprm.data.sources import Source, read_source, resolve
from rprm.errors import BadInput
from rprm.schema import MathProblem

MathSetName = Literal[
    "aime24", "amc23", "math500", "olympiadbench", "college_math", "minerva_math", "gsm8k"
]
SEED_SUBSETS = "data:math/seed_subsets.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class SetFacts:
    """What is known of a published set."""

    size: int
    key: str | None
    """The column that tells its rows apart; None: the row number."""
    seed_key: str | None = None
    """Where seed_subsets.json lists the part that the R-PRM tables used."""


MATH_SETS: Mapping[MathSetName, SetFacts] = {
    "aime24": SetFacts(size=30, key="id"),
    "amc23": SetFacts(size=40, key="id"),
    "math500": SetFacts(size=500, key="unique_id"),
    "olympiadbench": SetFacts(size=675, key="id", seed_key="olympiadbench_200"),
    "college_math": SetFacts(size=2818, key=None, seed_key="college_math_200_rows"),
    "minerva_math": SetFacts(size=272, key="idx"),
    "gsm8k": SetFacts(size=1319, key="idx"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class MathSet:
    name: MathSetName
    problems: tuple[MathProblem, ...]
    source: Source
    seed_source: Source | None
    """Of the list of the seed's problems, where it was used."""
    num_rows: int
    """Of the whole set."""

    @property
    def warnings(self) -> tuple[str, ...]:
        expected = MATH_SETS[self.name].size
        if self.num_rows == expected:
            return ()
        return (f"{self.name}: {self.num_rows} problems, not the published {expected}",)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Row:
    key: str
    problem: MathProblem


def load_math_set(
    name: MathSetName,
    *,
    source: str | None = None,
    revision: str | None = None,
    seed_subset: bool = False,
    seed_source: str = SEED_SUBSETS,
) -> MathSet:
    """Ids are "{name}/{key}".  Sets that the seed used whole stay whole with `seed_subset`."""
    facts = MATH_SETS[name]
    found = resolve(source or default_source(name), revision=revision)
    rows = read_source(found, _reader(name, facts))
    _check_unique(found, rows)
    subset = resolve(seed_source) if seed_subset and facts.seed_key else None
    chosen = _chosen(rows, subset, facts) if subset else rows
    return MathSet(
        name=name,
        problems=tuple(row.problem for row in chosen),
        source=found,
        seed_source=subset,
        num_rows=len(rows),
    )


def default_source(name: str) -> str:
    return f"data:math/{name}.jsonl"


def _reader(name: str, facts: SetFacts) -> Callable[[RowReader], _Row]:
    def read(row: RowReader) -> _Row:
        found = row.values.get(facts.key) if facts.key else None
        key = str(row.index if found is None else found)
        problem = MathProblem(
            id=f"{name}/{key}",
            subset=name,
            problem=row.text("problem" if row.values.get("problem") else "question"),
            answer=_answer(row),
        )
        return _Row(key=key, problem=problem)

    return read


def _check_unique(source: Source, rows: Sequence[_Row]) -> None:
    counts = Counter(row.key for row in rows)
    repeated = [key for key, count in counts.items() if count > 1]
    if repeated:
        raise BadInput(
            f"{source.name}: several rows have the id {', '.join(repeated[:5])}.",
            fix="give one file of one set",
        )


def _chosen(rows: Sequence[_Row], subset: Source, facts: SetFacts) -> list[_Row]:
    listed = json.loads(subset.files[0].read_text(encoding="utf-8"))
    wanted = {str(key) for key in listed[facts.seed_key]}
    missing = wanted - {row.key for row in rows}
    if missing:
        raise BadInput(
            f"{subset.name} lists {len(missing)} problems that the set does not have, such as "
            f"{min(missing)}.",
            fix="use the set's original ids and order",
        )
    return [row for row in rows if row.key in wanted]


# --- answers --------------------------------------------------------------------------------


def _answer(row: RowReader) -> str:
    for key in ("answer", "final_answer"):
        if row.values.get(key) is not None:
            return _written(row, key, row.values[key])
    inside = boxed(row.text("solution"))
    if not inside:
        row.problem("solution", "has no \\boxed{} answer", fix="give the answer in `answer`")
    return inside or ""


def _written(row: RowReader, key: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float | list):
        row.problem(key, f"is {type(value).__name__}", fix="give a text or a number")
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, int | float):
        return str(value)
    values = _listed(value) if isinstance(value, str) else value
    text = ", ".join(str(one).strip() for one in values)
    text = text.rpartition("####")[2].strip()
    if not text:
        row.problem(key, "is blank", fix="give the answer")
    return text


def _listed(text: str) -> list[object]:
    """The items of a text such as "['108']"; any other text is one item."""
    if text.startswith(("['", '["')):
        try:
            found = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return [text]
        return list(found) if isinstance(found, list) else [text]
    return [text]
