"""How does a text become a campaign, or a list of everything that is wrong with it?"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from jobs.spec.campaign import API_VERSION, FORMS, Campaign
from jobs.spec.checks import lay_out
from jobs.spec.document import MAX_BYTES, Document, read_document
from jobs.spec.errors import CampaignError, PathKey, Problem, did_you_mean
from jobs.spec.repair import repair

MAX_PROBLEMS = 100
"""A person who sees more has another kind of problem."""


def load_campaign(path: Path) -> Campaign:
    """Read a campaign file.  Raises CampaignError with every problem in it."""
    source = str(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        what = error.strerror or "unreadable"
        raise CampaignError([Problem(source, 0, "", f"cannot be read: {what}")]) from error
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problem = Problem(source, line, "", "not UTF-8 text", "save the file as UTF-8")
        raise CampaignError([problem]) from error
    return parse_campaign(text, source=source)


def parse_campaign(text: str, *, source: str) -> Campaign:
    """Read a campaign from text.  Raises CampaignError with every problem in it."""
    document = read_document(text, source=source)
    if not isinstance(document.value, dict):
        if not document.problems:
            message = f"a campaign is a mapping, not {type(document.value).__name__}"
            fix = f"start with apiVersion: {API_VERSION} and kind: Campaign"
            document.problems.append(document.problem((), message, fix))
        raise CampaignError(_limited(document.problems))
    try:
        campaign = Campaign.model_validate(document.value).read_from(document)
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise CampaignError(_limited(_shape_problems(document, details))) from error
    _, problems = lay_out(campaign)
    if document.problems or problems:
        raise CampaignError(_limited([*document.problems, *problems]))
    return campaign


def _shape_problems(document: Document, details: list[ErrorDetails]) -> list[Problem]:
    """Problems of the shape, and what can still be said about how the stages fit together."""
    problems = [*document.problems, *(_problem(document, detail) for detail in details)]
    fixed = repair(document, details)
    if fixed is not None:
        campaign = fixed.campaign.read_from(document)
        _, found = lay_out(
            campaign,
            also_known=fixed.also_known,
            with_axes=fixed.axes_are_whole,
            with_calls=fixed.calls_are_whole,
        )
        problems += found
    return problems


def _limited(problems: list[Problem]) -> list[Problem]:
    more = len(problems) - MAX_PROBLEMS
    if more <= 0:
        return problems
    kept = problems[:MAX_PROBLEMS]
    return [*kept, Problem(kept[-1].source, kept[-1].line, "", f"and {more} more problems")]


def _problem(document: Document, detail: ErrorDetails) -> Problem:
    path: PathKey = tuple(part for part in detail["loc"] if part != "[key]")
    if detail["type"] == "extra_forbidden":
        known = keys_at(path[:-1])
        return document.problem(path, "unknown key", did_you_mean(str(path[-1]), known))
    if detail["type"] == "missing":
        return document.problem(path, "required")
    message = detail["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    if detail["type"] == "string_pattern_mismatch":
        pattern = detail["ctx"]["pattern"]
        return document.problem(path, f"{detail['input'][:80]!r} does not fit", FORMS[pattern])
    if detail["type"] != "value_error" and isinstance(detail["input"], str | int | float):
        message += f", not {str(detail['input'])[:80]!r}"
    return document.problem(path, message, _literal_hint(detail))


def _literal_hint(detail: ErrorDetails) -> str:
    if detail["type"] != "literal_error" or not isinstance(detail["input"], str):
        return ""
    return did_you_mean(detail["input"], re.findall(r"'([^']+)'", detail["msg"]))


def keys_at(path: PathKey) -> list[str]:
    """The keys that the document may have at a place."""
    kind: Any = Campaign
    for part in path:
        if isinstance(part, int):
            continue
        if get_origin(kind) is dict:
            kind = get_args(kind)[1]
            continue
        model = _model_in(kind)
        named = [f for f in model.model_fields.values() if f.alias == part] if model else []
        kind = _container(named[0].annotation) if named else None
    model = _model_in(kind)
    return [f.alias or "" for f in model.model_fields.values()] if model else []


def _container(annotation: Any) -> Any:
    """A mapping type as it is; of anything else the model inside."""
    return annotation if get_origin(annotation) is dict else _model_in(annotation)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(inner) for inner in get_args(annotation))
    return next((model for model in found if model is not None), None)
