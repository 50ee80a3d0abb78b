"""What do PRM800K's raw records say about each step?  Labelled cases and solutions.

Data     openai/prm800k (MIT), the raw JSON lines of both phases
Path     completions[chosen_completion], else human_completion (an object; its rating is null and
         counts as right, since a labeller wrote it as the way on).  In phase 2 the wrong last
         step has neither: it is completions[0], and the later ones are alternatives to it
Dropped  quality-control and screening records; bad_problem; records without steps; repeats
Ends     a path ends at its first wrong step, or where nothing was chosen (give_up) or it is blank
No gold  flagged steps, unrated completions, and neutral ones where the options say so
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from rprm.data.prm800k_raw import Completion, Record, Step, read_record
from rprm.data.problems import problem_id
from rprm.data.sources import Source, read_source, resolve
from rprm.schema import Case, Solution

DEFAULT_SOURCE = "data:prm800k/raw.jsonl"


@dataclass(frozen=True, kw_only=True, slots=True)
class Prm800kOptions:
    neutral: Literal["good", "drop", "bad"] = "good"
    """What rating 0 means.  The method's authors do not say, and the script that flattened their
    data is not public; its 764,607 step rows suggest that neutral steps were kept, and "Negative"
    is their word for a wrong step only, so "good" is assumed.  Unverified."""
    alternatives: bool = False
    """Also make cases of the completions that were rated but not chosen."""
    give_up: bool = True
    """Keep records whose labeller gave up: the steps before that point were rated as usual."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prm800k:
    cases: tuple[Case, ...]
    """Every one has a gold label; those of one record share its problem_id."""
    solutions: tuple[Solution, ...]
    """The chosen paths, each cut before its first step without a gold label."""
    counts: Mapping[str, int]
    """How often each rule applied."""
    source: Source


@dataclass(frozen=True, slots=True)
class _PathStep:
    text: str
    gold: bool | None


def load_prm800k(
    name: str = DEFAULT_SOURCE,
    *,
    options: Prm800kOptions | None = None,
    revision: str | None = None,
) -> Prm800k:
    source = resolve(name, revision=revision)
    counts: Counter[str] = Counter()
    cases: list[Case] = []
    solutions: list[Solution] = []
    chosen = options or Prm800kOptions()
    for record in usable(read_source(source, read_record), chosen, counts):
        path = path_of(record, chosen, counts)
        if (solution := _solution(record, path)) is not None:
            solutions.append(solution)
        cases += _path_cases(record, path)
        if chosen.alternatives:
            cases += _alternative_cases(record, path, chosen, counts)
    counts.update(
        solutions=len(solutions),
        solutions_with_error=sum(one.label >= 0 for one in solutions),
        cases=len(cases),
        cases_wrong=sum(case.gold is False for case in cases),
    )
    return Prm800k(
        cases=tuple(cases), solutions=tuple(solutions), counts=dict(counts), source=source
    )


def usable(
    records: Iterable[Record], options: Prm800kOptions, counts: Counter[str]
) -> Iterator[Record]:
    """Records whose labels may be trained on; each other one is counted under its rule."""
    seen: set[str] = set()
    for record in records:
        counts["records"] += 1
        rule = _rule_against(record, options, seen)
        seen.add(record_id(record))
        if rule:
            counts[f"dropped_{rule}"] += 1
        else:
            yield record


def _rule_against(record: Record, options: Prm800kOptions, seen: set[str]) -> str | None:
    rules = {
        "quality_control": record.is_quality_control,
        "screening": record.is_screening,
        "bad_problem": record.finish_reason == "bad_problem",
        "give_up": record.finish_reason == "give_up" and not options.give_up,
        "no_steps": not record.steps,
        "repeated": record_id(record) in seen,
    }
    return next((rule for rule, applies in rules.items() if applies), None)


