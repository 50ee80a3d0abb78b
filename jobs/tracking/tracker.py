"""What does the runtime tell the tracking about a campaign, and what does it hear back?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from jobs.tracking.outbox import RecordStore

Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]
"""MLflow's own words, so that nothing needs translating."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StageRun:
    """One stage node that has started, or whose sealed artifact is reused."""

    node: str
    address: str
    params: Mapping[str, Any]
    coordinates: Mapping[str, Any]
    run: str
    """The stage's entry point, such as "rprm.stages.sft:Sft"."""
    status: Status
    reused: bool = False
    started_ms: int
    ended_ms: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncReport:
    sent: int = 0
    waiting: int = 0
    """Records that stay in the store for a later sync."""
    problem: str | None = None
    """What went wrong and how to mend it; a person reads it, so it holds no credentials."""


class Tracker(Protocol):
    def sync(self, store: RecordStore, runs: Sequence[StageRun]) -> SyncReport:
        """Deliver what waits in the store.  Never raises because of the tracking server."""
        ...

    def finish(self, status: Status) -> SyncReport:
        """Close this attempt.  Never raises because of the tracking server."""
        ...


class NullTracker:
    """`uri: none`: records stay in the artifacts and go nowhere."""

    def sync(self, store: RecordStore, runs: Sequence[StageRun]) -> SyncReport:
        return SyncReport()

    def finish(self, status: Status) -> SyncReport:
        return SyncReport()
