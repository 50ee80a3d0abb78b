"""A small campaign whose records are tracked, and what MLflow then says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

from jobs.store.base import ObjectStore
from jobs.store.objects import open_store
from jobs.tracking import outbox
from jobs.tracking.mlflow import MlflowTracker
from jobs.tracking.records import Promotion, Record
from jobs.tracking.tracker import StageRun, Status

T0 = 1_700_000_000_000
DATASETS = ("gsm8k", "math", "olympiadbench", "omnimath")


class World:
    """One campaign with a store, an experiment and a registered model of its own."""

    def __init__(self, uri: str, name: str, store: ObjectStore | None = None) -> None:
        self.uri = uri
        self.name = name
        self.store = store or open_store(f"memory://{uuid4().hex}")
        self.runs: list[StageRun] = []

    def tracker(self, attempt: str = "1") -> MlflowTracker:
        return MlflowTracker(
            uri=self.uri,
            experiment=self.name,
            campaign=self.name,
            attempt=attempt,
            config={"metadata": {"name": self.name}},
        )

    def stage(self, address: str, *records: Record, status: Status = "FINISHED") -> None:
        """Add a stage, or change what it is; its records are appended."""
        self.runs = [run for run in self.runs if run.address != address]
        self.runs.append(
            StageRun(
                node=address.split("-")[0],
                address=address,
                params={"lr": 1e-3, "optim": {"name": "adamw"}},
                coordinates={"seed": 1},
                run="rprm.stages.any:Any",
                status=status,
                started_ms=T0,
                ended_ms=T0 + 5000 if status != "RUNNING" else None,
            )
        )
        for record in records:
            outbox.append(self.store, address, record)

    def checkpoint(self, step: int, address: str = "sft-1") -> str:
        return f"{self.store.url}/artifacts/{address}/checkpoints/{step:010}"

    @property
    def client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    @property
    def experiment_id(self) -> str:
        return str(self.client.get_experiment_by_name(self.name).experiment_id)

    def all_runs(self) -> list[Any]:
        return list(self.client.search_runs([self.experiment_id]))

    def run(self, address: str) -> Any:
        (found,) = [r for r in self.all_runs() if r.data.tags.get("rprm.address") == address]
        return self.client.get_run(found.info.run_id)

    def parents(self) -> dict[str, Any]:
        runs = [r for r in self.all_runs() if r.data.tags["rprm.kind"] == "attempt"]
        return {r.data.tags["rprm.attempt"]: r for r in runs}

    def models(self) -> dict[str, Any]:
        found = self.client.search_logged_models([self.experiment_id])
        by_uri = {model.tags["rprm.checkpoint"]: model for model in found}
        assert len(by_uri) == len(found), "a checkpoint has more than one model"
        return by_uri

    def versions(self, model: str) -> dict[str, Any]:
        found = self.client.search_model_versions(f"name = '{model}'")
        return {version.tags["rprm.sequence"]: version for version in found}

    def text(self, address: str, path: str) -> str:
        run_id = self.run(address).info.run_id
        return Path(self.client.download_artifacts(run_id, path)).read_text()


def points(model: Any) -> list[tuple[str, float, int, str | None]]:
    return sorted((m.key, m.value, m.step, m.dataset_name) for m in model.metrics)


def promotion(world: World, sequence: int, step: int, *, promoted: bool = True) -> Promotion:
    decision = {
        "promoted": promoted,
        "checkpoint": world.checkpoint(step),
        "reason": f"decision {sequence}",
        "rule": {"delta": 0.01},
    }
    return Promotion(model=world.name, sequence=sequence, decision=decision, time_ms=T0)


def aliases(world: World) -> dict[str, str]:
    registered = world.client.get_registered_model(world.name)
    return {alias: str(version) for alias, version in registered.aliases.items()}
