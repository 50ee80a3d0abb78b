"""What do the facts of many shards say together?  Pure: numbers add up, the rest must agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from jobs.spec.errors import StoreError


def merge_facts(facts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """In shard order, so that sums of floats are the same every time."""
    merged: dict[str, Any] = {}
    for more in facts:
        for name, value in more.items():
            merged[name] = _join(merged[name], value, name) if name in merged else value
    return merged


def _join(left: Any, right: Any, name: str) -> Any:
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return merge_facts([left, right])
    if _is_number(left) and _is_number(right):
        return left + right
    if left == right and type(left) is type(right):
        return left
    raise StoreError(
        f"Two shards disagree about the fact {name!r}: {left!r} and {right!r}.",
        fix="note numbers, which are summed, or values that are the same in every shard",
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
