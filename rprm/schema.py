"""Which nouns does the method speak of?  One frozen dataclass each; see the table in README.

Axis suffixes used across the package: S steps of a solution, K sampled critiques of a case,
T tokens, B rows of a batch, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    YES = "yes"  # the step is correct
    NO = "no"  # the step is wrong


@dataclass(frozen=True, kw_only=True, slots=True)
class MathProblem:
    """A problem for a policy to solve, and the answer it must reach."""

    id: str
    subset: str
    """The set it is of, such as "math500"."""
    problem: str
    answer: str
    """The reference, as its set writes it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Solution:
    """One worked solution and the index of its first wrong step."""

    id: str
    problem_id: str
    """Solutions of one problem share it; splits and confidence intervals cluster by it."""
    subset: str
    """Part of a benchmark with its own metric, such as "gsm8k"."""
    generator: str
    problem: str
    steps: tuple[str, ...]
    label: int
    """0-based index of the first wrong step; -1 when every step is right."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One step to judge, with what the judge may see of the solution."""

    id: str
    """"{solution_id}:{step}"."""
    solution_id: str
    problem_id: str
    step: int
    """0-based."""
    question: str
    previous_steps: tuple[str, ...]
    now_step: str
    gold: bool | None = None
    """Is the step right, by a person's (or the small world's) label; None when unlabelled."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Critique:
    """One sampled analysis of one case that ends in a verdict."""

    text: str
    verdict: Verdict
    p_yes: float | None
    """P(Yes)/(P(Yes)+P(No)) at the verdict token, at temperature 1; None without logprobs."""
    num_tokens: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Unparsed:
    """One sampled analysis without a usable verdict.  Counted and reported, never dropped."""

    text: str
    cause: str
    """One of the names in `rprm.verdicts.Cause`."""
    num_tokens: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """The K critiques of one case and their score."""

    case_id: str
    critiques_K: tuple[Critique | Unparsed, ...]
    score: float | None
    """Mean belief that the step is right; None when no critique could be parsed."""
