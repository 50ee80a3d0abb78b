"""Best-of-N: does a judge pick a right answer out of N sampled ones?

Data      N responses to each problem, each with its answer, whether it is right, and step scores
Methods   pass_at_1       the mean over all samples: what the policy does alone
          majority        the answer given most often                             (maj@N)
          best_of_n       the response of the highest reward                      (rm@N)
          weighted_vote   the answer with the largest sum of rewards
          pass_at_n       any response is right: no choice can do better
Score     percent of problems, per subset; the average is unweighted over subsets
Expect    R-PRM-7B-DPO 49.6 on average of six sets at N=8, majority 48.0 (R-PRM paper, Best-of-8)

Reward   min, last, product or mean of the step scores, which may be any finite numbers
Ties     the response, or the answer, seen first (as the official scripts have it)
Votes    answers are counted by their exact text, and the first member of the chosen group decides
         whether it is right; a response without an answer does not vote
Gaps     a response without scores has no reward: it is chosen only where no other has one either,
         and adds nothing to a weighted vote; one that nobody could grade (correct is None) counts
         as wrong, and is counted

Axes: N responses of a problem, P problems of a subset, M methods.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from rprm.benchmarks.resampling import Floats, Metric
from rprm.errors import BadInput

METHODS = ("pass_at_1", "majority", "best_of_n", "weighted_vote", "pass_at_n")
VOTES = ("majority", "weighted_vote")


class Aggregator(StrEnum):
    """How the scores of the steps become one reward of the response."""

    MIN = "min"
    LAST = "last"
    PRODUCT = "product"
    MEAN = "mean"


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """One of the N."""

    answer: str | None
    correct: bool | None
    """None: no grader could decide."""
    scores: tuple[float, ...] = ()
    """One per step; empty where the response was not judged."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool:
    """All responses to one problem, in the order sampled."""

    problem_id: str
    subset: str
    responses_N: tuple[Response, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ProblemResult:
    """How often each method was right on one problem: 0, 1, or a share."""

    problem_id: str
    subset: str
    correct: Mapping[str, float]
    """By method; votes are missing where no response of any problem carries an answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BestOfN:
    """Percentages by method; a method that is not defined is left out."""

    aggregator: Aggregator
    n: int
    """Responses of the largest pool."""
    average: Mapping[str, float]
    """Unweighted over subsets."""
    subsets: Mapping[str, Mapping[str, float]]
    problems: tuple[ProblemResult, ...]
    num_responses: int
    num_undecided: int
    """Responses that nobody could grade."""
    num_unjudged: int
    """Responses without scores."""

    def sums(self) -> dict[str, Floats]:
        """By subset [P, M + 1]: what each method of `average` got right, and 1, per problem.

        What `resampling` resamples; `method_metrics` reads it.
        """
        rows: dict[str, dict[str, list[float]]] = {}
        for one in self.problems:
            values = [one.correct[method] for method in self.average] + [1.0]
            problems = rows.setdefault(one.subset, {})
            before = problems.get(one.problem_id, [0.0] * len(values))
            problems[one.problem_id] = [a + b for a, b in zip(before, values, strict=True)]
        return {name: np.array(list(rows[name].values())) for name in sorted(rows)}


def reward(scores: Sequence[float], aggregator: Aggregator) -> float | None:
    """None where there are no scores."""
    if not scores:
        return None
    match aggregator:
        case Aggregator.MIN:
            return min(scores)
        case Aggregator.LAST:
            return scores[-1]
        case Aggregator.PRODUCT:
            return math.prod(scores)
        case Aggregator.MEAN:
            return math.fsum(scores) / len(scores)


def evaluate(pools: Sequence[Pool], *, aggregator: Aggregator) -> BestOfN:
    """Pools may differ in size: each is used as it is."""
    _check(pools)
    votes = any(one.answer is not None for pool in pools for one in pool.responses_N)
    methods = [method for method in METHODS if votes or method not in VOTES]
    problems = tuple(_problem(pool, aggregator, methods) for pool in pools)
    by_subset: dict[str, list[ProblemResult]] = {}
    for one in problems:
        by_subset.setdefault(one.subset, []).append(one)
    subsets = {name: _percent(by_subset[name], methods) for name in sorted(by_subset)}
    responses = [one for pool in pools for one in pool.responses_N]
    return BestOfN(
        aggregator=aggregator,
        n=max(len(pool.responses_N) for pool in pools),
        average={
            method: math.fsum(of[method] for of in subsets.values()) / len(subsets)
            for method in methods
        },
        subsets=subsets,
        problems=problems,
        num_responses=len(responses),
        num_undecided=sum(one.correct is None for one in responses),
        num_unjudged=sum(not one.scores for one in responses),
    )


def _check(pools: Sequence[Pool]) -> None:
    if not pools:
        raise BadInput("there is no problem to choose responses for.")
    for pool in pools:
        if not pool.responses_N:
            raise BadInput(f"problem {pool.problem_id} has no response.")
        if not all(math.isfinite(x) for one in pool.responses_N for x in one.scores):
            raise BadInput(
                f"problem {pool.problem_id} has a step score that is no finite number.",
                fix="leave out the scores of a response that could not be judged",
            )


def _problem(pool: Pool, aggregator: Aggregator, methods: Sequence[str]) -> ProblemResult:
    responses = pool.responses_N
    right_N = [float(one.correct is True) for one in responses]
    rewards_N = [reward(one.scores, aggregator) for one in responses]
    answers_N = [one.answer for one in responses]
    values = {
        "pass_at_1": math.fsum(right_N) / len(right_N),
        "majority": _right(right_N, majority(answers_N)),
        "best_of_n": right_N[best(rewards_N)],
        "weighted_vote": _right(right_N, weighted_vote(answers_N, rewards_N)),
        "pass_at_n": max(right_N),
    }
    return ProblemResult(
        problem_id=pool.problem_id,
        subset=pool.subset,
        correct={method: values[method] for method in methods},
    )


def best(rewards_N: Sequence[float | None]) -> int:
    """Index of the highest reward, the first of equals; the first of all where there is none."""
    known = [index for index, value in enumerate(rewards_N) if value is not None]
    return max(known, key=lambda index: _known(rewards_N[index]), default=0)


def majority(answers_N: Sequence[str | None]) -> int | None:
    """Index of the first member of the largest group; None where there is no answer."""
    counts = Counter(answer for answer in answers_N if answer is not None)
    return answers_N.index(counts.most_common(1)[0][0]) if counts else None


def weighted_vote(answers_N: Sequence[str | None], rewards_N: Sequence[float | None]) -> int | None:
    """Index of the first member of the group with the largest sum of rewards.

    Sums may be negative; a group without any reward comes after all others.
    """
    sums: dict[str, float] = {}
    for answer, value in zip(answers_N, rewards_N, strict=True):
        if answer is not None and value is not None:
            sums[answer] = sums.get(answer, 0.0) + value
    seen = dict.fromkeys(answer for answer in answers_N if answer is not None)
    order = [answer for answer in seen if answer in sums] or list(seen)
    if not order:
        return None
    return answers_N.index(max(order, key=lambda answer: sums.get(answer, 0.0)))


def _right(right_N: Sequence[float], chosen: int | None) -> float:
    return 0.0 if chosen is None else right_N[chosen]


def _known(value: float | None) -> float:
    assert value is not None
    return value


def _percent(problems: Sequence[ProblemResult], methods: Sequence[str]) -> dict[str, float]:
    return {
        method: 100 * math.fsum(one.correct[method] for one in problems) / len(problems)
        for method in methods
    }


def method_metrics(methods: Sequence[str]) -> dict[str, Metric]:
    """Metrics of `BestOfN.sums` for `resampling.intervals`: each method, in percent."""
    return {method: _share(column) for column, method in enumerate(methods)}


def difference_metrics(methods: Sequence[str], *, baselines: Sequence[str]) -> dict[str, Metric]:
    """best_of_n minus each baseline that there is, in points."""
    ours = list(methods).index("best_of_n")
    return {
        f"best_of_n - {name}": _gain(ours, list(methods).index(name))
        for name in baselines
        if name in methods
    }


def _share(column: int) -> Metric:
    def share(sums_RC: Floats) -> Floats:
        values: Floats = 100 * sums_RC[:, column] / sums_RC[:, -1]
        return values

    return share


def _gain(ours: int, theirs: int) -> Metric:
    def gain(sums_RC: Floats) -> Floats:
        values: Floats = 100 * (sums_RC[:, ours] - sums_RC[:, theirs]) / sums_RC[:, -1]
        return values

    return gain
