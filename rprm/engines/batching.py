"""Which samples run side by side, and in which order?  Pure: requests in, units and sizes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rprm.engines.base import Request, SamplingParams


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What the machine can take."""

    rows: int
    """Samples that run side by side."""
    batch_tokens: int
    """Rows times columns of the key-value buffers."""
    prefill_tokens: int
    """Prompt tokens in one forward pass, unless a single prompt is longer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """Samples of one prompt that join the batch together; their prompt is computed once."""

    request: int
    """Index of the request."""
    prompt_T: tuple[int, ...]
    seed: int
    samples: range


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """Size of the buffers."""

    rows: int
    columns: int
    """Enough for the longest prompt with the longest completion, and slack to slide in."""


def shape_for(units: Sequence[Unit], params: SamplingParams, limits: Limits) -> Shape:
    """As many rows as fit when every one of them gets as long as it may."""
    longest = max(len(unit.prompt_T) for unit in units) + params.max_tokens
    columns = longest + max(64, longest // 4)
    wanted = sum(len(unit.samples) for unit in units)
    return Shape(
        rows=max(1, min(limits.rows, wanted, limits.batch_tokens // columns)), columns=columns
    )


def units_of(requests: Sequence[Request], *, most: int) -> list[Unit]:
    """Longest prompts first, so that neighbours need little padding and the end is short.

    A request with more than `most` samples becomes several units.
    """
    units = [
        Unit(
            request=index,
            prompt_T=request.prompt_T,
            seed=request.seed,
            samples=range(first, min(first + most, request.first_sample + request.n)),
        )
        for index, request in enumerate(requests)
        for first in range(request.first_sample, request.first_sample + request.n, most)
    ]
    return sorted(units, key=lambda unit: (-len(unit.prompt_T), unit.prompt_T, unit.request))


def next_group(queue: Sequence[Unit], *, free_rows: int, prefill_tokens: int) -> int:
    """How many units from the front of the queue may join now, in one prefill."""
    count = rows = width = 0
    for unit in queue:
        rows += len(unit.samples)
        width = max(width, len(unit.prompt_T))
        too_wide = count > 0 and width * (count + 1) > prefill_tokens
        if rows > free_rows or too_wide:
            break
        count += 1
    return count
