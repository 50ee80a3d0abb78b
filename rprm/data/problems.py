"""When are two problems the same?  When their letters and digits agree.

Layout, punctuation and Unicode variants differ between copies of one problem in public sets.
Two different problems may rarely fall together ("x+1", "x-1"): then one cluster grows, or one
problem too many is excluded, and both errors are on the safe side.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rprm.schema import Solution

_LAYOUT = re.compile(r"[\W_]+")


def normalised(problem: str) -> str:
    """A problem made of signs alone keeps them, or all such problems would be one."""
    folded = unicodedata.normalize("NFKC", problem).casefold()
    return _LAYOUT.sub("", folded) or " ".join(folded.split())


def problem_id(problem: str) -> str:
    return "p-" + hashlib.sha256(normalised(problem).encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True, slots=True)
class Exclusion:
    """What is left after a set of problems was banned, with the count of what was not."""

    kept: tuple[Solution, ...]
    num_solutions: int
    """Excluded solutions."""
    num_problems: int
    """Excluded problems; several solutions may share one."""


def exclude_overlap(solutions: Sequence[Solution], banned_problems: Iterable[str]) -> Exclusion:
    """Drop solutions of banned problems, so that no test problem is trained on.

    Problems are compared by their normalised text, never by the ids the solutions carry.
    """
    banned = {normalised(problem) for problem in banned_problems}
    keys = [normalised(solution.problem) for solution in solutions]
    dropped = [key for key in keys if key in banned]
    return Exclusion(
        kept=tuple(one for one, key in zip(solutions, keys, strict=True) if key not in banned),
        num_solutions=len(dropped),
        num_problems=len(set(dropped)),
    )
