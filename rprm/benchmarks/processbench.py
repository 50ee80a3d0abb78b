"""ProcessBench: can a judge find the first wrong step of a solution?

Data      Qwen/ProcessBench, 4 subsets; label -1 means every step is right
Score     F1 = harmonic mean of the accuracies on wrong and on right solutions, in percent
Protocol  K critiques per step, mean belief, threshold 0.5, first step below it
Expect    R-PRM-7B-DPO 70.4 average F1, R-PRM-7B-SFT 65.2 (R-PRM paper, ProcessBench table)

The average is unweighted over subsets.  A prediction of None never matches, on either side.  Steps
after the first wrong one cannot change a match, so they need no judging.

Axes: S steps of a solution.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rprm.schema import Judgement, Solution
from rprm.scoring import ALL_RIGHT, THRESHOLD, first_error

Prediction = int | None
"""Index of the first wrong step, -1 for none, None when it could not be told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of one solution; the unit that confidence intervals resample."""

    solution_id: str
    problem_id: str
    subset: str
    erroneous: bool
    """Which of the two accuracies it counts in."""
    match: float
    """1 when the prediction is the label, else 0; a rate where several runs were averaged."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SubsetScore:
    """In percent; NaN where a subset has no solution of a kind."""

    acc_error: float
    acc_correct: float
    f1: float
    num_error: int
    num_correct: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    subsets: Mapping[str, SubsetScore]
    f1: float
    """Unweighted mean over the subsets."""


def f1(acc_error: float, acc_correct: float) -> float:
    """Harmonic mean; 0 when both are 0, where the official script divides by zero."""
    total = acc_error + acc_correct
    return 2 * acc_error * acc_correct / total if total else 0.0


def predict(
    solution: Solution,
    judgements: Mapping[str, Judgement],
    *,
    threshold: float = THRESHOLD,
) -> Prediction:
    """From the judgements by case id; a step without one is unknown if none before it is wrong.

    Steps after the label are not looked at.
    """
    scores_S = []
    for step in range(num_relevant(solution)):
        judgement = judgements.get(f"{solution.id}:{step}")
        scores_S.append(judgement.score if judgement else None)
    return first_error(scores_S, threshold=threshold)


def num_relevant(solution: Solution) -> int:
    """Steps up to and including the first wrong one; a longer look never changes a match."""
    return len(solution.steps) if solution.label == ALL_RIGHT else solution.label + 1


def outcome(solution: Solution, prediction: Prediction) -> Outcome:
    return Outcome(
        solution_id=solution.id,
        problem_id=solution.problem_id,
        subset=solution.subset,
        erroneous=solution.label != ALL_RIGHT,
        match=float(prediction is not None and prediction == solution.label),
    )


def evaluate(outcomes: Iterable[Outcome]) -> Result:
    by_subset: dict[str, list[Outcome]] = {}
    for one in outcomes:
        by_subset.setdefault(one.subset, []).append(one)
    subsets = {name: _subset(by_subset[name]) for name in sorted(by_subset)}
    values = [subset.f1 for subset in subsets.values()]
    return Result(subsets=subsets, f1=math.fsum(values) / len(values) if values else math.nan)


def _subset(outcomes: Sequence[Outcome]) -> SubsetScore:
    error = [one.match for one in outcomes if one.erroneous]
    correct = [one.match for one in outcomes if not one.erroneous]
    acc_error, acc_correct = _percent(error), _percent(correct)
    return SubsetScore(
        acc_error=acc_error,
        acc_correct=acc_correct,
        f1=f1(acc_error, acc_correct),
        num_error=len(error),
        num_correct=len(correct),
    )


def _percent(matches: Sequence[float]) -> float:
    return 100 * math.fsum(matches) / len(matches) if matches else math.nan


def weak_spots(result: Result) -> list[str]:
    """Where a number is not what it seems."""
    told = []
    for name, one in result.subsets.items():
        if math.isnan(one.f1):
            lacking = "with" if not one.num_error else "without"
            told.append(f"{name} has no solution {lacking} a wrong step, so it has no F1")
        elif one.acc_error == one.acc_correct == 0:
            told.append(
                f"{name}: both accuracies are 0; its F1 counts as 0, where the official script "
                "divides by zero"
            )
    return told


def metrics(result: Result, *, prefix: str = "processbench") -> dict[str, float]:
    """Flat names such as "processbench/math/f1"; what is not defined is left out."""
    flat = {f"{prefix}/average/f1": result.f1}
    for name, subset in result.subsets.items():
        for metric in ("f1", "acc_error", "acc_correct"):
            flat[f"{prefix}/{name}/{metric}"] = float(getattr(subset, metric))
    return {name: value for name, value in flat.items() if not math.isnan(value)}
