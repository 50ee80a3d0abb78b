"""PRMBench: which steps of a solution does a judge take for right, and which for wrong?

Data      ssmisya/PRMBench, 6211 items of nine classes; every step is labelled
Score     PRMScore = (F1 + negative F1) / 2 over the steps of a class, in percent; of
          multi_solutions, which has no wrong step, F1 alone
Groups    unweighted means of their classes; overall is the PRMScore of all steps together
Protocol  a step is right if its score is at or above the threshold
Expect    R-PRM-7B-SFT 64.9 overall, R-PRM-7B-DPO 66.8 (R-PRM paper, PRMBench table)

As in the official script, what is not defined counts -1 (in percent: -100), also inside a mean.
Steps without a score are left out of the counts; items that a judge answered unusably are left
out as a whole and lower the validity rate.

Axes: S steps of all items together, I items, R resamples, G classes, P problems.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rprm.benchmarks.resampling import Floats, Interval, intervals
from rprm.data.prmbench import CLASSES, PrmItem
from rprm.scoring import THRESHOLD

GROUPS: Mapping[str, tuple[str, ...]] = {
    "simplicity": ("redundency", "circular"),
    "soundness": ("counterfactual", "step_contradiction", "domain_inconsistency", "confidence"),
    "sensitivity": ("missing_condition", "deception", "multi_solutions"),
}
OVERALL = "overall"
NAMES = (*CLASSES, *GROUPS, OVERALL)
"""Every number of the benchmark."""

POSITIVE_ONLY = "multi_solutions"
REDUNDANCY = ("redundency", "circular")
"""The classes that are scored by what a judge says of redundancy, where it says so."""

COUNTS = ("tp", "fp", "tn", "fn")
"""Positive means right: a false positive is a wrong step that was taken for right."""
_CELL = {"tp": 1, "fp": 3, "tn": 2, "fn": 0}
"""2 where the step is wrong, plus 1 where it was taken for right."""

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class Steps:
    """The scored steps of many items, as arrays; unscored ones are not among them."""

    class_I: Ints
    problem_I: Ints
    item_S: Ints
    scores_S: Floats
    wrong_S: Flags
    """By the gold labels."""
    first_S: Flags
    """Is it the first wrong step of its item?"""
    num_unscored: int

    @property
    def classes(self) -> tuple[str, ...]:
        """Those with an item, in the order of CLASSES."""
        return tuple(CLASSES[index] for index in np.unique(self.class_I))


@dataclass(frozen=True, kw_only=True, slots=True)
class Confusion:
    tp: int = 0
    fp: int = 0
    tn: int = 0
    fn: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassScore:
    """In percent; -100 stands for what is not defined, NaN where the class has no item."""

    score: float
    f1: float
    negative_f1: float
    step_acc: float
    first_error_acc: float
    """How often the first wrong step of an item was found, of those that were scored."""
    confusion: Confusion


@dataclass(frozen=True, kw_only=True, slots=True)
class PrmResult:
    classes: Mapping[str, ClassScore]
    """Of classes that have an item."""
    groups: Mapping[str, float]
    """NaN where a class of the group has no item."""
    overall: ClassScore

    @property
    def scores(self) -> dict[str, float]:
        """Every number by its name in NAMES."""
        classes = {
            name: self.classes[name].score if name in self.classes else math.nan for name in CLASSES
        }
        return {**classes, **self.groups, OVERALL: self.overall.score}

    @property
    def undefined(self) -> tuple[str, ...]:
        """Numbers in which a half is not defined and counts -100."""
        named = {**self.classes, OVERALL: self.overall}
        return tuple(
            name
            for name, one in named.items()
            if one.f1 < 0 or (name != POSITIVE_ONLY and one.negative_f1 < 0)
        )


Scores = Mapping[str, Sequence[float | None]]
"""By item id, one per step; None where a step could not be judged.  Fewer than there are steps
leave the rest out, as the official script does."""


def gather(items: Sequence[PrmItem], scores: Scores) -> Steps:
    """Only of items that have scores; more scores than steps are a mistake of the caller's."""
    known = [item for item in items if item.solution.id in scores]
    lists = [scores[item.solution.id] for item in known]
    lengths = np.array([len(one) for one in lists], dtype=np.int64)
    flat_S = np.array([math.nan if v is None else v for one in lists for v in one], dtype=float)
    scored_S = ~np.isnan(flat_S)
    starts_I = np.cumsum(lengths) - lengths
    wrong_S = np.zeros(len(flat_S), dtype=bool)
    first_S = np.zeros(len(flat_S), dtype=bool)
    for item, start, length in zip(known, starts_I.tolist(), lengths.tolist(), strict=True):
        wrong = [start + step for step in item.error_steps_S if step < length]
        wrong_S[wrong] = True
        first_S[[one for one in wrong if one == start + item.solution.label]] = True
    problems = {item.solution.problem_id: None for item in known}
    index = {problem: p for p, problem in enumerate(sorted(problems))}
    return Steps(
        class_I=np.array([CLASSES.index(item.solution.subset) for item in known], dtype=np.int64),
        problem_I=np.array([index[item.solution.problem_id] for item in known], dtype=np.int64),
        item_S=np.repeat(np.arange(len(known)), lengths)[scored_S],
        scores_S=flat_S[scored_S],
        wrong_S=wrong_S[scored_S],
        first_S=first_S[scored_S],
        num_unscored=int(np.count_nonzero(~scored_S)),
    )


