"""What did the judge say of each solution?  Pure: joins rows of judged steps with solutions.

Rows are read once and in order, and the steps of a solution must follow each other, so that only
one solution's critiques are in memory at a time.  Solutions of which there is no row come last:
a benchmark counts them too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby

from rprm.data.problem_tables import StepScores
from rprm.errors import BadInput
from rprm.schema import Case
from rprm.scoring import ALL_RIGHT
from rprm.show.shown import Reading, Said, StepView, Subject, step_of
from rprm.stages.judged import JudgedCase

Refusals = Mapping[str, str]
"""Why a case or a solution could not be judged, by its id."""


def assemble(
    rows: Iterable[JudgedCase],
    subjects: Mapping[str, Subject],
    reading: Reading,
    refusals: Refusals,
) -> Iterator[tuple[Subject, Said]]:
    """A solution that `subjects` does not know is put together from its cases."""
    seen: set[str] = set()
    for solution_id, group in groupby(rows, key=lambda row: row.case.solution_id):
        _once(seen, solution_id)
        cases = list(group)
        subject = subjects.get(solution_id) or subject_of_cases([row.case for row in cases])
        steps = {row.case.step: step_of(row.critiques_K, reading) for row in cases}
        yield subject, Said(steps=_refused(subject, refusals) | steps)
    for subject in _unseen(subjects, seen):
        yield subject, Said(steps=_refused(subject, refusals))


def assemble_scores(
    rows: Iterable[StepScores], subjects: Mapping[str, Subject], refusals: Refusals
) -> Iterator[tuple[Subject, Said]]:
    seen: set[str] = set()
    for row in rows:
        _once(seen, row.solution_id)
        scores_S = row.scores_S or ()
        subject = subjects.get(row.solution_id) or _unknown_subject(row)
        yield (
            subject,
            Said(
                steps={step: StepView(score=value) for step, value in enumerate(scores_S)},
                texts=row.texts,
                named=row.prediction,
                names=row.scores_S is None,
            ),
        )
    for subject in _unseen(subjects, seen):
        yield subject, Said(steps=_refused(subject, refusals))


def subject_of_cases(cases: list[Case]) -> Subject:
    """Steps that were never judged are known from what stands before a later one."""
    last = max(cases, key=lambda case: case.step)
    texts = dict(enumerate(last.previous_steps))
    texts |= {case.step: case.now_step for case in cases}
    return Subject(
        id=last.solution_id,
        subset="",
        generator="",
        problem=last.question,
        steps_S=tuple(texts.get(step, "") for step in range(last.step + 1)),
        label=_label_of_cases(cases),
    )


def _label_of_cases(cases: list[Case]) -> int | None:
    """Judged steps end with the first wrong one, so all right means that there is none."""
    wrong = [case.step for case in cases if case.gold is False]
    if wrong:
        return min(wrong)
    return ALL_RIGHT if all(case.gold for case in cases) else None


def _refused(subject: Subject, refusals: Refusals) -> dict[int, StepView]:
    """A refusal of the whole solution is shown at its first step."""
    found = {
        step: StepView(refused=refusals[f"{subject.id}:{step}"])
        for step in range(len(subject.steps_S))
        if f"{subject.id}:{step}" in refusals
    }
    if subject.id in refusals:
        found[0] = StepView(refused=refusals[subject.id])
    return found


def _unknown_subject(row: StepScores) -> Subject:
    num_steps = len(row.scores_S or ()) or max((row.prediction or 0) + 1, 1)
    return Subject(
        id=row.solution_id,
        subset="",
        generator="",
        problem="",
        steps_S=("",) * num_steps,
        label=None,
    )


def _unseen(subjects: Mapping[str, Subject], seen: set[str]) -> Iterator[Subject]:
    return (subject for subject in subjects.values() if subject.id not in seen)


def _once(seen: set[str], solution_id: str) -> None:
    if solution_id in seen:
        raise BadInput(
            f"solution {solution_id!r} is judged in two places of these rows.",
            fix="a page shows one run of one judge: name a single file or artifact, or sort the "
            "rows by solution",
        )
    seen.add(solution_id)
