"""Where do the replicas of a fleet run?  One protocol; processes of this machine, and a fake.

A host starts and ends servers and tells how they end.  It decides nothing: how many there are,
which one goes and when is the planner's to say (`jobs.plan.scale`, `jobs.plan.draining`), and
whether one is ready or hangs is seen from outside, at its URL (`jobs.fleet.probing`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

PORT = "{port}"
"""Where it stands in a command, the host puts the port that it chose for this replica."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplicaWork:
    """One server to start."""

    name: str
    """No two replicas of a campaign have the same, not even one after the other."""
    fleet: str
    """For logs and for people."""
    command: tuple[str, ...]
    """Never goes through a shell."""
    env: Mapping[str, str] = field(default_factory=dict)
    """On top of the controller's own environment; holds no secret."""
    cpus: int = 1
    gpus: int = 0
    grace_s: float = 30.0
    """Between SIGTERM and SIGKILL when it is stopped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplicaStatus:
    """What a host knows of one replica; it stays known for a while after it ended."""

    name: str
    fleet: str
    url: str
    """Of the server's root, without a slash at the end."""
    started_at: float
    """Seconds since the epoch."""
    ended: bool = False
    """Its processes are gone, all of them, and its port and slots are free."""
    exit_code: int | None = None
    """Once it ended: negative when a signal ended it."""
    stopping: bool = False
    """It was asked to leave, so that its end is no failure."""
    last_lines: tuple[str, ...] = ()
    """Of its output, once it ended without having been asked to."""


class ReplicaHost(Protocol):
    def start(self, work: ReplicaWork, *, squeeze: bool = False) -> bool:
        """False where there is no room for it now.  `squeeze` starts it though all CPUs are taken
        (never GPUs): fleets that one stage needs together must not wait for each other.  A name
        that was started already is not started again.  Raises ConfigError where it never fits."""
        ...

    def stop(self, name: str, *, hard: bool = False) -> None:
        """Ask it to leave (SIGTERM, and SIGKILL after its grace), or end it at once; returns
        without waiting.  Unknown names are fine."""
        ...

    def observe(self) -> Mapping[str, ReplicaStatus]:
        """Reap what ended and tell of every replica, those that ended since the last look too."""
        ...

    def close(self) -> None:
        """End every replica, wait until its processes are gone, and free what it held."""
        ...
