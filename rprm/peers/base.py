"""What is asked of a discriminative process reward model, and which inputs run side by side?

One forward pass per solution gives the scores of all its steps.  A layout says which token ids a
solution becomes and where each step's score is read; everything here is free of tensors.

Axes: S steps of a solution, T tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from rprm.data.problem_tables import StepScores
from rprm.engines.base import Refused
from rprm.errors import BadInput
from rprm.schema import Solution

Overlong = Literal["refuse", "truncate"]

TOO_LONG = "too_long"
"""The solution has more tokens than the model may read."""

TAG_LOST = "tag_lost"
"""The tokenizer melted a step's tag into its neighbours, so its score has no place."""

DTYPES = ("auto", "float32", "bfloat16", "float16")

CAUSES = (TOO_LONG, TAG_LOST)


@dataclass(frozen=True, kw_only=True, slots=True)
class PeerOptions:
    """Where the model runs, and what becomes of long solutions."""

    threads: int = 1
    device: str = "auto"
    """"auto" takes a GPU when there is one; "spread" lays the layers over all of them."""
    dtype: str = "auto"
    """"auto" is float32 on a CPU and the checkpoint's own type on a GPU."""
    max_length: int | None = None
    """Tokens of one solution; None: as many as the model has positions."""
    overlong: Overlong = "refuse"
    """"truncate" drops whole trailing steps, whose scores are then None."""
    batch_tokens: int | None = None
    """Tokens of one forward pass, padding included, unless one solution is longer."""
    joint: str | None = None
    """rlhflow: what stands between the problem and the first step."""


class StepScorer(Protocol):
    @property
    def name(self) -> str:
        """Goes into every row; without a path of this machine in it."""
        ...

    def score(self, solutions: Sequence[Solution]) -> Iterator[StepScores | Refused]:
        """Answer every solution once, in their order."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class LaidOut:
    """A solution as the model reads it."""

    id: str
    tokens_T: tuple[int, ...]
    positions_S: tuple[int, ...]
    """Ascending: the token at which each step's score is read."""

    @property
    def length(self) -> int:
        """Tokens that are run: those after the last score cannot change a causal model's."""
        return self.positions_S[-1] + 1 if self.positions_S else 0


class Layout(Protocol):
    def __call__(self, solution: Solution) -> LaidOut | Refused: ...


def fit(one: LaidOut, *, max_length: int, overlong: Overlong) -> LaidOut | Refused:
    """Drop trailing steps until the rest fits, where that was asked for."""
    if one.length <= max_length:
        return one
    kept = sum(position < max_length for position in one.positions_S)
    if overlong == "truncate" and kept:
        return LaidOut(id=one.id, tokens_T=one.tokens_T, positions_S=one.positions_S[:kept])
    return Refused(
        id=one.id,
        cause=TOO_LONG,
        detail=f"{one.length} tokens > {max_length};"
        f" {kept} of {len(one.positions_S)} steps would fit",
    )


def batches_of(lengths: Sequence[int], *, batch_tokens: int) -> list[list[int]]:
    """Indices of what runs together: longest first, so that neighbours need little padding."""
    batches: list[list[int]] = []
    width = 0
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        if not batches or width * (len(batches[-1]) + 1) > batch_tokens:
            batches.append([])
            width = lengths[index]
        batches[-1].append(index)
    return batches


def check_options(options: PeerOptions) -> None:
    """Raises BadInput for sizes and types that mean nothing."""
    for what in ("threads", "max_length", "batch_tokens"):
        value = getattr(options, what)
        if value is not None and value < 1:
            raise BadInput(f"{what} is {value}.", fix="give a positive number.")
    if options.dtype not in DTYPES:
        raise BadInput(f"dtype is {options.dtype!r}.", fix=f"use one of {', '.join(DTYPES)}.")
