"""What is there to see of one judged solution?  Pure: judgements in, what a page shows out.

A solution is filed under one category, by the first step that the judge calls wrong:

    right          it is the labelled one, or both say that every step is right
    missed error   the label names a step, the judge none
    false alarm    the judge names a step, the label none
    wrong place    both name a step, but not the same
    unparsed       unknown: a step without a score comes before any that is wrong
    flagged        without a label: the judge names a step
    passed         without a label: the judge names none

`right` is exactly what `rprm.benchmarks.processbench.outcome` counts as a match.

Axes: S steps of a solution, K critiques of a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile

from rprm.data.tables import gold_of
from rprm.schema import Critique, Solution, Unparsed
from rprm.scoring import ALL_RIGHT, THRESHOLD, Aggregate, first_error, score


class Category(StrEnum):
    MISSED_ERROR = "missed-error"
    FALSE_ALARM = "false-alarm"
    WRONG_PLACE = "wrong-place"
    UNPARSED = "unparsed"
    RIGHT = "right"
    FLAGGED = "flagged"
    PASSED = "passed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How scores are made of critiques and read."""

    threshold: float = THRESHOLD
    aggregate: Aggregate = Aggregate.SOFT
    num_critiques: int | None = None
    """Only the first so many of each step; None for all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """A solution as it was judged."""

    id: str
    subset: str
    generator: str
    problem: str
    steps_S: tuple[str, ...]
    label: int | None
    """First wrong step, -1 for none, None where nobody has said."""
    wrong_S: frozenset[int] | None = None
    """All wrong steps, where the labels name more than the first."""
    answer: str = ""
    """What is known of its final answer, in words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepView:
    score: float | None = None
    critiques_K: tuple[Critique | Unparsed, ...] = ()
    refused: str = ""
    """Why it could not be judged."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What a judge said of one solution."""

    steps: dict[int, StepView]
    texts: tuple[str, ...] = ()
    """What it wrote of the solution as a whole."""
    named: int | None = None
    """The first error, where a judge names one and gives no scores."""
    names: bool = False
    """It names an index, though possibly an unreadable one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    subject: Subject
    steps_S: tuple[StepView, ...]
    gold_S: tuple[bool | None, ...]
    texts: tuple[str, ...]
    prediction: int | None
    """First wrong step by the judge; -1 for none, None for unknown."""
    category: Category
    lowest: float | None
    """Score of the least believed step."""
    certainty: float | None
    """How far the score that decides is from the threshold."""


def subject_of(solution: Solution) -> Subject:
    return Subject(
        id=solution.id,
        subset=solution.subset,
        generator=solution.generator,
        problem=solution.problem,
        steps_S=solution.steps,
        label=solution.label,
    )


def step_of(critiques_K: Sequence[Critique | Unparsed], reading: Reading) -> StepView:
    kept = tuple(critiques_K[: reading.num_critiques])
    return StepView(score=score(kept, reading.aggregate), critiques_K=kept)


def show(subject: Subject, said: Said, *, threshold: float) -> Shown:
    num_steps = len(subject.steps_S)
    steps_S = tuple(said.steps.get(step) or StepView() for step in range(num_steps))
    scores_S = [step.score for step in steps_S]
    prediction = (
        said.named if said.names else predict(scores_S, label=subject.label, threshold=threshold)
    )
    known = [value for value in scores_S if value is not None]
    lowest = min(known, default=None)
    decides = lowest if prediction == ALL_RIGHT else None
    if prediction is not None and 0 <= prediction < num_steps:
        decides = scores_S[prediction]
    return Shown(
        subject=subject,
        steps_S=steps_S,
        gold_S=tuple(_gold(subject, step) for step in range(num_steps)),
        texts=said.texts,
        prediction=prediction,
        category=category(prediction, subject.label),
        lowest=lowest,
        certainty=None if decides is None else abs(decides - threshold),
    )


def predict(
    scores_S: Sequence[float | None], *, label: int | None, threshold: float = THRESHOLD
) -> int | None:
    """The first wrong step.  Those after the label may be unjudged, which makes nothing unknown."""
    labelled_wrong = label is not None and label != ALL_RIGHT
    relevant = label + 1 if labelled_wrong and label is not None else len(scores_S)
    found = first_error(scores_S[:relevant], threshold=threshold)
    if found != ALL_RIGHT:
        return found
    later = list(takewhile(lambda value: value is not None, scores_S[relevant:]))
    found_later = first_error(later, threshold=threshold)
    return found_later if found_later in (None, ALL_RIGHT) else relevant + found_later


def category(prediction: int | None, label: int | None) -> Category:
    if prediction is None:
        return Category.UNPARSED
    if label is None:
        return Category.PASSED if prediction == ALL_RIGHT else Category.FLAGGED
    if prediction == label:
        return Category.RIGHT
    if label == ALL_RIGHT:
        return Category.FALSE_ALARM
    return Category.MISSED_ERROR if prediction == ALL_RIGHT else Category.WRONG_PLACE


def _gold(subject: Subject, step: int) -> bool | None:
    if subject.wrong_S is not None:
        return step not in subject.wrong_S
    return None if subject.label is None else gold_of(step=step, label=subject.label)
