"""What can the controller be told to do?  Every action names its stage and says why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jobs.plan.retry import Cause


@dataclass(frozen=True, kw_only=True, slots=True)
class Reuse:
    """The artifact is sealed: nothing to do."""

    stage: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    """Nothing can be done before something else happens."""

    stage: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepare:
    """All inputs are sealed: count rows, cut shards, write spec.json."""

    stage: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Submit:
    """Hand these shards to the backend, each once."""

    stage: str
    reason: str
    shards: Sequence[int]
    """Ascending; a range when there is no gap."""
    failures: Mapping[int, Mapping[Cause, int]] = field(default_factory=dict)
    """What happened to some of them before; it counts against their budgets."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seal:
    """Every shard is committed."""

    stage: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Fail:
    """The stage cannot succeed without a person."""

    stage: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Skip:
    """The stage will not run: it was cancelled, or something it needs did not succeed."""

    stage: str
    reason: str
    root: str
    """The stage where the trouble began."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stop:
    """Cancel what the backend still runs for this stage."""

    stage: str
    reason: str


Action = Reuse | Wait | Prepare | Submit | Seal | Fail | Skip | Stop
