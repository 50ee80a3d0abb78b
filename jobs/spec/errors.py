"""Which errors does the job system raise, and what should a person do about each of them?

JobsError
├── ConfigError       the caller must change something; exit code 64
│   ├── CampaignError     the document is wrong: every problem with its line
│   └── EntryPointError   a stage names code that cannot be used
├── DrainedError      stopped at a safe point; exit code 75, retried for free
├── StoreError        the object store could not be read or written
│   └── StorageFull   nothing more can be written
└── TransientError    the same call may succeed later
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from jobs.spec import exitcodes

PathKey = tuple[str | int, ...]
"""Where a value stands in a document: ("spec", "stages", 1, "retries")."""


class JobsError(Exception):
    """Something went wrong while running a campaign."""

    exit_code: ClassVar[int] = exitcodes.FAILED

    def __init__(self, message: str = "", *, fix: str = "") -> None:
        text = message or (type(self).__doc__ or "").strip()
        super().__init__(f"{text} Fix: {fix}" if fix else text)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a document, and where."""

    source: str
    """A file name or another word for where the text came from."""
    line: int
    """1-based; 0 when the problem is not in a text."""
    path: str
    """Such as "spec.stages[1].retries"; empty for the document as a whole."""
    message: str
    suggestion: str = ""
    """What to write instead, such as "did you mean 'retries'?"."""

    def __str__(self) -> str:
        where = f"{self.source}:{self.line}" if self.line else self.source
        what = f"{self.path}: {self.message}" if self.path else self.message
        return f"{where}: {what}; {self.suggestion}" if self.suggestion else f"{where}: {what}"


class ConfigError(JobsError):
    """What was asked for does not fit this campaign or this machine."""

    exit_code = exitcodes.BAD_CONFIG


class CampaignError(ConfigError):
    """The document does not describe a runnable campaign."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        unique = dict.fromkeys(problems)
        self.problems = tuple(sorted(unique, key=lambda problem: problem.line))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class EntryPointError(ConfigError):
    """A stage names code that cannot be imported or is not a stage."""


class DrainedError(JobsError):
    """Asked to leave, and stopped at a safe point."""

    exit_code = exitcodes.DRAINED


class StoreError(JobsError):
    """The object store could not be read or written."""


class StorageFull(StoreError):
    """The object store has no space left."""


class TransientError(JobsError):
    """The same call may succeed later."""


def path_text(path: PathKey) -> str:
    """Write a path the way people do: spec.stages[1].retries."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question naming the nearest known word, or nothing when none is near."""
    some = itertools.islice(known, 1000)  # comparing is slow, and nobody reads further
    by_lower = {name.lower().replace("_", ""): name for name in some}
    close = difflib.get_close_matches(word[:100].lower().replace("_", ""), by_lower, n=1)
    return f"did you mean {by_lower[close[0]]!r}?" if close else ""
