"""How does `jobs run` bring controller, backend, tracker and view together?"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

from jobs.backends.base import Backend, ShardTask
from jobs.backends.local import LocalBackend
from jobs.backends.local_replicas import LocalReplicas
from jobs.backends.slots import Machine
from jobs.fleet.fleets import Fleets
from jobs.fleet.keeper import Tell
from jobs.fleet.probing import Prober
from jobs.fleet.sources import python_with_vllm
from jobs.runtime.campaign_fleets import CampaignFleets, FleetKeeping, NoFleets, Place
from jobs.runtime.controller import Controller, Outcome, Site, Snapshot
from jobs.runtime.events import Event, EventLog
from jobs.runtime.folders import cache_folder
from jobs.runtime.live import View
from jobs.runtime.resolving import Resolved
from jobs.runtime.session import Session
from jobs.runtime.tracking_loop import TrackingLoop
from jobs.spec.errors import ConfigError
from jobs.store import layout
from jobs.tracking import outbox
from jobs.tracking.mlflow import tracker_for
from jobs.tracking.records import now_ms
from jobs.tracking.sinks import sink_of
from jobs.tracking.tracker import StageRun, Status, SyncReport, Tracker

WORKER_MODULES = (
    "jobs.runtime.worker",
    "jobs.cli",  # a forked worker runs the console script's imports again
    "pandas",  # pyarrow imports it at the first conversion of values
    "pyarrow.parquet",
)


STATUS: Mapping[str, Status] = {
    "sealed": "FINISHED",
    "reused": "FINISHED",
    "running": "RUNNING",
    "failed": "FAILED",
}


class StopRequests:
    """Counts SIGINT and SIGTERM: the first drains, a second ends workers at once."""

    def __init__(self) -> None:
        self.count = 0
        self._applied = 0
        self._before = {
            number: signal.signal(number, self._on_signal)
            for number in (signal.SIGINT, signal.SIGTERM)
        }

    def apply(self, controller: Controller, events: EventLog) -> None:
        """Pass what arrived since the last call on to the controller."""
        if self.count == self._applied:
            return
        self._applied = self.count
        hard = self.count > 1
        events.add(
            "draining",
            reason="ending workers at once"
            if hard
            else "waiting for workers to reach a safe point; stop again to end them at once",
        )
        controller.drain(hard=hard)

    def restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.count += 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    outcome: Outcome
    tracked: SyncReport


def start_worker(task: ShardTask) -> int:
    """Imported by workers alone: a finished campaign is looked over without what they need."""
    from jobs.runtime.worker import work

    return work(task)


def local_backend(session: Session, machine: Machine) -> LocalBackend:
    preload = [module for stage in session.stages for module in stage.entry.preload]
    modules = [stage.entry.run.partition(":")[0] for stage in session.stages]
    return LocalBackend(
        start_worker,
        machine=machine,
        logs=session.folder.logs,
        preload=list(dict.fromkeys([*WORKER_MODULES, *preload, *modules])),
    )


def local_fleets(session: Session, backend: LocalBackend, tell: Tell) -> FleetKeeping:
    """Replicas on this machine, beside the workers.  Raises ConfigError where they are needed and
    no vLLM is known."""
    callers = [stage for stage in session.stages if stage.fleets]
    if not callers:
        return NoFleets()
    starts = any(
        by.fleet.url is None
        for stage in callers
        for by in stage.fleets.values()
        if session.observer.seal(stage.node.name) is None
    )
    _refuse_what_never_fits(callers, backend.slots.machine)
    folder = session.folder
    host = LocalReplicas(slots=backend.slots, logs=folder.fleets / "logs")
    return CampaignFleets(
        session.stages,
        store=session.store,
        fleets=Fleets(host=host, prober=Prober(), told=folder.told, tell=tell),
        place=Place(
            python=python_with_vllm() if starts else "",
            folder=folder.fleets,
            cache=cache_folder(),
        ),
    )


def _refuse_what_never_fits(callers: Sequence[Resolved], machine: Machine) -> None:
    """Fleets that a stage calls side by side need GPUs side by side, or they wait for ever."""
    for stage in callers:
        fleets = {by.instance: by.fleet for by in stage.fleets.values() if by.fleet.url is None}
        needed = sum(fleet.resources.gpus for fleet in fleets.values())
        if needed > machine.gpus:
            raise ConfigError(
                f"stage {stage.node.name!r} calls {', '.join(fleets)}, which need {needed} GPUs "
                f"side by side; this machine has {machine.gpus}.",
                fix="run this campaign on a cluster, or set resources.gpus of the fleets lower.",
            )


def run_campaign(
    session: Session,
    *,
    backend: Backend,
    make_fleets: Callable[[Tell], FleetKeeping],
    make_view: Callable[[Controller], View],
    uri: str,
) -> Result:
    """Run to the end or to a drain.  Signals are handled while it runs."""
    views: list[View] = []

    def show(event: Event) -> None:
        for view in views:
            view.event(event)

    events = EventLog(session.folder.events, listeners=(show,))
    session.store.delete([layout.cancel_key(session.name)])  # a cancel ends one run, not the next
    fleets = make_fleets(events.add)
    controller = Controller(
        campaign=session.name,
        stages=session.stages,
        store=session.store,
        site=Site(backend=backend, fleets=fleets, store_options=session.store_options),
        events=events,
    )
    views.append(make_view(controller))
    history = History(session, uri)
    tracking = TrackingLoop(_tracker(session, uri), session.store, history.runs)
    stops = StopRequests()

    def watch(snapshot: Snapshot) -> None:
        stops.apply(controller, events)
        history.update(snapshot)
        views[0].show(snapshot)

    events.add("campaign_started", campaign=session.name, stages=len(session.stages))
    try:
        outcome = controller.run(watch)
    finally:
        backend.close()
        fleets.close()  # after the workers, who call them
        views[0].close()
        stops.restore()
    if uri != "none" and history.runs():
        events.add("tracking_finishes", reason="telling MLflow what came out")
    tracked = tracking.abandon() if stops.count > 1 else tracking.finish(_status(outcome))
    events.add(
        "campaign_finished",
        campaign=session.name,
        succeeded=outcome.succeeded,
        drained=outcome.drained,
        records_waiting=tracked.waiting,
        tracking_problem=tracked.problem,
    )
    events.close()
    return Result(outcome=outcome, tracked=tracked)


def _status(outcome: Outcome) -> Status:
    if outcome.drained:
        return "KILLED"
    return "FINISHED" if outcome.succeeded else "FAILED"


class History:
    """When did each stage start and end in this run?  For the tracker."""

    def __init__(self, session: Session, uri: str) -> None:
        self._session = session
        self._sink = sink_of(uri, session.campaign.experiment)
        self._delivered: set[str] = set()
        self._started: dict[str, int] = {}
        self._ended: dict[str, int] = {}
        self._words: Mapping[str, str] = {}

    def update(self, snapshot: Snapshot) -> None:
        for state in snapshot.states:
            status = snapshot.work.get(state.address)
            if status is not None and status.running:
                self._started.setdefault(state.name, now_ms())
            if state.name in snapshot.outcomes:
                self._started.setdefault(state.name, now_ms())
                self._ended.setdefault(state.name, now_ms())
        self._words = dict(snapshot.outcomes)

    def runs(self) -> list[StageRun]:
        """Every stage with something to track.  Empty while all was found finished and delivered
        by an earlier run, which then costs no tracking server at all."""
        runs = [
            self._run(name, started)
            for name, started in list(self._started.items())
            if self._words.get(name) != "skipped"
        ]
        if all(run.reused and not self._waits(run.address) for run in runs):
            return []
        return runs

    def _waits(self, address: str) -> bool:
        if address not in self._delivered:
            waiting = outbox.pending(self._session.store, address, self._sink).waiting
            if waiting:
                return True
            self._delivered.add(address)
        return False

    def _run(self, name: str, started_ms: int) -> StageRun:
        stage = self._session.by_name[name]
        word = self._words.get(name, "running")
        return StageRun(
            node=name,
            address=stage.address,
            params=stage.params,
            coordinates=stage.node.coordinates,
            run=stage.entry.run,
            status=STATUS[word],
            reused=word == "reused",
            started_ms=started_ms,
            ended_ms=self._ended.get(name),
        )


def _tracker(session: Session, uri: str) -> Tracker:
    config: dict[str, Any] = session.campaign.model_dump(mode="json", by_alias=True)
    return tracker_for(
        uri,
        experiment=session.campaign.experiment,
        campaign=session.name,
        attempt=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        config=config,
    )
