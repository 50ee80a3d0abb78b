"""What of a misshapen document can still be checked?  So that one typo does not hide a cycle.

What pydantic refused is taken out or replaced by a placeholder, until the rest is a campaign.
Where that could change what the stages read, the checks that would be misled are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from jobs.spec.campaign import API_VERSION, Campaign
from jobs.spec.document import Document
from jobs.spec.errors import PathKey
from jobs.spec.wiring import normal

_MAX_TRIES = 4
_MAX_DETAILS = 1000

_ROOT: dict[PathKey, object] = {
    ("apiVersion",): API_VERSION,
    ("kind",): "Campaign",
    ("metadata",): {"name": "unnamed"},
    ("metadata", "name"): "unnamed",
}
_IN_LISTS = {"run": "unknown:Unknown", "role": "judge", "model": "unknown"}
"""Required values of stages and fleets that say nothing about how stages fit together."""

_TELLING = frozenset({"spec", "stages", "rounds", "count", "carry"})
"""Without these nothing sure can be said about the graph."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Repaired:
    campaign: Campaign
    also_known: frozenset[str]
    """Names of stages that were misspelt as names, yet may be referred to."""
    axes_are_whole: bool
    """False when an input, a sweep or what a fleet serves is gone."""
    calls_are_whole: bool
    """False when a fleet, its name or a stage's calls are gone."""


def repair(document: Document, details: Sequence[ErrorDetails]) -> Repaired | None:
    """The campaign without its misshapen parts; None when too much would be missing."""
    value = _copied(document.value)
    also_known: set[str] = set()
    whole = calls_whole = True
    for _ in range(_MAX_TRIES):
        for detail in details[:_MAX_DETAILS]:
            path: PathKey = tuple(part for part in detail["loc"] if part != "[key]")
            is_missing = detail["type"] == "missing"
            if _is_telling(path, is_missing=is_missing):
                return None
            whole = whole and not {"inputs", "sweep", "fleets"} & set(path)
            calls_whole = calls_whole and not _is_of_calls(path)
            also_known |= _name_at(document.value, path)
            _mend(value, path)
        try:
            campaign = Campaign.model_validate(value)
        except ValidationError as error:
            details = error.errors(include_url=False)
        else:
            return Repaired(
                campaign=campaign,
                also_known=frozenset(also_known),
                axes_are_whole=whole,
                calls_are_whole=calls_whole,
            )
    return None


def _is_telling(path: PathKey, *, is_missing: bool) -> bool:
    """Does it decide which stages there are and what they are called?"""
    named = [part for part in path if isinstance(part, str)]
    if is_missing and path[-1] == "name" and path[0] == "spec":
        return True
    return not named or named[-1] in _TELLING or "carry" in named[:3]


def _is_of_calls(path: PathKey) -> bool:
    """Does it decide which fleets there are and who calls them?"""
    if path[:2] == ("spec", "fleets"):
        return len(path) <= 3 or path[3] == "name"
    return "fleets" in path


def _name_at(value: Any, path: PathKey) -> set[str]:
    """The misspelt name of a stage, if that is what stands there."""
    holder, key = _holder(value, path)
    found = holder.get("name") if holder is not None and key == "name" else None
    return {normal(found)} if isinstance(found, str) else set()


def _mend(value: Any, path: PathKey) -> None:
    """Take the nearest named part away, or give it a placeholder where it is required."""
    holder, key = _holder(value, path)
    if holder is None:
        return
    in_list = len(path) > 1 and isinstance(path[-2], int)
    if path in _ROOT:
        holder[key] = _copied(_ROOT[path])
    elif in_list and key == "name":
        holder[key] = "unnamed-" + "-".join(str(part) for part in path if isinstance(part, int))
    elif in_list and key in _IN_LISTS:
        holder[key] = _IN_LISTS[key]
    else:
        holder.pop(key, None)


def _holder(value: Any, path: PathKey) -> tuple[dict[str, Any] | None, str]:
    """The innermost mapping on the way to `path`, and the key the way goes on with."""
    holder: dict[str, Any] | None = None
    key = ""
    for part in path:
        if isinstance(value, dict):
            holder, key = value, str(part)
            value = value.get(key)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            break
    return holder, key


def _copied(value: Any) -> Any:
    """A copy in which nothing is shared, whatever aliases the text used."""
    if isinstance(value, dict):
        return {key: _copied(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_copied(inner) for inner in value]
    return value
