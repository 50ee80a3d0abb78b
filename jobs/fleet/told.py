"""What is there to tell about the fleets of a running campaign?  Values, and their JSON file.

The controller writes the file anew with every look at its fleets; `jobs status`, `jobs top` and the
exporter of metrics read these values and nothing else.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError


@dataclass(frozen=True, kw_only=True, slots=True)
class ToldReplica:
    name: str
    state: str
    """starting, ready or draining; one that hangs or ended is replaced at once, and is lost."""
    since: float
    """When that state began, in seconds since the epoch."""
    url: str = ""
    running: int | None = None
    """Sequences; None until the server said it.  So are all below."""
    waiting: int | None = None
    tokens_per_s: float | None = None
    """Generated since the look before."""
    kv_use: float | None = None
    """Share of the KV cache in use, in [0, 1]."""
    prefix_hit_rate: float | None = None
    """Share of the looked-up prompt tokens found in the prefix cache, since it started."""
    preemptions: int | None = None
    start_s: float | None = None
    """How long it took until it was ready."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ToldFleet:
    name: str
    """Such as "judge" or "judge[rows=500]"."""
    role: str
    model: str
    wanted: int
    """Replicas that the autoscaler asks for."""
    reason: str
    """Its own."""
    min_replicas: int
    max_replicas: int
    replicas: tuple[ToldReplica, ...] = ()
    problem: str = ""
    """Why it cannot start; empty while all is well."""
    rows_left: int = 0
    """Of running stages that call it."""
    tokens_per_s: float | None = None
    """Measured, of one full replica."""
    tokens_per_row: float | None = None
    cold_start_s: float | None = None
    starts: int = 0
    """Replicas started since the controller began; so are the next two counts."""
    failed_starts: int = 0
    lost: int = 0
    """Replicas that ended or hung without having been asked to leave."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    at: float
    """Seconds since the epoch."""
    pid: int
    """Of the controller; the file of one that is gone is history."""
    fleets: tuple[ToldFleet, ...] = ()


_TOLD = TypeAdapter(Told)


def write_told(path: Path, told: Told) -> bool:
    """False where it could not be written: it is only a picture, and the next look tries again."""
    return replaced(path, _TOLD.dump_json(told))


def read_told(path: Path) -> Told | None:
    """None where there is nothing that can be read."""
    try:
        return _TOLD.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def replaced(path: Path, body: bytes) -> bool:
    """Whole or not at all.  A full disk must end no fleet, so nothing is raised."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_bytes(body)
        aside.replace(path)
    except OSError:
        return False
    return True