def evaluate(steps: Steps, *, threshold: float = THRESHOLD) -> PrmResult:
    good_S = steps.scores_S >= threshold
    cells_G = _cells(steps, good_S)
    found_G, seen_G = _first_errors(steps, good_S)
    scores_G = prm_scores(cells_G)
    classes = {}
    for name in steps.classes:
        at = CLASSES.index(name)
        first = (float(found_G[at]), float(seen_G[at]))
        classes[name] = _score(cells_G[at], first, positive_only=name == POSITIVE_ONLY)
    overall = _score(cells_G.sum(axis=0), (float(found_G.sum()), float(seen_G.sum())))
    groups = {
        group: float(np.mean([_or_nan(scores_G, name, classes) for name in members]))
        for group, members in GROUPS.items()
    }
    return PrmResult(classes=classes, groups=groups, overall=overall)


def _or_nan(scores_G: Floats, name: str, known: Mapping[str, ClassScore]) -> float:
    return float(scores_G[CLASSES.index(name)]) if name in known else math.nan


def _score(cells: Floats, first: tuple[float, float], *, positive_only: bool = False) -> ClassScore:
    f1, negative_f1 = (float(value) for value in halves(cells))
    found, seen = first
    total = float(cells.sum())
    right = float(cells[_CELL["tp"]] + cells[_CELL["tn"]])
    return ClassScore(
        score=f1 if positive_only else 0.5 * f1 + 0.5 * negative_f1,
        f1=f1,
        negative_f1=negative_f1,
        step_acc=100 * right / total if total else -100.0,
        first_error_acc=100 * found / seen if seen else -100.0,
        confusion=Confusion(**{name: int(cells[at]) for name, at in _CELL.items()}),
    )


def _cells(steps: Steps, good_S: Flags) -> Floats:
    """[G, 4] counts of steps, by `_CELL`."""
    cell_S = 4 * steps.class_I[steps.item_S] + 2 * steps.wrong_S + good_S
    return np.bincount(cell_S, minlength=4 * len(CLASSES)).reshape(-1, 4).astype(float)


def _first_errors(steps: Steps, good_S: Flags) -> tuple[Floats, Floats]:
    """[G] first wrong steps that were found, and all that were scored."""
    class_S = steps.class_I[steps.item_S]
    seen_G = np.bincount(class_S[steps.first_S], minlength=len(CLASSES)).astype(float)
    found_S = steps.first_S & ~good_S
    return np.bincount(class_S[found_S], minlength=len(CLASSES)).astype(float), seen_G


# --- the formula ------------------------------------------------------------------------------


def halves(cells: Floats) -> tuple[Floats, Floats]:
    """F1 and negative F1 in percent, over the last axis of 4 cells."""
    tp, fp, tn, fn = (cells[..., _CELL[name]] for name in COUNTS)
    return 100 * _f1(tp, fp, fn), 100 * _f1(tn, fn, fp)


def _f1(hits: Floats, false_alarms: Floats, misses: Floats) -> Floats:
    precision, recall = _ratio(hits, hits + false_alarms), _ratio(hits, hits + misses)
    return _ratio(2 * precision * recall, precision + recall) + 0.0  # never -0


def _ratio(part: Floats, whole: Floats) -> Floats:
    """-1 where the whole is 0, as the official script has it."""
    known = whole != 0
    return np.where(known, part / np.where(known, whole, 1.0), -1.0)


def prm_scores(cells_G: Floats) -> Floats:
    """[..., G, 4] to [..., G]: the PRMScore of every class."""
    f1, negative_f1 = halves(cells_G)
    alone = np.arange(len(CLASSES)) == CLASSES.index(POSITIVE_ONLY)
    return np.where(alone, f1, 0.5 * f1 + 0.5 * negative_f1)


# --- thresholds -------------------------------------------------------------------------------


def sweep(steps: Steps, thresholds: Sequence[float]) -> dict[float, PrmResult]:
    return {threshold: evaluate(steps, threshold=threshold) for threshold in thresholds}


# --- intervals --------------------------------------------------------------------------------


def sums_by_problem(steps: Steps, *, threshold: float = THRESHOLD) -> Floats:
    """[P, 4 G]: the counts of each problem's steps; variants of one question are one problem."""
    good_S = steps.scores_S >= threshold
    problem_S, class_S = steps.problem_I[steps.item_S], steps.class_I[steps.item_S]
    size = 4 * len(CLASSES)
    cell_S = size * problem_S + 4 * class_S + 2 * steps.wrong_S + good_S
    num_problems = int(steps.problem_I.max(initial=-1)) + 1
    counts = np.bincount(cell_S, minlength=size * num_problems)
    return counts.reshape(num_problems, size).astype(float)


def metric_of(name: str) -> Callable[[Floats], Floats]:
    """From sums [R, 4 G] to the number of that name; NaN where a resample drew none of a class."""
    members = GROUPS.get(name, (name,))
    at = [CLASSES.index(one) for one in members if one != OVERALL]

    def metric(sums_R: Floats) -> Floats:
        cells_RG4 = sums_R.reshape(len(sums_R), len(CLASSES), 4)
        if name == OVERALL:
            f1_R, negative_f1_R = halves(cells_RG4.sum(axis=1))
            return 0.5 * f1_R + 0.5 * negative_f1_R
        drawn_RG = cells_RG4.sum(axis=2) > 0
        scores_RG = np.where(drawn_RG, prm_scores(cells_RG4), math.nan)
        return np.asarray(scores_RG[:, at].mean(axis=1))

    return metric


def score_intervals(
    steps: Steps, *, threshold: float = THRESHOLD, num_resamples: int = 1000, seed: int = 0
) -> dict[str, Interval]:
    """Of every class, group and overall, over problems; the same resamples serve all."""
    sums = sums_by_problem(steps, threshold=threshold)
    metrics = {name: metric_of(name) for name in NAMES}
    return intervals([sums], metrics, num_resamples=num_resamples, seed=seed)
