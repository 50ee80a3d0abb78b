"""How does a test run a campaign without processes?  The real controller and worker, in memory."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.backends.base import Served
from jobs.backends.fake import FakeBackend
from jobs.plan.graph import expand
from jobs.runtime.campaign_fleets import NoFleets
from jobs.runtime.controller import Controller, Outcome, Site
from jobs.runtime.events import EventLog
from jobs.runtime.resolving import Resolved, resolve
from jobs.runtime.views import SealedView
from jobs.runtime.worker import work
from jobs.spec.loading import parse_campaign
from jobs.store.objects import ObjectStore, open_store


@dataclass(frozen=True, kw_only=True)
class Ran:
    outcome: Outcome
    store: ObjectStore
    stages: dict[str, Resolved]
    cache: Path

    def view(self, node: str) -> SealedView:
        return SealedView(self.store, self.stages[node].address, coordinates={}, cache=self.cache)

    def facts(self, node: str) -> dict[str, Any]:
        return dict(self.view(node).facts)

    def rows(self, node: str) -> list[dict[str, Any]]:
        return self.view(node).table().to_pylist()


class Elsewhere(NoFleets):
    """Fleets that a test runs itself: by instance, where they are."""

    def __init__(self, served: Mapping[str, Served]) -> None:
        self._served = served

    def served(self, stage: Resolved) -> Mapping[str, Served]:
        return {role: self._served[by.instance] for role, by in stage.fleets.items()}


def run_in_process(
    text: str,
    folder: Path,
    *,
    store: ObjectStore | None = None,
    served: Mapping[str, Served] | None = None,
) -> Ran:
    """Run the campaign in `text` to its end; raises what a person would see on a bad one.

    `served`: instance of a fleet to where its model is served."""
    campaign = parse_campaign(text, source="test")
    stages = resolve(expand(campaign))
    store = store or open_store(f"memory://{uuid.uuid4().hex}")
    events = EventLog(folder / "events.jsonl")
    controller = Controller(
        campaign=campaign.name,
        stages=stages,
        store=store,
        site=Site(backend=FakeBackend(work), fleets=Elsewhere(served or {})),
        events=events,
    )
    outcome = controller.run()
    events.close()
    by_name = {stage.node.name: stage for stage in stages}
    return Ran(outcome=outcome, store=store, stages=by_name, cache=folder / "cache")
