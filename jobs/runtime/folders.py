"""Where does a campaign leave its logs and events on this machine?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import platformdirs

from jobs.backends.local import safe_name

WORK = Path(".rprm")
"""Beside the campaign's own store by default, so that one folder holds all there is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFolder:
    path: Path

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def fleets(self) -> Path:
        """Endpoints, memory and logs of the fleets' replicas, and what is told of them."""
        return self.path / "fleets"

    @property
    def told(self) -> Path:
        """State of the fleets, written by the controller; see `jobs.fleet.told`."""
        return self.fleets / "state.json"

    @property
    def metrics(self) -> Path:
        """Of the workers, while somebody asks for them; see `jobs.runtime.worker_metrics`."""
        return self.path / "metrics"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def logs_of(self, node: str) -> Path:
        """Output of one stage's workers."""
        return self.logs / safe_name(node)


def run_folder(campaign: str) -> RunFolder:
    return RunFolder(path=WORK / "runs" / campaign)


def cache_folder() -> Path:
    """Where copies of a remote store's artifacts are kept on this machine."""
    return platformdirs.user_cache_path("rprm") / "inputs"
