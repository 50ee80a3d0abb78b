"""What is known of a fleet right now, and what is remembered of it between two looks?

Everything a decision needs is in these values, memory among them: it travels as JSON beside the
fleet, so a controller that was killed and started again decides as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import TypeAdapter, ValidationError


class Phase(StrEnum):
    STARTING = "starting"  # no client knows it yet
    READY = "ready"
    DRAINING = "draining"  # finishes what it has, gets nothing new


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What one replica said of itself."""

    at: float
    """When it was asked."""
    running: int
    waiting: int
    tokens: float
    """Generated since it started."""

    @property
    def in_flight(self) -> int:
        return self.running + self.waiting


@dataclass(frozen=True, kw_only=True, slots=True)
class Replica:
    name: str
    phase: Phase
    since: float
    """When that phase began."""
    load: Load | None = None
    """The last one that was read, however old; None before the first."""
    start_s: float | None = None
    """How long it took from its start until it was ready; None until then."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """A running stage that calls the fleet."""

    stage: str
    rows_left: int
    """Not committed yet, those in workers' hands among them."""
    rows_done: int = 0
    rows_in_hand: int = 0
    """Of the shards that workers are at."""
    workers: int = 0
    """How many shards are being worked on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spec:
    """What a fleet may be, and how eagerly it follows the work."""

    min_replicas: int = 0
    max_replicas: int = 1
    max_num_seqs: int = 256
    """Sequences one replica decodes at once."""
    cold_start_s: float = 120.0
    """Taken until a start was measured: a 7B model from a warm disk takes about two minutes."""
    target_utilisation: float = 0.9
    """Replicas that are less busy than this over a hold-down are too many."""
    payback: float = 3.0
    """How many cold starts' worth of work each replica must have before one is started: starts
    add at most a third to the cost of the work.  Waiting costs little time while later stages
    may come and share a start; when none will, one cold start's worth is enough."""
    hold_down_s: float | None = None
    """How long replicas must be too many before one goes.  None: as long as a start takes, so
    that idling never costs more than twice what knowing the future would have saved."""
    idle_timeout_s: float = 30.0
    """How long a fleet is kept that no running stage needs but a later one will: enough to seal a
    stage and prepare the next.  What else lies between stages is training, and that is long."""
    drain_deadline_s: float = 300.0
    """How long a draining replica may take to finish what it has."""
    deadline_at: float | None = None
    """When all work that is known must be done; then no more replicas than that takes."""
    stale_s: float = 45.0
    """A load older than this says nothing: three polls of 15 s."""

    def __post_init__(self) -> None:
        if not 0 <= self.min_replicas <= self.max_replicas:
            raise ValueError(f"{self.min_replicas} to {self.max_replicas} replicas is no range")
        if not 0 < self.target_utilisation <= 1:
            raise ValueError("target_utilisation is above 0 and at most 1")
        if min(self.max_num_seqs, self.cold_start_s, self.payback) <= 0:
            raise ValueError("max_num_seqs, cold_start_s and payback are above 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted:
    """A replica's counter when it was last looked at."""

    at: float
    tokens: float
    was_full: bool
    busy: float | None = None
    """The part of its speed that it gave since the look before; None before speed is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Committed:
    """A stage's rows when it was last looked at."""

    done: int
    in_hand: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """What was measured of this model on these machines; see rates.py."""

    tokens_per_s: float | None = None
    """Of one full replica."""
    tokens_per_row: float | None = None
    cold_start_s: float | None = None
    counted: Mapping[str, Counted] = field(default_factory=dict)
    committed: Mapping[str, Committed] = field(default_factory=dict)
    tokens: float = 0.0
    """Generated of late."""
    rows: float = 0.0
    """Committed of late."""
    timed: tuple[str, ...] = ()
    """Replicas whose start is part of cold_start_s."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Idle:
    """How many replicas' worth of speed was not used, averaged over a hold-down."""

    value: float
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Quiet:
    """Ready replicas have been too many since then, when this was asked of them."""

    since: float
    rows: int
    workers: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Shrunk:
    """The last time replicas turned out to be too many: only more work undoes it."""

    at: float
    replicas: int
    rows: int
    workers: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """What the next look needs of this one."""

    idle: Idle | None = None
    quiet: Quiet | None = None
    shrunk: Shrunk | None = None
    idle_since: float | None = None
    """Since when no running stage has needed the fleet."""
    rates: Rates = field(default_factory=Rates)


@dataclass(frozen=True, kw_only=True, slots=True)
class Observed:
    replicas: tuple[Replica, ...] = ()
    demands: tuple[Demand, ...] | None = ()
    """Running stages that call the fleet; None when nobody could say."""
    due_in_s: float | None = None
    """Until a stage that is not running yet will call it: infinity when nobody knows how long
    that takes, None when there is no such stage."""
    memory: Memory = field(default_factory=Memory)

    def in_phase(self, phase: Phase) -> tuple[Replica, ...]:
        return tuple(replica for replica in self.replicas if replica.phase is phase)


_MEMORY = TypeAdapter(Memory)


def dump_memory(memory: Memory) -> bytes:
    return _MEMORY.dump_json(memory)


def load_memory(text: bytes) -> Memory:
    """An empty one where the text is torn: then only measurements have to be made again."""
    try:
        return _MEMORY.validate_json(text)
    except ValidationError:
        return Memory()
