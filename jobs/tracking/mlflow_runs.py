"""Which MLflow run belongs to an attempt and to a stage, and what is written on it?

A run is found again by its tags, so a controller that was restarted goes on with the runs of
the one before it.  Params are immutable in MLflow: they are written once, and whatever another
attempt would have written differently becomes an `attempt.<n>.<param>` tag.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jobs.tracking.mlflow_names import accepted_name, text_of
from jobs.tracking.mlflow_session import Session, search_tag
from jobs.tracking.records import canonical
from jobs.tracking.tracker import StageRun, Status

MAX_PARAMS = 20
"""Flat params are for columns in a table; the whole configuration is an artifact."""

MAX_PARAM_CHARS = 500

PARENT = "mlflow.parentRunId"


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    campaign: str
    number: str
    config: Mapping[str, Any]
    store: str
    """Two stores may hold artifacts of one address; each has runs of its own."""


def open_attempt(session: Session, attempt: Attempt, live: Iterable[str]) -> str:
    """The parent run of this attempt; runs that an earlier, killed attempt left open are closed."""
    _close_orphans(session, attempt, frozenset(live))
    tags = {
        "rprm.kind": "attempt",
        "rprm.campaign": attempt.campaign,
        "rprm.attempt": attempt.number,
        "rprm.store": attempt.store,
    }
    found = _search(session, search_tag("rprm.attempt", attempt.number), tags)
    if found:
        return str(found[0].info.run_id)
    name = f"{attempt.campaign} attempt {attempt.number}"
    run = session.client.create_run(session.experiment_id, run_name=name, tags=tags)
    run_id = str(run.info.run_id)
    session.client.log_text(run_id, _pretty(attempt.config), "campaign.json")
    return run_id


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenRun:
    run_id: str
    status: str
    """What MLflow says it is; not necessarily what it should be."""


def open_stage(session: Session, stage: StageRun, attempt: Attempt, parent: str) -> OpenRun:
    """The run of this stage's artifact, made or found again by its address."""
    run = find_stage(session, stage.address, attempt.store)
    if run is None:
        return _create_stage(session, stage, attempt, parent)
    run_id = str(run.info.run_id)
    _write_params(session, run_id, stage, attempt.number, run.data.params)
    if run.info.status != stage.status and not stage.reused:
        session.client.set_tag(run_id, PARENT, parent)
    return OpenRun(run_id=run_id, status=str(run.info.status))


def find_stage(session: Session, address: str, store: str) -> Any | None:
    """The run of an artifact, if this experiment has one."""
    found = _search(session, search_tag("rprm.address", address), {"rprm.store": store})
    return found[0] if found else None


def set_status(session: Session, run_id: str, status: Status, ended_ms: int | None) -> None:
    if status == "RUNNING":
        session.client.update_run(run_id, status="RUNNING")
    else:
        session.client.set_terminated(run_id, status=status, end_time=ended_ms)


def flat_params(stage: StageRun) -> dict[str, str]:
    """At most MAX_PARAMS columns: the coordinates first, then the stage's own params."""
    flat = {**dict(stage.coordinates), **dict(_flatten(stage.params))}
    kept = list(flat.items())[:MAX_PARAMS]
    return {accepted_name(name): text_of(value)[:MAX_PARAM_CHARS] for name, value in kept}


def drift(existing: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    """What this attempt would have written differently."""
    return {k: v for k, v in wanted.items() if k in existing and existing[k] != v}


def _create_stage(session: Session, stage: StageRun, attempt: Attempt, parent: str) -> OpenRun:
    tags = {
        "rprm.kind": "stage",
        "rprm.campaign": attempt.campaign,
        "rprm.address": stage.address,
        "rprm.node": stage.node,
        "rprm.run": stage.run,
        "rprm.store": attempt.store,
        "rprm.reused": str(stage.reused).lower(),
        PARENT: parent,
    }
    run = session.client.create_run(
        session.experiment_id, start_time=stage.started_ms, run_name=stage.node, tags=tags
    )
    run_id = str(run.info.run_id)
    _write_params(session, run_id, stage, attempt.number, {})
    return OpenRun(run_id=run_id, status="RUNNING")


def _write_params(
    session: Session, run_id: str, stage: StageRun, attempt: str, existing: Mapping[str, str]
) -> None:
    from mlflow.entities import Param, RunTag

    wanted = flat_params(stage)
    missing = [Param(k, v) for k, v in wanted.items() if k not in existing]
    changed = [RunTag(f"attempt.{attempt}.{k}", v) for k, v in drift(existing, wanted).items()]
    if not existing:  # before the params, whose presence says that this is done
        session.client.log_text(run_id, _pretty(_resolved(stage)), "stage.json")
    if missing or changed:
        session.client.log_batch(run_id, params=missing, tags=changed)


def _close_orphans(session: Session, attempt: Attempt, live: frozenset[str]) -> None:
    mine = {"rprm.campaign": attempt.campaign, "rprm.store": attempt.store}
    for run in _search(session, "attributes.status = 'RUNNING'", mine):
        other_attempt = run.data.tags.get("rprm.attempt", attempt.number) != attempt.number
        address = run.data.tags.get("rprm.address")
        if other_attempt or (address is not None and address not in live):
            session.client.set_terminated(run.info.run_id, status="KILLED")


def _search(session: Session, filters: str, tags: Mapping[str, str]) -> list[Any]:
    """Oldest first: should two runs ever carry the same tags, everyone picks the same.

    `tags` are compared here, because MLflow cannot search for a value with quotes in it."""
    found = session.client.search_runs(
        [session.experiment_id], filter_string=filters, order_by=["attributes.start_time ASC"]
    )
    return [run for run in found if tags.items() <= run.data.tags.items()]


def _resolved(stage: StageRun) -> dict[str, Any]:
    return {
        "node": stage.node,
        "address": stage.address,
        "run": stage.run,
        "params": stage.params,
        "coordinates": stage.coordinates,
    }


def _flatten(params: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in params.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _pretty(value: Mapping[str, Any]) -> str:
    return json.dumps(json.loads(canonical(value)), indent=2, sort_keys=True)
