"""What can a stage track?  Small JSON records whose key says what they are about.

A key never depends on the time or on the measured values, so an attempt that is retried writes
the same keys again and the record that came first stays.  The time is inside the record: a
record delivered late still carries the moment it was made.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jobs.spec.errors import JobsError


class BadRecord(JobsError):
    """These bytes are not a tracking record."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Metrics:
    values: Mapping[str, float]
    step: int = 0
    checkpoint: str | None = None
    """Uri of the model that was measured; None for metrics of the run itself."""
    dataset: Mapping[str, str] | None = None
    """{"name": …, "digest": …} of what it was measured on."""
    shard: int | None = None
    """Which shard of a map stage speaks; shards may use the same names."""
    time_ms: int = field(default_factory=now_ms)


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    uri: str
    step: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    time_ms: int = field(default_factory=now_ms)


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    name: str
    """As published: a file or a folder below the artifact's files."""
    time_ms: int = field(default_factory=now_ms)


@dataclass(frozen=True, kw_only=True, slots=True)
class Promotion:
    model: str
    sequence: int
    """The number the decision got in the ledger of `model`."""
    decision: Mapping[str, Any]
    time_ms: int = field(default_factory=now_ms)


Record = Metrics | Checkpoint | File | Promotion


def key(record: Record) -> str:
    """The record's name inside its artifact; records about the same thing share it."""
    match record:
        case Metrics():
            names = sorted(record.values)
            dataset = dict(record.dataset) if record.dataset else None
            about = _digest(names, record.checkpoint, dataset, record.shard)
            return f"metrics-{record.step:010}-{about}"
        case Checkpoint():
            return f"checkpoint-{record.step:010}-{_digest(record.uri)}"
        case File():
            return f"file-{_digest(record.name)}"
        case Promotion():
            return f"promotion-{record.sequence:08}-{_digest(record.model)}"


def to_json(record: Record) -> bytes:
    """Canonical bytes: equal records give equal bytes."""
    fields: dict[str, Any]
    match record:
        case Metrics():
            fields = {
                "values": _numbers_out(record.values),
                "step": record.step,
                "checkpoint": record.checkpoint,
                "dataset": dict(record.dataset) if record.dataset is not None else None,
                "shard": record.shard,
            }
        case Checkpoint():
            fields = {
                "uri": record.uri,
                "step": record.step,
                "metrics": _numbers_out(record.metrics),
                "facts": record.facts,
            }
        case File():
            fields = {"name": record.name}
        case Promotion():
            fields = {
                "model": record.model,
                "sequence": record.sequence,
                "decision": record.decision,
            }
    kind = type(record).__name__.lower()
    return canonical({"kind": kind, "time_ms": record.time_ms, **fields})


def from_json(data: bytes) -> Record:
    """The inverse of `to_json`; raises BadRecord for anything else."""
    try:
        raw = json.loads(data)
        return _parse(raw)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadRecord(f"Not a tracking record: {error!r}.") from error


def canonical(value: Mapping[str, Any]) -> bytes:
    """The one JSON spelling of a value; whatever JSON has no word for becomes its text."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=_plain)
    return text.encode()


def _parse(raw: Mapping[str, Any]) -> Record:
    time_ms = int(raw["time_ms"])
    match raw["kind"]:
        case "metrics":
            dataset = raw["dataset"]
            return Metrics(
                values=_numbers_in(raw["values"]),
                step=int(raw["step"]),
                checkpoint=raw["checkpoint"],
                dataset={str(k): str(v) for k, v in dataset.items()} if dataset else dataset,
                shard=raw["shard"],
                time_ms=time_ms,
            )
        case "checkpoint":
            return Checkpoint(
                uri=str(raw["uri"]),
                step=int(raw["step"]),
                metrics=_numbers_in(raw["metrics"]),
                facts=dict(raw["facts"]),
                time_ms=time_ms,
            )
        case "file":
            return File(name=str(raw["name"]), time_ms=time_ms)
        case "promotion":
            return Promotion(
                model=str(raw["model"]),
                sequence=int(raw["sequence"]),
                decision=dict(raw["decision"]),
                time_ms=time_ms,
            )
        case other:
            raise ValueError(f"unknown kind {other!r}")


def _numbers_out(values: Mapping[str, float]) -> dict[str, float | str]:
    """JSON has no NaN and no infinity, so those travel as text."""
    numbers = {name: float(value) for name, value in values.items()}
    return {name: v if math.isfinite(v) else str(v) for name, v in numbers.items()}


def _numbers_in(values: Mapping[str, float | str]) -> dict[str, float]:
    return {str(name): float(value) for name, value in values.items()}


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    return str(value)


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
