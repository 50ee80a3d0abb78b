"""What does one worker need, and how are durations and amounts of memory written?"""

from __future__ import annotations

import re
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {
    **{unit: 1000**power for power, unit in enumerate(("k", "M", "G", "T"), start=1)},
    **{unit: 1024**power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti"), start=1)},
}
DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$"
MEMORY_PATTERN = r"^[0-9]+(\.[0-9]+)?(k|M|G|T|Ki|Mi|Gi|Ti)$"
_DURATION = re.compile(DURATION_PATTERN)
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_MEMORY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(k|M|G|T|Ki|Mi|Gi|Ti)\Z")
_MAX_TEXT = 40
_YEAR_S = 366 * 86400.0


def parse_duration(value: object) -> float:
    """Seconds of a duration such as "90s", "1h30m" or "500ms"."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("a duration is text such as '30s', '10m' or '1h30m'")
    if not isinstance(value, str):
        raise ValueError(f"a duration needs a unit, such as '{value}s'")
    if len(value) > _MAX_TEXT or not _DURATION.match(value):
        raise ValueError(f"{value[:_MAX_TEXT]!r} is no duration; write '30s', '10m' or '1h30m'")
    total = sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(value))
    if total > _YEAR_S:
        raise ValueError(f"{value!r} is longer than a year")
    return total


def parse_memory(value: object) -> int:
    """Bytes of an amount of memory such as "2Gi" or "500M"."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("memory is text such as '2Gi' or '500M'")
    if not isinstance(value, str):
        raise ValueError(f"memory needs a unit, such as '{value}Mi' or '{value}Gi'")
    found = _MEMORY.match(value) if len(value) <= _MAX_TEXT else None
    if found is None:
        raise ValueError(f"{value[:_MAX_TEXT]!r} is no amount of memory; write '2Gi' or '500M'")
    amount = int(float(found[1]) * _BYTES[found[2]])
    if not 2**20 <= amount < 2**53:
        raise ValueError(f"{value!r} is less than 1Mi or more than any machine has")
    return amount


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN}),
]
Memory = Annotated[
    int,
    BeforeValidator(parse_memory),
    WithJsonSchema({"type": "string", "pattern": MEMORY_PATTERN}),
]
Positive = Annotated[int, Field(strict=True, ge=1, le=1_000_000_000)]
Count = Annotated[int, Field(strict=True, ge=0, le=1_000_000_000)]
Fraction = Annotated[float, Field(strict=True, ge=0, le=1)]


class Model(BaseModel):
    """A part of the document: camelCase there, snake_case here, unknown keys are errors."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, use_attribute_docstrings=True
    )


Part = TypeVar("Part", bound=Model)


class Resources(Model):
    """What one worker of a stage needs."""

    cpus: Positive = 1
    gpus: Count = 0
    memory_bytes: Memory = Field(default=2 * 1024**3, alias="memory")
    nodes: Positive = 1
    """gang only: machines that start together."""
    processes_per_node: Positive = 1
    """gang only: usually the number of GPUs of a node."""


class Retries(Model):
    """How often each shard is tried again, by cause."""

    failed: Count = 3
    """Failures and timeouts of the command itself."""
    preempted: Count = 50
    """Drains, preemptions and lost workers."""
    backoff_s: Duration = Field(default=1.0, alias="backoff")
    """Pause before the first retry of a failure; doubles with every further one."""


def overlay(base: Part, top: Part) -> Part:
    """`top` where it says something, `base` elsewhere."""
    return base.model_copy(update={name: getattr(top, name) for name in top.model_fields_set})
