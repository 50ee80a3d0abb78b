"""What does the controller ask of the place where work runs?

A backend queues and places the shards of a stage as one array and tells how attempts end.  It
decides nothing: which shard is tried again, and when, is the planner's to say.  Names are
deterministic, so asking twice is harmless.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Protocol

from jobs.plan.retry import Cause


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """A model that is run for a stage, outside of its workers."""

    url: str
    """Where its servers are found: a server, several with commas between, or a document or name
    that lists them as they come and go."""
    model: str
    """A folder or Hub id with the tokenizer of the model."""
    key_env: str | None = None
    """Name of the environment variable that holds the servers' key."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArrayWork:
    """The shards of one stage that still have to be done."""

    name: str
    """The artifact's address; the same name is the same work."""
    shards: Sequence[int]
    delays_s: Mapping[int, float] = field(default_factory=dict)
    """Pause before a shard may start."""
    store_url: str
    store_options: Mapping[str, str] = field(default_factory=dict)
    node: str
    """The stage's name in the campaign, for logs and for people."""
    coordinates: Mapping[str, Any] = field(default_factory=dict)
    cpus: int = 1
    gpus: int = 0
    processes: int = 1
    """More than one makes every shard a gang: all its processes run, or none."""
    timeout_s: float = 0.0
    """Longest an attempt may take; 0 means no limit."""
    served: Mapping[str, Served] = field(default_factory=dict)
    """By the role that the model has in the stage."""

    @property
    def calls_fleet(self) -> bool:
        return bool(self.served)


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardTask:
    """One process of one attempt at one shard: all that a worker is told."""

    store_url: str
    store_options: Mapping[str, str]
    address: str
    node: str
    coordinates: Mapping[str, Any]
    shard: int
    attempt: str
    cpus: int
    gpus: tuple[int, ...] = ()
    """Device indices this process may use."""
    rank: int = 0
    world_size: int = 1
    master_port: int = 0
    log_path: str | None = None
    """Where output goes; None leaves it on the terminal."""
    served: Mapping[str, Served] = field(default_factory=dict)


Entry = Callable[[ShardTask], int]
"""Does the work of one task and returns its exit code."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FailedAttempt:
    shard: int
    attempt: str
    exit_code: int
    """As of the process: negative when a signal ended it."""
    cause: Cause
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ArrayStatus:
    """What a backend knows of one array: a live view, so that a look at 100,000 shards copies
    nothing.  Read it before the backend is called again."""

    held: AbstractSet[int]
    """Shards in the backend's hands: running, queued, or waiting for their delay."""
    running: Mapping[int, str]
    """Shard to attempt."""
    failed: Sequence[FailedAttempt]
    """All failed attempts since this backend first took the work, oldest first."""


class Backend(Protocol):
    def submit(self, work: ArrayWork) -> None:
        """Take the shards; those of this name that it holds already it does not take twice."""
        ...

    def observe(self) -> Mapping[str, ArrayStatus]:
        """Reap what ended, start what fits, and tell the state of every array taken so far."""
        ...

    def wait(self, timeout_s: float) -> None:
        """Return when an attempt ended or a pause is over, at the latest after `timeout_s`."""
        ...

    def cancel(self, name: str) -> None:
        """Stop the work of this name; unknown names are fine."""
        ...

    def drain(self, *, hard: bool = False) -> None:
        """Start nothing more; ask running attempts to leave, or end them at once."""
        ...

    def close(self) -> None:
        """End everything that runs and free what the backend holds."""
        ...
