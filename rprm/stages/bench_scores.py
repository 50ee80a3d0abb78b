"""Measure what a peer said: can it find the first wrong step of each solution?

Reads    solutions, labelled; scores, of their steps (or the index that a critic named)
Writes   one row per solution: whether the prediction matched; the columns of a bench artifact
Facts    system, curve of the one point k=1 (accuracies and F1 with intervals), threshold,
         thresholds (F1 at others), unjudged (count and ids; they match nowhere), data, warnings
Metrics  {benchmark}/{subset}/f1, acc_error, acc_correct
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field, field_validator

from rprm.benchmarks import thresholds
from rprm.benchmarks.processbench import (
    Outcome,
    Prediction,
    evaluate,
    metrics,
    num_relevant,
    outcome,
    weak_spots,
)
from rprm.benchmarks.thresholds import AUTO
from rprm.data.problem_tables import StepScores, table_to_scores
from rprm.data.tables import table_to_solutions
from rprm.errors import BadInput
from rprm.schema import Solution
from rprm.scoring import ALL_RIGHT, THRESHOLD, first_error
from rprm.stages.io import ArtifactView, StageIO
from rprm.stages.measuring import (
    dataset_of,
    origin_of,
    outcomes_table,
    point,
    threshold_curve,
)
from rprm.stages.params import StageParams


class BenchScores:
    kind: ClassVar[str] = "single"
    version: ClassVar[str] = "1"
    preload: ClassVar[tuple[str, ...]] = ()

    class Params(StageParams):
        benchmark: str = "processbench"
        """First part of metric names."""
        system: str
        """What the report calls the judge, such as "skywork-7b"."""
        threshold: float | str | None = None
        """A step scored below it is wrong.  "auto:gsm8k" takes the one with the best F1 on that
        subset, for all subsets.  None: the peer's published rule, where the scores tell the peer,
        else 0.5."""
        thresholds: tuple[float, ...] = thresholds.SHOWN
        """Of the curve in the facts."""
        resamples: int = Field(default=1000, gt=0)
        """Bootstrap resamples of whole problems."""
        seed: int = 0

        @field_validator("threshold")
        @classmethod
        def _rule(cls, value: float | str | None) -> float | str | None:
            if isinstance(value, str) and not re.fullmatch(rf"{AUTO}.+", value):
                raise ValueError(f"give a number, or {AUTO} and a subset, such as auto:gsm8k")
            return value

    def __init__(self, params: Params) -> None:
        self.params = params

    def run(self, io: StageIO) -> None:
        source, told = io.artifact("solutions"), io.artifact("scores")
        solutions = table_to_solutions(source.table(), source="solutions")
        answers = by_solution(table_to_scores(told.table()), solutions)
        _check_lengths(answers, solutions)
        matches = _matches(solutions, answers)
        threshold = self._threshold(told, matches)
        predictions = {
            one.id: predict(one, answers.get(one.id), threshold=threshold) for one in solutions
        }
        outcomes = [outcome(one, predictions[one.id]) for one in solutions]
        unjudged = [name for name, found in predictions.items() if found is None]
        io.note(
            system=self.params.system,
            benchmark=self.params.benchmark,
            solutions=len(solutions),
            curve=[point(1, outcomes, resamples=self.params.resamples, seed=self.params.seed)],
            threshold=threshold if matches else None,
            thresholds=threshold_curve(matches, self.params.thresholds),
            unjudged=len(unjudged),
            unjudged_ids=unjudged,
            refused=told.errors().num_rows,
            data=origin_of(source),
            warnings=weak_spots(evaluate(outcomes)),
        )
        self._log(io, outcomes, source)
        io.write(outcomes_table({1: outcomes}))

    def _threshold(self, told: ArtifactView, matches: thresholds.Matches | None) -> float:
        peer = told.facts.get("peer")
        rule = published_rule(peer) if self.params.threshold is None else self.params.threshold
        if not isinstance(rule, str):
            return rule
        subset = rule.removeprefix(AUTO)
        if matches is None:
            raise BadInput(
                f"{self.params.system!r} names indices, so no threshold can be chosen.",
                fix="leave `threshold` out",
            )
        if self.params.threshold is None and subset not in {o.subset for o in matches.solutions}:
            raise BadInput(
                f"the published threshold of {peer!r} is chosen on {subset}, which is not here.",
                fix="give `threshold`",
            )
        return thresholds.best_threshold(matches, subset)

    def _log(self, io: StageIO, outcomes: Sequence[Outcome], source: ArtifactView) -> None:
        named = metrics(evaluate(outcomes), prefix=self.params.benchmark)
        io.log(named, dataset=dataset_of(self.params.benchmark, source))


def published_rule(peer: object) -> float | str:
    """How the authors of a peer turn scores into a prediction."""
    if not isinstance(peer, str):
        return THRESHOLD
    from rprm.peers.factory import peer_card

    threshold = peer_card(peer).rule.threshold
    return f"{AUTO}gsm8k" if threshold is None else threshold


def by_solution(
    scores: Sequence[StepScores], solutions: Sequence[Solution]
) -> dict[str, StepScores]:
    """Raises BadInput for scores of other solutions, or for two of one."""
    known_ids = {one.id for one in solutions}
    counts = Counter(one.solution_id for one in scores)
    _refuse([name for name in counts if name not in known_ids], "are of no solution of this data")
    _refuse([name for name, count in counts.items() if count > 1], "stand twice")
    return {one.solution_id: one for one in scores}


def _check_lengths(answers: Mapping[str, StepScores], solutions: Sequence[Solution]) -> None:
    lengths = {one.id: len(one.steps) for one in solutions}
    long = [name for name, one in answers.items() if len(one.scores_S or ()) > lengths[name]]
    _refuse(long, "hold more numbers than there are steps")


def _refuse(ids: Sequence[str], what: str) -> None:
    if ids:
        raise BadInput(
            f"scores of {len(ids)} solution(s) {what}, such as {ids[0]!r}.",
            fix="give the scores that were made of these solutions",
        )


def predict(
    solution: Solution, answer: StepScores | None, *, threshold: float = THRESHOLD
) -> Prediction:
    """None where it cannot be told: no answer, or no score where the first wrong step may be."""
    if answer is None:
        return None
    if answer.scores_S is None:
        return answer.prediction
    deciding = answer.scores_S[: num_relevant(solution)]
    found = first_error(deciding, threshold=threshold)
    cut_short = len(deciding) < num_relevant(solution)
    return None if found == ALL_RIGHT and cut_short else found


def _matches(
    solutions: Sequence[Solution], answers: Mapping[str, StepScores]
) -> thresholds.Matches | None:
    """None where the judge names indices: no threshold changes those."""
    if any(one.scores_S is None and one.prediction is not None for one in answers.values()):
        return None
    scores = {name: one.scores_S or (None,) for name, one in answers.items()}
    return thresholds.gather(solutions, scores)