def record_id(record: Record) -> str:
    """Raw records carry none; who labelled which problem when is unique."""
    parts = (record.labeler, record.timestamp, str(record.generation), record.problem)
    return "prm800k-" + hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def path_of(record: Record, options: Prm800kOptions, counts: Counter[str]) -> tuple[_PathStep, ...]:
    """The chosen path up to and including its first wrong step."""
    path: list[_PathStep] = []
    for step in record.steps:
        taken = _taken(record, step, is_last=step is record.steps[-1], counts=counts)
        if taken is None:
            counts["path_ends_unchosen"] += 1
            break
        path.append(taken if isinstance(taken, _PathStep) else _rated(taken, options, counts))
        if path[-1].gold is False:
            break
    counts["path_steps"] += len(path)
    return tuple(path)


def _taken(
    record: Record, step: Step, *, is_last: bool, counts: Counter[str]
) -> Completion | _PathStep | None:
    if step.chosen is not None:
        one = step.completions[step.chosen]
        return one if one.text.strip() else None
    if step.human is not None:
        counts["human_steps"] += 1
        return _PathStep(step.human.text, None if step.human.flagged else True)
    first = step.completions[0] if step.completions else None
    if is_last and record.finish_reason == "found_error" and _is_wrong(first):
        counts["wrong_last_steps"] += 1
        return first
    return None


def _is_wrong(one: Completion | None) -> bool:
    return one is not None and one.rating == -1 and bool(one.text.strip())


def _rated(one: Completion, options: Prm800kOptions, counts: Counter[str]) -> _PathStep:
    return _PathStep(one.text, _gold(one, options, counts))


def _gold(one: Completion, options: Prm800kOptions, counts: Counter[str]) -> bool | None:
    if one.flagged:
        counts["flagged"] += 1
        return None
    if one.rating is None:
        counts["unrated"] += 1
        return None
    if one.rating == 0:
        counts["neutral"] += 1
        return {"good": True, "drop": None, "bad": False}[options.neutral]
    return one.rating == 1


def _solution(record: Record, path: tuple[_PathStep, ...]) -> Solution | None:
    """A Solution cannot hold an unlabelled step, so the path is cut before the first one."""
    labelled = next((i for i, step in enumerate(path) if step.gold is None), len(path))
    if labelled == 0:
        return None
    kept = path[:labelled]
    return Solution(
        id=record_id(record),
        problem_id=problem_id(record.problem),
        subset=f"phase{record.phase}",
        generator=f"prm800k-phase{record.phase}",
        problem=record.problem,
        steps=tuple(step.text for step in kept),
        label=labelled - 1 if kept[-1].gold is False else -1,
    )


def _path_cases(record: Record, path: tuple[_PathStep, ...]) -> Iterator[Case]:
    for index, step in enumerate(path):
        if step.gold is not None:
            yield _case(record, record_id(record), path[:index], step)


def _alternative_cases(
    record: Record,
    path: tuple[_PathStep, ...],
    options: Prm800kOptions,
    counts: Counter[str],
) -> Iterator[Case]:
    """All completions of a step share the chosen steps before it as their prefix."""
    for index, step in enumerate(record.steps[: len(path) + 1]):
        prefix = path[:index]
        if prefix and prefix[-1].gold is False:
            return  # past a wrong step, "correct" has no agreed meaning
        seen = {path[index].text} if index < len(path) else set()
        for position, one in enumerate(step.completions):
            if _is_on_path(step, position, len(path) > index):
                continue
            gold = _gold(one, options, counts)
            if not one.text.strip() or one.text in seen:
                counts["alternatives_repeated_or_blank"] += 1
            elif gold is not None:
                counts["alternatives"] += 1
                name = f"{record_id(record)}~{index}.{position}"
                yield _case(record, name, prefix, _PathStep(one.text, gold))
            seen.add(one.text)


def _is_on_path(step: Step, position: int, has_path_step: bool) -> bool:
    if step.chosen is not None:
        return position == step.chosen
    return has_path_step and step.human is None and position == 0


def _case(record: Record, solution_id: str, prefix: tuple[_PathStep, ...], now: _PathStep) -> Case:
    return Case(
        id=f"{solution_id}:{len(prefix)}",
        solution_id=solution_id,
        problem_id=problem_id(record.problem),
        step=len(prefix),
        question=record.problem,
        previous_steps=tuple(step.text for step in prefix),
        now_step=now.text,
        gold=now.gold,
    )
