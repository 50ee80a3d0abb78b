"""How do the records of a campaign reach MLflow, once, whatever dies in between?

Observe what waits in the store, write it to MLflow, then mark it sent.  Every write to MLflow
can be repeated without doubling anything, so a kill between the write and the mark costs
nothing.  A server that is away is a sentence in the report, never an exception.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from jobs.spec.errors import StoreError
from jobs.store.layout import track_key
from jobs.tracking.mlflow_delivery import Delivery, Target, deliver, deliveries
from jobs.tracking.mlflow_runs import (
    Attempt,
    OpenRun,
    find_stage,
    open_attempt,
    open_stage,
    set_status,
)
from jobs.tracking.mlflow_session import (
    Session,
    is_away,
    lent_environment,
    open_session,
    problem_of,
)
from jobs.tracking.outbox import Pending, RecordStore, mark_sent, pending
from jobs.tracking.sinks import sink_of
from jobs.tracking.tracker import NullTracker, StageRun, Status, SyncReport, Tracker

REST_S = 15.0
MAX_REST_S = 240.0
"""How long a server that failed is left alone while stages run, doubling: knocking takes time."""

BUDGET_S = 10.0
"""A sync in the middle of a campaign stops after this; the rest is for the next one."""

FINAL_BUDGET_S = 120.0

FINISHED_MARK = "run-finished"
"""Stands beside the records: MLflow was told that this stage finished."""


def tracker_for(
    uri: str, *, experiment: str, campaign: str, attempt: str | int, config: Mapping[str, Any]
) -> Tracker:
    """The tracker a campaign asks for; `none` tracks nothing."""
    if uri == "none":
        return NullTracker()
    return MlflowTracker(
        uri=uri, experiment=experiment, campaign=campaign, attempt=attempt, config=config
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Work:
    """What one sync has to do, as seen in the store."""

    store: RecordStore
    stages: Mapping[str, StageRun]
    pending: Mapping[str, Pending]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Trouble:
    text: str
    away: bool
    """Nothing else would get through either."""


@dataclass(kw_only=True, slots=True)
class _Line:
    """What is known of MLflow while nothing goes wrong; hung up when something does."""

    session: Session
    parent_id: str
    runs: dict[str, OpenRun] = field(default_factory=dict)


class MlflowTracker:
    """One attempt of one campaign.  Not shared between threads."""

    def __init__(
        self,
        *,
        uri: str,
        experiment: str,
        campaign: str,
        attempt: str | int,
        config: Mapping[str, Any],
    ) -> None:
        self._uri = uri
        self._experiment = experiment
        self._attempt = Attempt(campaign=campaign, number=str(attempt), config=config, store="")
        self._sink = sink_of(uri, experiment)
        self._line: _Line | None = None
        self._parent_id = ""
        self._told: dict[str, Status] = {}
        self._settled: set[str] = set()
        self._rest_s = REST_S
        self._rest_until_s = 0.0
        self._last = SyncReport()

    def sync(self, store: RecordStore, runs: Sequence[StageRun]) -> SyncReport:
        """Deliver what waits.  Raises only for the store, never for the tracking server."""
        final = all(run.status != "RUNNING" for run in runs)
        if not final and time.monotonic() < self._rest_until_s:
            return replace(self._last, sent=0)
        work = self._observe(store, runs)
        sent, problem = 0, None
        if any(self._has_news(work, address) for address in work.stages):
            with lent_environment(self._uri):
                sent, problem = self._deliver(work, FINAL_BUDGET_S if final else BUDGET_S)
        waiting = sum(len(seen.waiting) for seen in work.pending.values()) - sent
        if not waiting and not problem:
            self._settled.update(a for a, run in work.stages.items() if run.status == "FINISHED")
        self._last = SyncReport(
            sent=sent, waiting=waiting, problem=problem or _unreadable(work.pending)
        )
        return self._last

    def finish(self, status: Status) -> SyncReport:
        """Close this attempt; a stage that still runs is left as KILLED, to be continued."""
        if not self._parent_id:
            return replace(self._last, sent=0)
        with lent_environment(self._uri):
            _, trouble = self._try(partial(self._close, status))
        return replace(self._last, sent=0, problem=trouble.text if trouble else None)

    def _observe(self, store: RecordStore, runs: Sequence[StageRun]) -> _Work:
        stages: dict[str, StageRun] = {}
        for run in runs:
            if run.status != "FINISHED":
                self._settled.discard(run.address)
            if run.address not in self._settled:
                stages.setdefault(run.address, run)  # two nodes may share an artifact
        seen = {address: pending(store, address, self._sink) for address in stages}
        return _Work(store=store, stages=stages, pending=seen)

    def _has_news(self, work: _Work, address: str) -> bool:
        return bool(work.pending[address].waiting) or not self._is_told(work, address)

    def _is_told(self, work: _Work, address: str) -> bool:
        status = work.stages[address].status
        if address in self._told:
            return self._told[address] == status
        return status == "FINISHED" and FINISHED_MARK in work.pending[address].sent

    def _deliver(self, work: _Work, budget_s: float) -> tuple[int, str | None]:
        """Records first, then states, so that a run that says FINISHED is complete."""
        _, trouble = self._try(partial(self._greet, work))
        if trouble:
            return 0, trouble.text
        deadline_s = time.monotonic() + budget_s  # after the import and the first migration
        waiting = {address: seen.waiting for address, seen in work.pending.items()}
        steps = [partial(self._send, work, delivery) for delivery in deliveries(waiting)]
        steps += [partial(self._tell, work, address) for address in work.stages]
        sent, problem = 0, None
        for step in steps:
            if time.monotonic() > deadline_s:
                break
            done, trouble = self._try(step)
            sent += done
            problem = problem or (trouble.text if trouble else None)
            if trouble and trouble.away:
                break
        return sent, problem

    def _try(self, step: Callable[[], int]) -> tuple[int, _Trouble | None]:
        """The boundary to a server that is not ours: any failure of it becomes a sentence."""
        try:
            return step(), None
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - reported; tracking never costs a campaign
            away = is_away(error)
            self._line = None
            if away:
                self._rest_until_s = time.monotonic() + self._rest_s
                self._rest_s = min(2 * self._rest_s, MAX_REST_S)
            return 0, _Trouble(text=problem_of(error, self._uri), away=away)

    def _greet(self, work: _Work) -> int:
        self._dial(work)
        self._rest_s = REST_S
        return 0

    def _send(self, work: _Work, delivery: Delivery) -> int:
        line = self._dial(work)
        target = Target(
            session=line.session,
            store=work.store,
            run_id=self._run_of(work, line, delivery.address).run_id,
            parent_id=line.parent_id,
        )
        deliver(target, delivery)
        for item in delivery.waiting:
            mark_sent(work.store, delivery.address, item.key, self._sink)
        return len(delivery.waiting)

    def _tell(self, work: _Work, address: str) -> int:
        """Bring the run's state up to date.  States are no records: nothing was sent."""
        if self._is_told(work, address):
            return 0
        stage = work.stages[address]
        line = self._dial(work)
        run = self._run_of(work, line, address)
        if run.status != stage.status:
            set_status(line.session, run.run_id, stage.status, stage.ended_ms)
            line.runs[address] = replace(run, status=stage.status)
        self._told[address] = stage.status
        if stage.status == "FINISHED":
            mark_sent(work.store, address, FINISHED_MARK, self._sink)
        return 0

    def _dial(self, work: _Work) -> _Line:
        if self._line is None:
            session = open_session(self._uri, self._experiment)
            self._attempt = replace(self._attempt, store=work.store.url)
            self._parent_id = open_attempt(session, self._attempt, work.stages)
            self._line = _Line(session=session, parent_id=self._parent_id)
        return self._line

    def _run_of(self, work: _Work, line: _Line, address: str) -> OpenRun:
        if address not in line.runs:
            stage = work.stages[address]
            line.runs[address] = open_stage(line.session, stage, self._attempt, line.parent_id)
        return line.runs[address]

    def _close(self, status: Status) -> int:
        session = self._line.session if self._line else open_session(self._uri, self._experiment)
        set_status(session, self._parent_id, status, None)
        for address, told in self._told.items():
            run = find_stage(session, address, self._attempt.store) if told == "RUNNING" else None
            if run is not None:
                set_status(session, run.info.run_id, "KILLED", None)
        self._told.clear()
        return 0


def _unreadable(pending: Mapping[str, Pending]) -> str | None:
    bad = [track_key(a, key) for a, seen in pending.items() for key in seen.unreadable]
    if not bad:
        return None
    return f"{len(bad)} tracking records cannot be read, such as {bad[0]}. Fix: remove the file."
