"""In which order are waiting records delivered, and what does each become in MLflow?"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from jobs.store.layout import file_key, files_prefix
from jobs.tracking.mlflow_models import (
    log_checkpoint,
    log_model_inputs,
    log_model_metrics,
    log_run_metrics,
    measured_model,
)
from jobs.tracking.mlflow_names import accepted_name
from jobs.tracking.mlflow_promotion import apply_promotion
from jobs.tracking.mlflow_session import Session
from jobs.tracking.outbox import RecordStore, Waiting
from jobs.tracking.records import Checkpoint, File, Metrics, Promotion

MAX_FILE_BYTES = 20 * 1024 * 1024
"""Larger files stay in the store and are only linked: a server streams every artifact itself."""

MAX_RECORDS = 500
"""Plain metrics records that share one call; bounds what one refusal holds up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """Records of one artifact that are sent, and marked, together."""

    address: str
    waiting: tuple[Waiting, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Where a delivery goes."""

    session: Session
    store: RecordStore
    run_id: str
    parent_id: str


def deliveries(waiting: Mapping[str, Iterable[Waiting]]) -> list[Delivery]:
    """Checkpoints of every artifact before the metrics that name them, decisions in sequence."""
    ordered = [
        Delivery(address=address, waiting=group)
        for address, records in waiting.items()
        for group in _groups(records)
    ]
    return sorted(ordered, key=_turn)


def deliver(target: Target, delivery: Delivery) -> None:
    """Repeating it changes nothing."""
    plain: list[Metrics] = []
    for item in delivery.waiting:
        match item.record:
            case Checkpoint() as record:
                log_checkpoint(target.session, target.run_id, record)
            case Metrics(checkpoint=None) as record:
                plain.append(record)
            case Metrics(checkpoint=str(uri)) as record:
                _measure(target, uri, record)
            case File() as record:
                _attach(target, delivery.address, record)
            case Promotion() as record:
                apply_promotion(target.session, target.run_id, record, target.store.url)
    log_run_metrics(target.session, target.run_id, plain)


def _measure(target: Target, uri: str, record: Metrics) -> None:
    model = measured_model(target.session, uri, target.store.url)
    log_model_inputs(target.session, target.run_id, record, model)
    log_model_metrics(target.session, target.run_id, record, model)


def _groups(records: Iterable[Waiting]) -> Iterable[tuple[Waiting, ...]]:
    plain: list[Waiting] = []
    for item in records:
        if isinstance(item.record, Metrics) and item.record.checkpoint is None:
            plain.append(item)
        else:
            yield (item,)
    for start in range(0, len(plain), MAX_RECORDS):
        yield tuple(plain[start : start + MAX_RECORDS])


def _turn(delivery: Delivery) -> tuple[int, str, int]:
    match delivery.waiting[0].record:
        case Checkpoint():
            return 0, "", 0
        case Metrics():
            return 1, "", 0
        case File():
            return 2, "", 0
        case Promotion(model=model, sequence=sequence):
            return 3, model, sequence


def _attach(target: Target, address: str, record: File) -> None:
    """A link always, and a copy of what is small enough to open in a browser."""
    path = file_key(address, record.name)
    for run_id in (target.run_id, target.parent_id):
        link = f"{target.store.url}/{path}"
        target.session.client.set_tag(run_id, accepted_name(f"rprm.file.{record.name}"), link)
    below = target.store.list(files_prefix(address))
    files = [e for e in below if e.key == path or e.key.startswith(f"{path}/")]
    if sum(entry.size for entry in files) > MAX_FILE_BYTES:
        return
    for entry in files:
        name = PurePosixPath(entry.key).relative_to(files_prefix(address))
        _copy(target, name, target.store.get(entry.key))


def _copy(target: Target, name: PurePosixPath, data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder) / name.name
        local.write_bytes(data)
        below = None if str(name.parent) == "." else str(name.parent)
        target.session.client.log_artifact(target.run_id, str(local), artifact_path=below)
