"""What did a critic say?  The reading rules of ProcessBench and PRMBench, to the letter.

ProcessBench  an index in the last \\boxed{…}; of several critiques the index most often written
PRMBench      a JSON object with the validity and the redundancy of every step, in [-1, 1]
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_BOXED = re.compile(r"\\boxed\{([^}]*)\}")
_COMMENT = re.compile(r"//.*?$|#.*?$", re.MULTILINE)
_INT64 = 2**63
_BELOW, _ABOVE = math.nextafter(0.5, 0.0), math.nextafter(0.5, 1.0)


def boxed(text: str) -> str | None:
    """What the last \\boxed{} holds, up to the first closing brace."""
    found = _BOXED.findall(text)
    return found[-1].strip() if found else None


def index_of(answer: str | None) -> int | None:
    """None where it is no integer, and where it is larger than any table can hold: neither ever
    matches a label."""
    try:
        index = int(answer or "")
    except ValueError:
        return None
    return index if -_INT64 <= index < _INT64 else None


def majority(texts_K: Sequence[str]) -> int | None:
    """The index of the answer given most often; of several the one met first.

    Answers are counted as they are written, before anyone asks whether they are numbers, so a
    majority that is none leaves the solution without an index."""
    answers = Counter(answer for answer in map(boxed, texts_K) if answer is not None)
    return index_of(max(answers, key=answers.__getitem__)) if answers else None


@dataclass(frozen=True, kw_only=True, slots=True)
class StepRatings:
    """Each in [-1, 1] as the prompt asks for; what is written beyond is kept.  S steps."""

    validity_S: tuple[float, ...]
    redundancy_S: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Unreadable:
    ask_again: bool
    """The protocol asks again for an object whose values are no numbers, and takes a reply
    without such an object as it is."""


def ratings_of(text: str) -> StepRatings | Unreadable:
    found = _first_object(text)
    if found is None or "validity" not in found or "redundancy" not in found:
        return Unreadable(ask_again=False)
    validity, redundancy = _numbers(found["validity"]), _numbers(found["redundancy"])
    if validity is None or redundancy is None:
        return Unreadable(ask_again=True)
    return StepRatings(validity_S=validity, redundancy_S=redundancy)


def score_of(rating: float) -> float:
    """A rating in [-1, 1] as a score in [0, 1] that is at least 0.5 exactly where it is above 0.

    Linear, (1 + rating) / 2, except that what would land on 0.5 is moved to the next number on
    its side: the protocol's rule is `> 0`, and a rating of 0 must not pass a threshold of 0.5."""
    if rating > 0:
        return max(_ABOVE, (1 + min(rating, 1)) / 2)
    return min(_BELOW, (1 + (rating if rating >= -1 else -1)) / 2)


def _first_object(text: str) -> dict[str, Any] | None:
    """The first outermost {…} that is JSON once comments are taken out.  A closing brace without
    an opening one ends the search."""
    depth, start = 0, 0
    for position, character in enumerate(text):
        if character == "{":
            start = start if depth else position
            depth += 1
        elif character == "}":
            depth -= 1
            if depth < 0:
                return None
            found = None if depth else _json(text[start : position + 1])
            if found is not None:
                return found
    return None


def _json(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(_COMMENT.sub("", text))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _numbers(values: object) -> tuple[float, ...] | None:
    if not isinstance(values, list) or not all(isinstance(one, int | float) for one in values):
        return None
    return tuple(max(-1e9, min(1e9, one)) + 0.0 if one == one else math.nan for one in values)
