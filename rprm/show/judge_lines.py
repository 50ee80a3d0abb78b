"""What did `rprm judge --json` write?  One judged solution per line, read one at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rprm.data.rows import RowChecks, RowReader
from rprm.errors import BadInput
from rprm.schema import Critique, Unparsed, Verdict
from rprm.scoring import THRESHOLD, Aggregate
from rprm.show.shown import Reading, Said, StepView, Subject, step_of

_FACTS = {"model": "judge", "template": "template", "num_critiques": "critiques per step"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """What the first line says of all."""

    reading: Reading
    facts: tuple[tuple[str, str], ...]


def open_lines(path: Path) -> tuple[Header, Callable[[Reading], Iterator[tuple[Subject, Said]]]]:
    """Raises BadInput for a file that is something else; for bad rows when they are read."""
    checks = RowChecks(source=str(path))
    first = next(_rows(path, checks), None)
    if first is None or not {"problem", "steps"} <= set(first.values):
        raise BadInput(
            f"{path} holds no judged solutions.",
            fix="give what `rprm judge --json` wrote, a Parquet file, or a run of the store",
        )
    values = first.values
    aggregate, threshold = values.get("aggregate"), values.get("threshold")
    reading = Reading(
        threshold=float(threshold) if isinstance(threshold, int | float) else THRESHOLD,
        aggregate=Aggregate.HARD if aggregate == Aggregate.HARD else Aggregate.SOFT,
    )
    facts = tuple((word, str(values[key])) for key, word in _FACTS.items() if key in values)
    return Header(reading=reading, facts=facts), partial(_judged, path)


def _judged(path: Path, reading: Reading) -> Iterator[tuple[Subject, Said]]:
    """All problems of the rows are raised together, after the last one."""
    checks = RowChecks(source=str(path))
    seen: dict[str, int] = {}
    for row in _rows(path, checks):
        steps = row.optional_list("steps")
        subject = _subject(row, steps)
        checks.unique(seen, row.index, "id", subject.id)
        views = {index: _step(step, reading) for index, step in enumerate(steps)}
        yield subject, Said(steps=views)
    checks.done()


def _rows(path: Path, checks: RowChecks) -> Iterator[RowReader]:
    with path.open("rb") as file:
        for index, line in enumerate(file):
            if not line.strip():
                continue
            try:
                values = json.loads(line)
            except ValueError:
                values = None
                if index == 0:
                    raise BadInput(
                        f"{path}, line 1: not JSON.", fix="give what `rprm judge --json` wrote"
                    ) from None
            yield checks.row(index, values)


def _subject(row: RowReader, steps: list[RowReader]) -> Subject:
    label = None
    if row.values.get("label") is not None:
        label = row.label("label", num_steps=len(steps))
    return Subject(
        id=row.text("id"),
        subset=row.optional_text("subset") or "",
        generator="",
        problem=row.text("problem"),
        steps_S=tuple(step.text("text", blank=True) for step in steps),
        label=label,
    )


def _step(step: RowReader, reading: Reading) -> StepView:
    if step.values.get("refused") is not None:
        inner = step.inside("refused")
        return StepView(refused=f"{inner.text('cause')}: {inner.text('detail', blank=True)}")
    return step_of([_critique(one) for one in step.optional_list("critiques")], reading)


def _critique(one: RowReader) -> Critique | Unparsed:
    text, num_tokens = one.text("text", blank=True), one.optional_integer("num_tokens") or 0
    verdict = one.optional_text("verdict")
    if verdict in set(Verdict):
        p_yes = one.optional_fraction("p_yes")
        return Critique(text=text, verdict=Verdict(verdict), p_yes=p_yes, num_tokens=num_tokens)
    if verdict is not None:
        one.problem("verdict", f"is {verdict!r}", fix='give "yes", "no", or null with a cause')
    cause = one.optional_text("cause") or "unknown"
    return Unparsed(text=text, cause=cause, num_tokens=num_tokens)
