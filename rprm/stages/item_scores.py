"""Which score does each step of a PRMBench item have: from critiques, or from a peer's scores?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rprm.benchmarks.prmbench import REDUNDANCY
from rprm.data.prmbench import PrmItem
from rprm.data.problem_tables import STEP_SCORES, table_to_scores
from rprm.errors import BadInput
from rprm.scoring import THRESHOLD, Aggregate, mean
from rprm.stages.bench_scores import by_solution

Values = Sequence[float | None]
"""One per step; None where it could not be judged."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemScores:
    scores: Mapping[str, Values]
    """By item id, without items whose answer could not be used."""
    num_beyond: int = 0
    """Rated steps that the items do not have; critics may count wrongly."""


REDUNDANCY_COLUMN = "redundancy"
"""Of a critic's scores, above 0.5 where a step is redundant: what counts in some classes."""


def scores_of_judged(table: pa.Table, items: Sequence[PrmItem], aggregate: Aggregate) -> ItemScores:
    """An item of which no step was judged is left out.

    Reads verdicts and probabilities only: the texts of a whole benchmark are gigabytes.
    """
    solutions: list[Any] = table.column("solution_id").to_pylist()
    steps: list[Any] = table.column("step").to_pylist()
    found: dict[str, dict[int, float | None]] = {}
    beliefs = _beliefs(table.column("critiques"), aggregate)
    for solution, step, beliefs_K in zip(solutions, steps, beliefs, strict=True):
        found.setdefault(solution, {})[step] = mean(beliefs_K)
    _check(found, items)
    scores = {
        item.solution.id: [
            found[item.solution.id].get(step) for step in range(len(item.solution.steps))
        ]
        for item in items
        if item.solution.id in found
    }
    return ItemScores(scores=scores)


def _beliefs(critiques: pa.ChunkedArray[Any], aggregate: Aggregate) -> Iterator[list[float]]:
    """Of each row, in sample order; without those that could not be parsed."""
    for chunk in critiques.chunks:
        lengths = pc.list_value_length(chunk).to_pylist()
        flat = pc.list_flatten(chunk)
        verdicts = pc.struct_field(flat, "verdict").to_pylist()
        chances = pc.struct_field(flat, "p_yes").to_pylist()
        if aggregate is Aggregate.HARD:
            chances = [None] * len(chances)
        start = 0
        for length in lengths:
            part = slice(start, start + length)
            start += length
            yield [
                float(verdict == "yes") if chance is None else chance
                for verdict, chance in zip(verdicts[part], chances[part], strict=True)
                if verdict is not None
            ]


def _check(found: Mapping[str, Mapping[int, float | None]], items: Sequence[PrmItem]) -> None:
    known = {item.solution.id for item in items}
    strange = [name for name in found if name not in known]
    if strange:
        raise BadInput(
            f"judged steps of {len(strange)} solution(s) are of no item, such as {strange[0]!r}.",
            fix="give the critiques that were made of these items",
        )
    later = [
        max(found.get(item.solution.id, {}), default=-1) > item.solution.label
        for item in items
        if 0 <= item.solution.label < len(item.solution.steps) - 1
    ]
    if later and not any(later):
        raise BadInput(
            "no step after the first wrong one was judged, and PRMBench counts them all.",
            fix="set all_steps: true in the stage that samples the critiques",
        )


def scores_of_table(table: pa.Table, items: Sequence[PrmItem]) -> ItemScores:
    """Raises BadInput for scores of other items, and for those that name an index."""
    rows = table_to_scores(table.select(STEP_SCORES.names))
    named = [one for one in rows if one.scores_S is None and one.prediction is not None]
    if named:
        raise BadInput(
            f"{len(named)} row(s) name a first wrong step, such as {named[0].solution_id!r}.",
            fix="PRMBench needs a score per step: use the critic's prmbench protocol",
        )
    answers = by_solution(rows, [item.solution for item in items])
    redundancy = _redundancy(table)
    found: dict[str, Values] = {}
    num_beyond = 0
    for item in items:
        name, num_steps = item.solution.id, len(item.solution.steps)
        values: Values | None = answers[name].scores_S if name in answers else None
        if values is not None and name in redundancy and item.solution.subset in REDUNDANCY:
            values = _right(redundancy[name])
        if values is not None:
            found[name] = values[:num_steps]
            num_beyond += max(0, len(values) - num_steps)
    return ItemScores(scores=found, num_beyond=num_beyond)


def _redundancy(table: pa.Table) -> dict[str, Values]:
    if REDUNDANCY_COLUMN not in table.column_names:
        return {}
    ids: list[Any] = table.column("solution_id").to_pylist()
    values: list[Any] = table.column(REDUNDANCY_COLUMN).to_pylist()
    return {name: of for name, of in zip(ids, values, strict=True) if of is not None}


def _right(redundancy_S: Values) -> Values:
    """A redundant step is wrong in these classes, at whatever threshold."""
    return [
        None if one is None else -math.inf if one > THRESHOLD else math.inf for one in redundancy_S
    ]
