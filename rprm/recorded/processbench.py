"""What do recorded outputs score on ProcessBench?

Rows        {"id": "gsm8k-0", "prediction": 2}            the first wrong step, from 0; -1: none;
                                                          null: could not be told, never matches
            {"id": "gsm8k-0", "scores": [0.9, 0.2]}       one per step; the first below the
                                                          threshold is the prediction
Cut short   fewer scores than steps are fine where they decide: one is below the threshold, or they
            reach past the first wrong step
Unknown     a null score with no wrong step before it: such a row never matches
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rprm.benchmarks import thresholds as curves
from rprm.benchmarks.processbench import Outcome, Result, evaluate, outcome, weak_spots
from rprm.benchmarks.resampling import known
from rprm.data.processbench import ProcessBench
from rprm.errors import BadInput
from rprm.recorded.reading import (
    Problems,
    Row,
    RowFile,
    describe,
    kind,
    listed,
    nearest,
    read_id,
    read_scores,
)
from rprm.schema import Solution
from rprm.scoring import ALL_RIGHT, first_error

_EXACT = 2.0**53
"""Beyond it a float no longer tells every whole number."""
Given = Mapping[str, "Answer"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What one row says of a solution."""

    row: Row
    prediction: int | None = None
    scores_S: tuple[float | None, ...] | None = None
    """None where the row names an index instead."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    outcomes: tuple[Outcome, ...]
    result: Result
    threshold: float
    matches: curves.Matches | None
    """For other thresholds; None where a row names an index instead of scores."""
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """Percentages; null where a subset has solutions of one kind only."""
        subsets = {
            name: {
                "acc_error": known(one.acc_error),
                "acc_correct": known(one.acc_correct),
                "f1": known(one.f1),
            }
            for name, one in self.result.subsets.items()
        }
        return {**subsets, "average": known(self.result.f1)}


def score(
    file: RowFile, bench: ProcessBench, *, threshold: float | str, limit_to_present: bool = False
) -> Scored:
    """`threshold` is a number, or "auto:gsm8k": the best of that subset, used for all.

    Raises BadInput that names every unusable row.
    """
    problems = Problems(source=file.source)
    solutions = {one.id: one for one in bench.solutions}
    answers, repeated = _read(file, solutions, problems)
    problems.done()
    present = [one for one in bench.solutions if one.id in answers]
    if not limit_to_present:
        _check_complete(file.source, bench.solutions, answers)
    matches = _matches(present, answers)
    value = chosen(threshold, matches, source=file.source)
    outcomes = [_outcome(one, answers[one.id], value, problems) for one in present]
    problems.done()
    result = evaluate(outcomes)
    told = [*bench.warnings, *repeated, *_remarks(present, answers, value), *weak_spots(result)]
    return Scored(
        outcomes=tuple(outcomes),
        result=result,
        threshold=value,
        matches=matches,
        warnings=tuple(told),
    )


# --- rows -------------------------------------------------------------------------------------


def _read(
    file: RowFile, solutions: Mapping[str, Solution], problems: Problems
) -> tuple[dict[str, Answer], list[str]]:
    """By id, and a remark where rows are repeated."""
    answers: dict[str, Answer] = {}
    repeated: list[str] = []
    for row in file.rows:
        identity = read_id(row, problems)
        if identity is None:
            continue
        if identity not in solutions:
            hint = nearest(identity, list(solutions), problems)
            what = "is no solution of ProcessBench"
            problems.add(describe(row), what, fix=f"{hint}drop the row or correct its id")
        elif identity not in answers:
            answers[identity] = _answer(row, solutions[identity], problems)
        elif answers[identity].row.values == row.values:
            repeated.append(identity)
        else:
            first = answers[identity].row.where
            problems.add(describe(row), f"{first} says something else of it", fix="keep one")
    told = [f"{len(repeated)} row(s) repeat an earlier one and count once: {listed(repeated)}"]
    return answers, told if repeated else []


def _answer(row: Row, solution: Solution, problems: Problems) -> Answer:
    """Scores decide where a row has both: they are what a threshold acts on."""
    if row.values.get("scores") is not None:
        scores_S = read_scores(row, problems)
        if len(scores_S) > len(solution.steps):
            what = f"holds {len(scores_S)} numbers but there are {len(solution.steps)} steps"
            fix = "give one per step of this copy of the data"
            problems.add(f"{describe(row)}, scores", what, fix=fix)
        return Answer(row=row, scores_S=scores_S)
    if "prediction" not in row.values:
        if "scores" not in row.values:
            fix = 'give "prediction" (-1 for no wrong step) or "scores"'
            problems.add(describe(row), "says nothing of the solution", fix=fix)
        return Answer(row=row)
    value = row.values["prediction"]
    if type(value) is float and value.is_integer() and abs(value) < _EXACT:
        value = int(value)  # a column with nulls is often written as 2.0
    if value is None or (type(value) is int and value >= ALL_RIGHT):
        return Answer(row=row, prediction=value)
    what = f"is {kind(value)}, not a whole number from -1"
    fix = "give the first wrong step from 0, -1 for none, or null where it could not be told"
    problems.add(f"{describe(row)}, prediction", what, fix=fix)
    return Answer(row=row)


def _check_complete(
    source: str, solutions: Sequence[Solution], answers: Mapping[str, Answer]
) -> None:
    missing = [one for one in solutions if one.id not in answers]
    if not missing:
        return
    total = Counter(one.subset for one in solutions)
    lacking = Counter(one.subset for one in missing)
    parts = [f"{name} {lacking[name]} of {total[name]}" for name in total if lacking[name]]
    raise BadInput(
        f"{source}: {len(missing)} of {len(solutions)} solutions have no row: "
        f"{', '.join(parts)} ({listed([one.id for one in missing], most=3)}).",
        fix="add them (prediction null where there is none), or score the rest with "
        "--limit-to-present",
    )


# --- outcomes ---------------------------------------------------------------------------------


def _matches(present: Sequence[Solution], answers: Given) -> curves.Matches | None:
    """Rows that tell nothing match at no threshold, so they need no scores."""
    scores: dict[str, tuple[float | None, ...]] = {}
    for one in present:
        answer = answers[one.id]
        if answer.scores_S is None and answer.prediction is not None:
            return None
        scores[one.id] = (None,) if answer.scores_S is None else answer.scores_S
    return curves.gather(present, scores)


def chosen(threshold: float | str, matches: curves.Matches | None, *, source: str) -> float:
    """The threshold that was asked for, or the best of a subset."""
    if isinstance(threshold, str):
        if matches is None:
            raise BadInput(
                f"{source}: the best threshold needs the scores of every row.",
                fix='give "scores" in all rows, or a threshold',
            )
        return curves.best_threshold(matches, threshold.removeprefix(curves.AUTO))
    return threshold


def _outcome(solution: Solution, answer: Answer, threshold: float, problems: Problems) -> Outcome:
    scores_S = answer.scores_S
    if scores_S is None:
        return outcome(solution, answer.prediction)
    found = first_error(scores_S, threshold=threshold)
    if found != ALL_RIGHT or len(scores_S) == len(solution.steps):
        return outcome(solution, found)
    if solution.label == ALL_RIGHT or len(scores_S) <= solution.label:
        what = (
            f"holds {len(scores_S)} of {len(solution.steps)} steps, none below {threshold:g}, so "
            "the first wrong step is not known"
        )
        fix = "score all steps up to the first below the threshold; null for one without a score"
        problems.add(f"{describe(answer.row)}, scores", what, fix=fix)
    return outcome(solution, None)  # the first wrong step was passed over


def _remarks(present: Sequence[Solution], answers: Given, threshold: float) -> list[str]:
    unknown = [one.id for one in present if _is_unknown(answers[one.id], threshold)]
    beyond = [one.id for one in present if _beyond(answers[one.id], len(one.steps))]
    both = [one.id for one in present if _gives_both(answers[one.id])]
    told = []
    if unknown:
        told.append(f"{len(unknown)} row(s) tell no prediction and never match: {listed(unknown)}")
    if beyond:
        told.append(f"{len(beyond)} row(s) name a step that is not there: {listed(beyond)}")
    if both:
        told.append(
            f"{len(both)} row(s) give scores and a prediction; the scores decide, at threshold "
            f"{threshold:g}: {listed(both)}"
        )
    return told


def _is_unknown(answer: Answer, threshold: float) -> bool:
    if answer.scores_S is None:
        return answer.prediction is None
    return first_error(answer.scores_S, threshold=threshold) is None


def _beyond(answer: Answer, num_steps: int) -> bool:
    return answer.prediction is not None and answer.prediction >= num_steps


def _gives_both(answer: Answer) -> bool:
    return answer.scores_S is not None and answer.row.values.get("prediction") is not None
