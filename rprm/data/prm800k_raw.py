"""What is in one raw PRM800K record?  The JSON of both phases, typed and checked, not judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rprm.data.rows import RowReader


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    text: str
    rating: int | None
    """1 right, 0 neutral, -1 wrong; None where the labeller left before rating it."""
    flagged: bool
    """Null in the file counts as false."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    completions: tuple[Completion, ...]
    chosen: int | None
    human: Completion | None
    """What the labeller wrote instead of all completions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    labeler: str
    timestamp: str
    generation: int | None
    """None in phase 1."""
    problem: str
    steps: tuple[Step, ...]
    finish_reason: str | None
    is_quality_control: bool
    is_screening: bool

    @property
    def phase(self) -> int:
        return 1 if self.generation is None else 2


FINISH_REASONS = ("solution", "found_error", "give_up", "bad_problem")


def read_record(row: RowReader) -> Record:
    """Problems are noted in the row's checks; a record with problems is never used."""
    question, label = row.inside("question"), row.inside("label")
    reason = label.optional_text("finish_reason")
    if reason is not None and reason not in FINISH_REASONS:
        label.problem("finish_reason", f"is {reason!r}", fix=f"use one of {FINISH_REASONS}")
    return Record(
        labeler=row.text("labeler", blank=True),
        timestamp=row.text("timestamp", blank=True),
        generation=row.optional_integer("generation"),
        problem=question.text("problem"),
        steps=tuple(_read_step(step) for step in label.optional_list("steps")),
        finish_reason=reason,
        is_quality_control=row.optional_boolean("is_quality_control_question") is True,
        is_screening=row.optional_boolean("is_initial_screening_question") is True,
    )


def _read_step(row: RowReader) -> Step:
    completions = tuple(_read_completion(one) for one in row.optional_list("completions"))
    chosen = row.optional_integer("chosen_completion")
    if chosen is not None and not 0 <= chosen < len(completions):
        row.problem(
            "chosen_completion",
            f"is {chosen} but there are {len(completions)} completions",
            fix="fetch the file again, or drop the record",
        )
        chosen = None
    return Step(completions=completions, chosen=chosen, human=_read_human(row))


def _read_human(row: RowReader) -> Completion | None:
    """An object in the files, a text in the data set's own README; blank ones are no step."""
    value = row.values.get("human_completion")
    if value is None:
        return None
    if isinstance(value, Mapping):
        one = _read_completion(row.inside("human_completion"))
    else:
        one = Completion(text=row.text("human_completion", blank=True), rating=None, flagged=False)
    return one if one.text.strip() else None


def _read_completion(row: RowReader) -> Completion:
    rating = row.optional_integer("rating")
    if rating not in {-1, 0, 1, None}:
        row.problem("rating", f"is {rating}", fix="use -1, 0, 1 or null")
    return Completion(
        text=row.text("text", blank=True),
        rating=rating,
        flagged=row.optional_boolean("flagged") is True,
    )
