"""How do we talk to MLflow without its import, its chatter and its patience getting in the way?

The import takes seconds and is paid at the first delivery only.  MLflow takes its settings from
the environment at each call, so they are lent to it for the length of one sync and given back.
"""

from __future__ import annotations

import logging
import os
import socket
import sqlite3
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from jobs.spec.errors import JobsError
from jobs.tracking.sinks import redact, sqlite_path

TIMEOUT_S = 5
"""A tracking server that takes longer than this is as good as away; records keep."""

SETTINGS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": str(TIMEOUT_S),
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT": "30",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Defaults while we talk; what a person has set wins."""

SCHEMES = ("sqlite", "http", "https", "postgresql", "mysql", "mssql", "databricks")

DEFAULT_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}

MAX_ERROR_CHARS = 300

OTHERWISE = (
    "check that spec.tracking.uri names a running MLflow server (`none` turns tracking off); "
    "nothing is lost, records wait in the store and the next `jobs run` delivers them."
)

FIXES = {
    "401": "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN.",
    "403": "this user may not write there: ask for permission on the experiment.",
    "db upgrade": "run `mlflow db upgrade` on this uri, or use a new database.",
    "uri scheme": "use sqlite:///FILE, http(s)://HOST:PORT or `none` in spec.tracking.uri.",
}
"""What a person does about an error, by a word in its text."""

_lock = threading.RLock()


class TrackingAway(JobsError):
    """The tracking server cannot be used now; records wait in the store."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """An open line to one experiment."""

    client: Any
    """mlflow.MlflowClient; untyped here because MLflow is imported late."""
    experiment_id: str


@contextmanager
def lent_environment(uri: str) -> Iterator[None]:
    """The environment as MLflow should see it; restored afterwards.

    The uri is part of it because MLflow's SQL registry looks models up through a client of its
    own, which knows only the process-wide uri."""
    wanted = {**SETTINGS, **{k: v for k, v in os.environ.items() if k in SETTINGS}}
    wanted["MLFLOW_TRACKING_URI"] = wanted["MLFLOW_REGISTRY_URI"] = uri
    with _lock:
        before = {name: os.environ.get(name) for name in wanted}
        os.environ.update(wanted)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # MLflow's own deprecations are not our users'
                yield
        finally:
            _restore(before)


def open_session(uri: str, experiment: str) -> Session:
    """Connect, and make the experiment if it is new.  Call inside `lent_environment`."""
    _knock(uri)
    _hush("alembic")
    from mlflow import MlflowClient

    _hush("mlflow")
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    return Session(client=client, experiment_id=_experiment(client, uri, experiment))


def is_away(error: Exception) -> bool:
    """True if nothing can be delivered now; False if only this one record is refused."""
    from mlflow.exceptions import MlflowException

    if isinstance(error, MlflowException):
        status = int(error.get_http_status_code())
        return status >= 500 or status in {401, 403, 408, 429}
    return isinstance(error, OSError | TrackingAway)


def problem_of(error: Exception, uri: str) -> str:
    """One sentence for a person: what, where, the fix; no credentials."""
    if isinstance(error, TrackingAway):
        return redact(str(error))
    text = redact(" ".join(str(error).split()) or type(error).__name__)
    return f"MLflow at {redact(uri)} failed: {_brief(text)}. Fix: {_fix(text)}"


def _brief(text: str) -> str:
    """HTTP errors wrap their cause three times; only the innermost one says anything."""
    _, _, cause = text.partition("Caused by ")
    inner = (cause.rpartition("): ")[2] or cause).strip("()\"'") or text
    return (inner if len(inner) <= MAX_ERROR_CHARS else inner[:MAX_ERROR_CHARS] + "…").rstrip(".")


def _fix(text: str) -> str:
    lowered = text.lower()
    return next((fix for sign, fix in FIXES.items() if sign in lowered), OTHERWISE)


def search_tag(name: str, value: str) -> str:
    """A search filter; for values without quotes only, since MLflow has no way to escape them."""
    return f"tags.`{name}` = '{value}'"


def _experiment(client: Any, uri: str, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        return str(client.create_experiment(name, artifact_location=_artifacts(uri, name)))
    if not found.experiment_id:
        raise TrackingAway(f"{redact(uri)} answers, but not as MLflow does.", fix=OTHERWISE)
    if found.lifecycle_stage != "active":
        raise TrackingAway(
            f"The MLflow experiment {name!r} at {redact(uri)} was deleted.",
            fix=f"`mlflow experiments restore --experiment-id {found.experiment_id}`, "
            "or name another one in spec.tracking.experiment.",
        )
    return str(found.experiment_id)


def _artifacts(uri: str, experiment: str) -> str | None:
    """Beside a SQLite file; a server knows its own place."""
    database = sqlite_path(uri)
    if database is None:
        return None
    return (database.parent / "mlflow-artifacts" / experiment).as_uri()


def _knock(uri: str) -> None:
    """Fail at once where MLflow would retry a broken database for minutes."""
    parts = urlsplit(uri)
    scheme = parts.scheme.split("+")[0]
    if scheme not in SCHEMES and uri not in SCHEMES:
        raise TrackingAway(f"{redact(uri)!r} is no tracking uri we know.", fix=FIXES["uri scheme"])
    if database := sqlite_path(uri):
        _try_sqlite(str(database), make=database.parent.mkdir)
        return
    port = DEFAULT_PORTS.get(scheme)
    if port is not None and parts.hostname:
        with socket.create_connection((parts.hostname, parts.port or port), TIMEOUT_S):
            return


def _try_sqlite(path: str, make: Any) -> None:
    try:
        make(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=TIMEOUT_S)
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.rollback()
        finally:
            connection.close()
    except (OSError, sqlite3.Error) as error:
        raise TrackingAway(
            f"The tracking database {path} cannot be written: {error}.",
            fix="make the file and its folder writable, or set spec.tracking.uri "
            "(`none` turns tracking off).",
        ) from error


def _hush(logger: str) -> None:
    logging.getLogger(logger).setLevel(logging.ERROR)


def _restore(before: Mapping[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
