"""What does a controller tell: one tick of a campaign, and how it ended?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jobs.backends.base import ArrayStatus
from jobs.fleet.told import Told
from jobs.plan.actions import Action
from jobs.plan.decide import StageState
from jobs.plan.shards import ShardPlan


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """One tick, for whoever shows it."""

    states: Sequence[StageState] = ()
    actions: Sequence[Action] = ()
    work: Mapping[str, ArrayStatus] = field(default_factory=dict)
    outcomes: Mapping[str, str] = field(default_factory=dict)
    """Final word per finished stage: sealed, reused, failed or skipped."""
    plans: Mapping[str, ShardPlan] = field(default_factory=dict)
    told: Told | None = None
    """Of the fleets; None where there are none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How the campaign ended."""

    stages: Mapping[str, str]
    drained: bool
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Why a stage failed or was skipped."""
    problem: str = ""
    """Why the controller gave up, if it did."""

    @property
    def succeeded(self) -> bool:
        stopped = self.drained or self.problem
        return not stopped and all(word in {"sealed", "reused"} for word in self.stages.values())
