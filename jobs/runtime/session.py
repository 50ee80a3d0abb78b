"""What does every verb need first?  The campaign, its resolved stages and its store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from jobs.plan.graph import Graph, expand
from jobs.runtime.folders import RunFolder, run_folder
from jobs.runtime.observing import Observer
from jobs.runtime.resolving import Resolved, resolve
from jobs.spec.campaign import Campaign
from jobs.spec.errors import ConfigError
from jobs.spec.loading import load_campaign
from jobs.store.objects import ObjectStore, open_store
from jobs.tracking import registry


@dataclass(frozen=True, kw_only=True)
class Session:
    """One campaign file, opened."""

    campaign: Campaign
    graph: Graph
    stages: tuple[Resolved, ...]
    store: ObjectStore
    store_options: Mapping[str, str]
    folder: RunFolder

    @property
    def name(self) -> str:
        return self.campaign.metadata.name

    @cached_property
    def by_name(self) -> Mapping[str, Resolved]:
        return {stage.node.name: stage for stage in self.stages}

    @cached_property
    def observer(self) -> Observer:
        return Observer(self.store, self.stages)

    def matching(self, name: str | None) -> list[Resolved]:
        """Stages of that node name or declared name; all for None.  Raises ConfigError."""
        if name is None:
            return list(self.stages)
        found = [
            stage
            for stage in self.stages
            if name in {stage.node.name, stage.node.stage, stage.address}
        ]
        if not found:
            known = ", ".join(dict.fromkeys(stage.node.stage for stage in self.stages))
            raise ConfigError(f"no stage {name!r} in this campaign.", fix=f"stages: {known}")
        return found


def open_session(path: Path, *, store: str | None = None) -> Session:
    """Load, check, expand and resolve a campaign file, and open its store."""
    campaign = load_campaign(path)
    graph = expand(campaign)
    options = dict(campaign.spec.store.options)
    opened = open_store(store or campaign.spec.store.url, options)

    def champion_uri(model: str) -> str | None:
        decision = registry.champion(opened, model)
        return None if decision is None else str(decision["checkpoint"])

    return Session(
        campaign=campaign,
        graph=graph,
        stages=tuple(resolve(graph, champion=champion_uri)),
        store=opened,
        store_options=options,
        folder=run_folder(campaign.metadata.name),
    )
