"""What does a fleet's keeper know of one of its replicas?"""

from __future__ import annotations

from dataclasses import dataclass, replace

from jobs.fleet.probing import Seen, ServerMetrics
from jobs.fleet.told import ToldReplica
from jobs.plan.fleet import Load, Phase, Replica
from jobs.plan.pulse import Pulse, feel


@dataclass(kw_only=True, eq=False, slots=True)
class Tracked:
    """Lives from its start until it is asked to leave or found dead."""

    name: str
    url: str
    pulse: Pulse
    draining_since: float | None = None
    metrics: ServerMetrics | None = None
    """The last ones that were read."""
    at: float = 0.0
    """When."""
    tokens_per_s: float | None = None
    told_ready: bool = False
    """The event log knows that it is."""

    @property
    def phase(self) -> Phase:
        if self.draining_since is not None:
            return Phase.DRAINING
        return Phase.STARTING if self.pulse.ready_at is None else Phase.READY

    @property
    def since(self) -> float:
        if self.draining_since is not None:
            return self.draining_since
        return self.pulse.started_at if self.pulse.ready_at is None else self.pulse.ready_at

    @property
    def start_s(self) -> float | None:
        ready_at = self.pulse.ready_at
        return None if ready_at is None else ready_at - self.pulse.started_at

    def notice(self, seen: Seen | None) -> None:
        """After the prober's last look; the same look again changes nothing."""
        if seen is None:
            return
        self.pulse = feel(self.pulse, seen.sight)
        if seen.metrics is None or seen.at <= self.at:
            return
        if self.metrics is not None:
            grown = seen.metrics.generation_tokens - self.metrics.generation_tokens
            self.tokens_per_s = max(0.0, grown) / (seen.at - self.at)
        self.metrics, self.at = seen.metrics, seen.at

    def as_planned(self) -> Replica:
        """For the planner."""
        said = self.metrics
        load = None
        if said is not None:
            load = Load(
                at=self.at,
                running=said.running,
                waiting=said.waiting,
                tokens=said.generation_tokens,
            )
        return Replica(
            name=self.name, phase=self.phase, since=self.since, load=load, start_s=self.start_s
        )

    def as_told(self) -> ToldReplica:
        """For people."""
        told = ToldReplica(
            name=self.name,
            state=self.phase.value,
            since=self.since,
            url=self.url,
            start_s=self.start_s,
            tokens_per_s=self.tokens_per_s,
        )
        said = self.metrics
        if said is None:
            return told
        return replace(
            told,
            running=said.running,
            waiting=said.waiting,
            kv_use=said.kv_use,
            prefix_hit_rate=said.prefix_hits / said.prefix_queries if said.prefix_queries else None,
            preemptions=said.preemptions,
        )
