"""Which samples run side by side, and how large are the buffers?  Pure: requests in, sizes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rprm.engines.base import Request, SamplingParams

MOST_PLACES = 16
"""Samples that share one stored prompt; a request with more becomes several units."""

EXPECTED_COLUMNS = 128
"""Sampled tokens to plan for at first; when texts turn out longer, fewer rows run at a time."""

UNIT_SPARE = 2
"""Prompt slots per slot that full units would need: a unit holds its slot to its last sample."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What the machine can take."""

    rows: int
    """Samples that run side by side."""
    batch_tokens: int
    """Tokens whose keys and values are kept at once."""
    prefill_tokens: int
    """Prompt tokens in one forward pass, unless a single prompt is longer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """Samples of one prompt that join the batch together; the prompt is computed once."""

    request: int
    """Index of the request."""
    prompt_T: tuple[int, ...]
    seed: int
    samples: range
    carried_T: tuple[int, ...] = ()
    """Tokens already sampled, when a single sample was set aside to make room."""
    carried_p_yes_T: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """Sizes of the buffers."""

    rows: int
    units: int
    places: int
    prompt: int


def places_for(requests: Sequence[Request]) -> int:
    return min(MOST_PLACES, max(request.n for request in requests))


def units_of(requests: Sequence[Request], *, places: int) -> list[Unit]:
    """Longest prompts first, so that neighbours need little padding and the end is short."""
    units = [
        Unit(
            request=index,
            prompt_T=request.prompt_T,
            seed=request.seed,
            samples=range(first, min(first + places, request.first_sample + request.n)),
        )
        for index, request in enumerate(requests)
        for first in range(request.first_sample, request.first_sample + request.n, places)
    ]
    return sorted(units, key=lambda unit: (-len(unit.prompt_T), unit.prompt_T, unit.request))


def shape_for(units: Sequence[Unit], params: SamplingParams, limits: Limits) -> Shape:
    """As many rows as fit while texts have their first length; longer ones get fewer rows."""
    places = max(len(unit.samples) for unit in units)
    prompt = max(len(unit.prompt_T) for unit in units)
    columns = min(EXPECTED_COLUMNS, params.max_tokens)
    by_memory = limits.batch_tokens // (UNIT_SPARE * prompt + places * columns)
    wanted = max(1, min(by_memory, limits.rows // places, len(units)))
    return Shape(
        rows=wanted * places,
        units=min(UNIT_SPARE * wanted, len(units)),
        places=places,
        prompt=prompt,
    )


def rows_that_fit(shape: Shape, limits: Limits, *, columns: int) -> int:
    """How many rows may run when `columns` columns are stored; a unit's at the least."""
    left = limits.batch_tokens - shape.units * shape.prompt
    return max(shape.places, min(shape.rows, left // columns))


def next_size(used: int, *, step: int) -> int:
    """Columns of the next segment: more for long texts, so that segments stay few."""
    return max(step, used // 4 // step * step)


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """What is free in the batch."""

    rows: int
    units: int
    carried: int
    """Columns left of the current one, for a sample that was set aside."""
    prefill_tokens: int


def next_group(queue: Sequence[Unit], room: Room) -> int:
    """How many units from the front of the queue may join now, in one prefill.

    A sample that was set aside comes back alone: its columns differ from everyone else's.
    """
    count = rows = width = 0
    for unit in queue:
        rows += len(unit.samples)
        width = max(width, len(unit.prompt_T) + len(unit.carried_T))
        too_wide = count > 0 and width * (count + 1) > room.prefill_tokens
        too_many = rows > room.rows or count >= room.units
        if too_wide or too_many or len(unit.carried_T) > (room.carried if count == 0 else 0):
            break
        count += 1
        if unit.carried_T:
            break
    return count
