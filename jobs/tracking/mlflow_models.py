"""Which MLflow LoggedModel is this checkpoint, and how do its metrics reach it?

A checkpoint is an *external* LoggedModel: MLflow knows its name, step, hashes and metrics, the
weights stay in the store.  It is found again by the tag `rprm.checkpoint`.

MLflow keys a model's metric by (model, name, time, step, run); the dataset is not in the key.
Two datasets measured under one name in one millisecond would collide, so the later one is
moved to the next free millisecond.  A record that is sent again finds its own place taken by
itself, and stays there.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.tracking.mlflow_names import accepted_name, accepted_values, tag_text
from jobs.tracking.mlflow_runs import find_stage
from jobs.tracking.mlflow_session import Session, search_tag
from jobs.tracking.records import Checkpoint, Metrics

MAX_BATCH = 1000
"""MLflow takes at most this many metrics in one call."""

MAX_FACTS = 40
"""Facts of a checkpoint that become tags of its model, for filtering in a table."""

MAX_DATASET_CHARS = 500
MAX_DIGEST_CHARS = 36
"""The width of MLflow's columns; the full digest is in the dataset's source."""

STEP_OF_URI = re.compile(r"/checkpoints/(\d+)/?$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A metric as MLflow keeps it for a model."""

    name: str
    value: float
    step: int
    run_id: str
    dataset: tuple[str, str] | None


def log_checkpoint(session: Session, run_id: str, record: Checkpoint) -> None:
    """The model of a committed checkpoint, as an output of the run that trained it."""
    from mlflow.entities import LoggedModelOutput

    facts = list(record.facts.items())[:MAX_FACTS]
    tags = {f"rprm.{accepted_name(name)}": tag_text(value) for name, value in facts}
    model = ensure_model(session, record.uri, {**tags, "rprm.step": str(record.step)}, run_id)
    outputs = session.client.get_run(run_id).outputs
    known = {output.model_id for output in outputs.model_outputs} if outputs else set()
    if model.model_id not in known:
        session.client.log_outputs(run_id, [LoggedModelOutput(model.model_id, record.step)])
    measured = Metrics(
        values=record.metrics, step=record.step, checkpoint=record.uri, time_ms=record.time_ms
    )
    log_model_metrics(session, run_id, measured, model)


def find_model(session: Session, uri: str) -> Any | None:
    found = session.client.search_logged_models(
        [session.experiment_id], filter_string=search_tag("rprm.checkpoint_id", checkpoint_id(uri))
    )
    return min(found, key=lambda m: (m.creation_timestamp, m.model_id)) if found else None


def ensure_model(
    session: Session, uri: str, tags: Mapping[str, str], source_run_id: str | None
) -> Any:
    """The READY model of this checkpoint, made if it is new or was left half made."""
    client = session.client
    model = find_model(session, uri)
    if model is None:
        identity = {"rprm.checkpoint": uri, "rprm.checkpoint_id": checkpoint_id(uri)}
        model = client.create_logged_model(
            session.experiment_id,
            name=model_name(uri),
            source_run_id=source_run_id,
            tags={**tags, **identity, "mlflow.model.isExternal": "true"},
        )
    elif lacking := {name: v for name, v in tags.items() if model.tags.get(name) != v}:
        client.set_logged_model_tags(model.model_id, lacking)
    if str(model.status) != "READY":
        _finish_model(client, model)
    return model


def measured_model(session: Session, uri: str, store: str) -> Any:
    """The model of a uri that was not committed in this experiment, such as a published one."""
    model = find_model(session, uri)
    if model is not None and str(model.status) == "READY":
        return model
    address = uri.removeprefix(f"{store}/artifacts/").split("/")[0]
    producer = find_stage(session, address, store) if address != uri else None
    return ensure_model(session, uri, {}, producer.info.run_id if producer else None)


def log_model_metrics(session: Session, run_id: str, record: Metrics, model: Any) -> None:
    """One call; MLflow skips whatever it holds already."""
    from mlflow.entities import Metric

    if not record.values:
        return
    points = _points(record, run_id)
    time_ms = free_time(_held(model), points, record.time_ms)
    metrics = [
        Metric(
            key=point.name,
            value=point.value,
            timestamp=time_ms,
            step=point.step,
            model_id=model.model_id,
            dataset_name=point.dataset[0] if point.dataset else None,
            dataset_digest=point.dataset[1] if point.dataset else None,
            run_id=run_id,
        )
        for point in points
    ]
    for start in range(0, len(metrics), MAX_BATCH):
        session.client.log_batch(run_id, metrics=metrics[start : start + MAX_BATCH])


def log_model_inputs(session: Session, run_id: str, record: Metrics, model: Any) -> None:
    """What a benchmark run measured and on what; a training run's own models are its outputs."""
    from mlflow.entities import Dataset, DatasetInput, LoggedModelInput

    datasets = []
    if identity := dataset_of(record):
        source = json.dumps(dict(record.dataset or {}), sort_keys=True)
        datasets = [DatasetInput(Dataset(*identity, source_type="rprm", source=source))]
    models = [] if model.source_run_id == run_id else [LoggedModelInput(model.model_id)]
    if datasets or models:
        session.client.log_inputs(run_id, datasets=datasets, models=models)


def log_run_metrics(session: Session, run_id: str, records: Sequence[Metrics]) -> None:
    """Metrics of the run itself; many records in one call, since a call is what costs."""
    from mlflow.entities import Metric

    metrics = [
        Metric(name, value, record.time_ms, record.step)
        for record in records
        for name, value in accepted_values(record.values).items()
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


def checkpoint_id(uri: str) -> str:
    """MLflow cannot search for text with quotes in it, and a folder may have any name."""
    return hashlib.sha256(uri.encode()).hexdigest()[:32]


def dataset_of(record: Metrics) -> tuple[str, str] | None:
    """(name, digest) as MLflow's columns can hold them."""
    if not record.dataset:
        return None
    name = record.dataset.get("name", "unnamed")[:MAX_DATASET_CHARS]
    return name, record.dataset.get("digest", "")[:MAX_DIGEST_CHARS] or "unknown"


def _points(record: Metrics, run_id: str) -> list[Point]:
    dataset = dataset_of(record)
    return [
        Point(name=name, value=value, step=record.step, run_id=run_id, dataset=dataset)
        for name, value in accepted_values(record.values).items()
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
