"""How does a decision in the ledger become a version and an alias in MLflow's registry?

Every step looks before it acts, so a delivery that was cut short is simply repeated.  The
aliases move last, and only forward: a decision of the same ledger that arrives late does not
take the place of a newer one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jobs.tracking.mlflow_models import measured_model
from jobs.tracking.mlflow_names import accepted_name, tag_text
from jobs.tracking.mlflow_session import Session
from jobs.tracking.records import Promotion, canonical

CHAMPION = "champion"
PREVIOUS = "previous"


def apply_promotion(session: Session, run_id: str, record: Promotion, ledger: str) -> None:
    """`ledger` names the store that holds the ledger: sequences of two ledgers do not compare."""
    audit = {"model": record.model, "sequence": record.sequence, "time_ms": record.time_ms}
    text = json.dumps(
        json.loads(canonical({**audit, "decision": record.decision})), indent=2, sort_keys=True
    )
    session.client.log_text(run_id, text, f"promotion/{record.model}-{record.sequence:08}.json")
    promoted = bool(record.decision.get("promoted"))
    reason = tag_text(record.decision.get("reason", ""))
    word = "promoted" if promoted else "kept the champion"
    tag = accepted_name(f"rprm.promotion.{record.model}")
    session.client.set_tag(run_id, tag, tag_text(f"{word}: {reason}"))
    if promoted:
        _promote(session, run_id, record, ledger)


def outranks(current: Mapping[str, str], *, ledger: str, sequence: int) -> bool:
    """Whether the version with these tags is a later decision of the same ledger."""
    return current.get("rprm.ledger") == ledger and int(current["rprm.sequence"]) > sequence


def _promote(session: Session, run_id: str, record: Promotion, ledger: str) -> None:
    client = session.client
    tags = _version_tags(record, ledger)
    version = _find_version(client, record.model, tags) or _register(session, run_id, record, tags)
    if version.tags.get("rprm.applied") == "true":
        return
    _link(session, version)
    current = _champion(client, record.model)
    if current is None or str(current.version) == str(version.version):
        client.set_registered_model_alias(record.model, CHAMPION, version.version)
    elif not outranks(current.tags, ledger=ledger, sequence=record.sequence):
        # `previous` first: after a crash in between, the old champion can still be seen
        client.set_model_version_tag(
            record.model, version.version, "rprm.from_version", str(current.version)
        )
        client.set_registered_model_alias(record.model, PREVIOUS, current.version)
        client.set_registered_model_alias(record.model, CHAMPION, version.version)
    client.set_model_version_tag(record.model, version.version, "rprm.applied", "true")


def _version_tags(record: Promotion, ledger: str) -> dict[str, str]:
    decision = record.decision
    return {
        "rprm.ledger": ledger,
        "rprm.sequence": str(record.sequence),
        "rprm.checkpoint": str(decision["checkpoint"]),
        "rprm.promoted_at_ms": str(record.time_ms),
        "rprm.reason": tag_text(decision.get("reason", "")),
        "rprm.rule": tag_text(decision.get("rule", "")),
    }


def _register(session: Session, run_id: str, record: Promotion, tags: Mapping[str, str]) -> Any:
    client = session.client
    if not client.search_registered_models(filter_string=f"name = '{record.model}'"):
        client.create_registered_model(record.model)
    model = measured_model(session, tags["rprm.checkpoint"], tags["rprm.ledger"])
    return client.create_model_version(
        record.model,
        source=f"models:/{model.model_id}",
        run_id=model.source_run_id or run_id,
        tags=dict(tags),
        model_id=model.model_id,
    )


def _link(session: Session, version: Any) -> None:
    """The model page lists its versions by this tag, which MLflow sets over HTTP only."""
    model = session.client.get_logged_model(version.source.removeprefix("models:/"))
    links = json.loads(model.tags.get("mlflow.modelVersions", "[]"))
    known = {(link["name"], str(link["version"])) for link in links}
    if (version.name, str(version.version)) not in known:
        value = json.dumps([*links, {"name": version.name, "version": str(version.version)}])
        session.client.set_logged_model_tags(model.model_id, {"mlflow.modelVersions": value})


def _find_version(client: Any, model: str, tags: Mapping[str, str]) -> Any | None:
    """The version an earlier delivery of the same decision made."""
    for version in client.search_model_versions(f"name = '{model}'"):
        if all(version.tags.get(k) == tags[k] for k in ("rprm.ledger", "rprm.sequence")):
            return version
    return None


def _champion(client: Any, model: str) -> Any | None:
    aliases = client.get_registered_model(model).aliases
    if CHAMPION not in aliases:
        return None
    return client.get_model_version(model, aliases[CHAMPION])
