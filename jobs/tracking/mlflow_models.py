"""Which MLflow LoggedModel is this checkpoint, and how do its metrics reach it?

A checkpoint is an *external* LoggedModel: MLflow knows its name, step, hashes and metrics, the
weights stay in the store.  It is found again by the tag `rprm.checkpoint`.

MLflow keys a model's metric by (model, name, time, step, run); the dataset is not in the key.
Two datasets measured under one name in one millisecond would collide, so the later one is
moved to the next free millisecond.  A record that is sent again finds its own place taken by
itself, and stays there.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.tracking.mlflow_runs import accepted_name
from jobs.tracking.mlflow_session import Session, search_tag
from jobs.tracking.records import Checkpoint, Metrics

MAX_BATCH = 1000
"""MLflow takes at most this many metrics in one call."""

MAX_TAG_CHARS = 5000

STEP_OF_URI = re.compile(r"/checkpoints/(\d+)/?$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A metric as MLflow keeps it for a model."""

    name: str
    value: float
    step: int
    run_id: str
    dataset: tuple[str, str] | None


def log_checkpoint(session: Session, run_id: str, record: Checkpoint) -> str:
    """The model of a committed checkpoint, as an output of the run that trained it."""
    from mlflow.entities import LoggedModelOutput

    tags = {f"rprm.{name}": str(v)[:MAX_TAG_CHARS] for name, v in record.facts.items()}
    model_id = ensure_model(session, run_id, record.uri, {**tags, "rprm.step": str(record.step)})
    outputs = session.client.get_run(run_id).outputs
    known = {output.model_id for output in outputs.model_outputs} if outputs else set()
    if model_id not in known:
        session.client.log_outputs(run_id, [LoggedModelOutput(model_id, record.step)])
    measured = Metrics(
        values=record.metrics, step=record.step, checkpoint=record.uri, time_ms=record.time_ms
    )
    log_model_metrics(session, run_id, measured, model_id)
    return model_id


def ensure_model(session: Session, run_id: str | None, uri: str, tags: Mapping[str, str]) -> str:
    """The READY model of this checkpoint, made if it is new or was left half made."""
    client = session.client
    found = client.search_logged_models(
        [session.experiment_id], filter_string=search_tag("rprm.checkpoint", uri)
    )
    if found:
        model = min(found, key=lambda m: (m.creation_timestamp, m.model_id))
        lacking = {name: value for name, value in tags.items() if model.tags.get(name) != value}
        if lacking:
            client.set_logged_model_tags(model.model_id, lacking)
    else:
        model = client.create_logged_model(
            session.experiment_id,
            name=model_name(uri),
            source_run_id=run_id,
            tags={**tags, "rprm.checkpoint": uri, "mlflow.model.isExternal": "true"},
        )
    if str(model.status) != "READY":
        _finish_model(client, model)
    return str(model.model_id)


def log_model_metrics(session: Session, run_id: str, record: Metrics, model_id: str) -> None:
    """One call; MLflow skips whatever it holds already."""
    from mlflow.entities import Metric

    if not record.values:
        return
    dataset = dict(record.dataset) if record.dataset else None
    points = _points(record, run_id)
    held = _held(session.client.get_logged_model(model_id))
    time_ms = free_time(held, points, record.time_ms)
    session.client.log_batch(
        run_id,
        metrics=[
            Metric(
                key=point.name,
                value=point.value,
                timestamp=time_ms,
                step=point.step,
                model_id=model_id,
                dataset_name=dataset["name"] if dataset else None,
                dataset_digest=dataset.get("digest", "") if dataset else None,
                run_id=run_id,
            )
            for point in points
        ],
    )


def log_run_metrics(session: Session, run_id: str, records: Sequence[Metrics]) -> None:
    """Metrics of the run itself; many records in one call, since a call is what costs."""
    from mlflow.entities import Metric

    metrics = [
        Metric(accepted_name(name), value, record.time_ms, record.step)
        for record in records
        for name, value in record.values.items()
    ]
    for start in range(0, len(metrics), MAX_BATCH):
        session.client.log_batch(run_id, metrics=metrics[start : start + MAX_BATCH])


def free_time(held: Mapping[int, Iterable[Point]], points: Sequence[Point], time_ms: int) -> int:
    """The first millisecond from `time_ms` at which nothing else stands in the points' place."""
    wanted = {(p.name, p.step, p.run_id): p for p in points}
    while any(
        wanted.get((other.name, other.step, other.run_id), other) != other
        for other in held.get(time_ms, ())
    ):
        time_ms += 1
    return time_ms


def model_name(uri: str) -> str:
    """Such as "sft-3f9a-step-40": an address and what of it; a name may not hold / or :."""
    _, _, below = uri.rpartition("/artifacts/")
    step = STEP_OF_URI.search(uri)
    name = f"{below.split('/')[0]}-step-{int(step[1])}" if below and step else below or uri
    return re.sub(r"[/:.%\"']+", "-", name).strip("-")[-200:] or "model"


def _points(record: Metrics, run_id: str) -> list[Point]:
    dataset = None
    if record.dataset:
        dataset = (record.dataset["name"], record.dataset.get("digest", ""))
    return [
        Point(
            name=accepted_name(name),
            value=value,
            step=record.step,
            run_id=run_id,
            dataset=dataset,
        )
        for name, value in record.values.items()
    ]


def _held(model: Any) -> dict[int, list[Point]]:
    held: dict[int, list[Point]] = {}
    for metric in model.metrics or ():
        dataset = (metric.dataset_name, metric.dataset_digest) if metric.dataset_name else None
        point = Point(
            name=metric.key,
            value=metric.value,
            step=metric.step,
            run_id=metric.run_id,
            dataset=dataset,
        )
        held.setdefault(metric.timestamp, []).append(point)
    return held


def _finish_model(client: Any, model: Any) -> None:
    """An external model still needs an MLmodel file before the registry takes it."""
    from mlflow.models.utils import get_external_mlflow_model_spec

    with tempfile.TemporaryDirectory() as folder:
        get_external_mlflow_model_spec(model).save(str(Path(folder) / "MLmodel"))
        client.log_model_artifacts(model.model_id, folder)
    client.finalize_logged_model(model.model_id, "READY")
