"""How does a test run toy stages without processes?  With a fake backend and a store in memory."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jobs.backends.base import Backend
from jobs.backends.fake import FakeBackend
from jobs.plan.graph import expand
from jobs.runtime.controller import Controller, Outcome, Site
from jobs.runtime.events import Event, EventLog
from jobs.runtime.folders import RunFolder
from jobs.runtime.resolving import resolve
from jobs.runtime.session import Session
from jobs.runtime.worker import work
from jobs.spec.loading import parse_campaign
from jobs.store.artifacts import Artifact
from jobs.store.objects import ObjectStore, open_store
from jobs.store.records import Seal

HEAD = """
apiVersion: rprm.dev/v1alpha1
kind: Campaign
metadata: {name: toy}
spec:
  tracking: {uri: none}
  defaults: {retries: {backoff: 0s}}
"""

CHAIN = """
  stages:
    - {name: numbers, run: "tests.toy.stages:Numbers", params: {rows: 12}, shards: 4}
    - {name: twice, run: "tests.toy.stages:Trouble", params: {folder: ".", scale: 2},
       inputs: {rows: numbers}, shards: 3}
    - {name: total, run: "tests.toy.stages:Sum", inputs: {numbers: twice}}
    - {name: aside, run: "tests.toy.stages:Sum", inputs: {numbers: numbers}, params: {offset: 1}}
"""

ALL_SEALED = dict.fromkeys(["numbers", "twice", "total", "aside"], "sealed")
ALL_REUSED = dict.fromkeys(ALL_SEALED, "reused")


class World:
    """One store and as many runs, controllers and backends on it as a test wants."""

    def __init__(self, folder: Path, body: str) -> None:
        self.folder = folder
        self.store: ObjectStore = open_store(f"memory://{uuid.uuid4().hex}")
        self.events: list[Event] = []
        self.log = EventLog(folder / "events.jsonl", listeners=(self.events.append,))
        self.session = self.open(body)

    def open(self, body: str) -> Session:
        """The campaign with this body, on the same store; it becomes the world's campaign."""
        campaign = parse_campaign(HEAD + body, source="toy.yaml")
        graph = expand(campaign)
        self.session = Session(
            campaign=campaign,
            graph=graph,
            stages=tuple(resolve(graph)),
            store=self.store,
            store_options={},
            folder=RunFolder(path=self.folder),
        )
        return self.session

    def backend(self, script: Mapping[tuple[str, int], Sequence[int]] | None = None) -> FakeBackend:
        return FakeBackend(work, script=script)

    def controller(self, backend: Backend) -> Controller:
        return Controller(
            campaign=self.session.name,
            stages=self.session.stages,
            store=self.store,
            site=Site(backend=backend),
            events=self.log,
        )

    def run(self, script: Mapping[tuple[str, int], Sequence[int]] | None = None) -> Outcome:
        return self.controller(self.backend(script)).run()

    def seal(self, node: str) -> Seal:
        seal = Artifact(self.store, self.session.by_name[node].address).read_seal()
        assert seal is not None, f"{node} is not sealed"
        return seal

    def rows(self, node: str) -> list[int]:
        table = Artifact(self.store, self.session.by_name[node].address).table()
        found: list[int] = table.column("row").to_pylist()
        return found

    def digests(self) -> dict[str, str]:
        return {stage.node.name: self.seal(stage.node.name).data_digest
                for stage in self.session.stages}  # fmt: skip

    def told(self, event: str) -> list[dict[str, Any]]:
        return [one for one in self.events if one["event"] == event]


MakeWorld = Callable[[str], World]
