"""Where do people's step labels come from without PRM800K?  human_first_error.jsonl.

Data    1920 solutions whose first wrong step was marked by people (Mr-Ben maths: MIT;
        verify-then-generate: CC BY 4.0); `id, source, generator, problem, steps, label`
Traps   35 steps are blank, left by splitting at empty lines: they are dropped and the label
        moves with its step; one label points at a blank step, and that solution is dropped.
        117 solutions are of ProcessBench problems: exclude_overlap before training
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rprm.data.problems import exclude_overlap, problem_id
from rprm.data.rows import RowReader
from rprm.data.sources import Source, read_source, resolve
from rprm.schema import Solution

__all__ = ["DEFAULT_SOURCE", "LabelledSteps", "exclude_overlap", "load_step_labels"]

DEFAULT_SOURCE = "data:step_labels/human_first_error.jsonl"


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledSteps:
    solutions: tuple[Solution, ...]
    counts: Mapping[str, int]
    """Of every rule that was applied."""
    source: Source


def load_step_labels(name: str = DEFAULT_SOURCE, *, revision: str | None = None) -> LabelledSteps:
    source = resolve(name, revision=revision)
    rows = read_source(source, _read, unique="id")
    cleaned = [_without_blanks(row) for row in rows]
    solutions = tuple(one for one in cleaned if one is not None)
    counts = {
        "read": len(rows),
        "kept": len(solutions),
        "blank_steps": sum(not step.strip() for row in rows for step in row.steps),
        "dropped_unlabelled": len(rows) - len(solutions),
        "with_error": sum(one.label >= 0 for one in solutions),
        "steps": sum(len(one.steps) for one in solutions),
    }
    return LabelledSteps(solutions=solutions, counts=counts, source=source)


def _read(row: RowReader) -> Solution:
    steps, problem = row.texts("steps", blank=True), row.text("problem")
    return Solution(
        id=row.text("id"),
        problem_id=problem_id(problem),
        subset=row.text("source"),
        generator=row.text("generator"),
        problem=problem,
        steps=steps,
        label=row.label("label", num_steps=len(steps)),
    )


def _without_blanks(solution: Solution) -> Solution | None:
    """None where the label itself stands on a blank step: nobody can say which step it meant."""
    blank = [not step.strip() for step in solution.steps]
    if not any(blank):
        return solution
    if all(blank) or (solution.label >= 0 and blank[solution.label]):
        return None
    return Solution(
        id=solution.id,
        problem_id=solution.problem_id,
        subset=solution.subset,
        generator=solution.generator,
        problem=solution.problem,
        steps=tuple(step for step in solution.steps if step.strip()),
        label=solution.label - sum(blank[: max(solution.label, 0)]),
    )
