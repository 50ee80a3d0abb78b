"""Which models does a campaign's store hold?  Reads what a job system left there, writes nothing.

artifacts/<address>/spec.json                   what is to be made; written first
artifacts/<address>/files/model/…               what a training stage hands over, once sealed
artifacts/<address>/checkpoints/<step>/weights/…
artifacts/<address>/checkpoints/<step>.done     the checkpoint is committed
registry/<model>/00000001.json                  promotion decisions, numbered

The keys are the job system's (`jobs.store.layout`); a contract test holds the two together.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rprm.errors import BadInput
from rprm.sealed import Location, Sealed, SealedStore, explained

_CHECKPOINT = re.compile(r"checkpoints/(\d+)(?:/weights)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """A model folder on this machine, and the prompt template it was trained with, if noted."""

    folder: Path
    template: str | None


class ModelStore(SealedStore):
    """A folder is read in place, what is remote goes to this user's cache."""

    def models(self) -> list[Sealed]:
        """Every sealed model, newest first."""
        return [one for one in self.newest(self.addresses()) if "model/config.json" in one.files]

    def weights(self, location: Location) -> Weights:
        """The model at this place of the store.  Raises BadInput that says what is there."""
        artifact = f"artifacts/{location.address}"
        spec = self.document(f"{artifact}/seal.json")
        sealed = spec is not None
        spec = spec or self.document(f"{artifact}/spec.json")
        if spec is None:
            raise BadInput(
                f"{self.url} has no artifact {location.address}.",
                fix="check the address with `jobs status`, or name a stage: --model sft",
            )
        inside = self._inside(artifact, location.inside, sealed=sealed)
        template = spec.get("params", {}).get("template")
        return Weights(folder=self._fetch(f"{artifact}/{inside}"), template=template)

    def champion(self, model: str) -> Mapping[str, Any] | None:
        """The newest decision that promoted a candidate; None without one."""
        import obstore

        with explained("list", self.url):
            entries = obstore.list(self.client, f"registry/{model}").collect()
        for key in sorted((str(entry["path"]) for entry in entries), reverse=True):
            decision = self.document(key) if key.endswith(".json") else None
            if decision is not None and decision.get("promoted"):
                return decision
        return None

    def _inside(self, artifact: str, inside: str, *, sealed: bool) -> str:
        """Below the artifact: the folder of the model that `inside` means."""
        if found := _CHECKPOINT.fullmatch(inside):
            checkpoint = f"checkpoints/{int(found[1]):010d}"
            if self.document(f"{artifact}/{checkpoint}.done") is None:
                raise BadInput(
                    f"{self.url}/{artifact} has no committed checkpoint of step {int(found[1])}.",
                    fix=self._steps(artifact),
                )
            return f"{checkpoint}/weights"
        if inside:
            return inside
        if not sealed:
            raise BadInput(
                f"{artifact.removeprefix('artifacts/')} is not finished.",
                fix=f"run its campaign to the end; {self._steps(artifact)}",
            )
        return "files/model"

    def _steps(self, artifact: str) -> str:
        import obstore

        with explained("list", self.url):
            listed = obstore.list_with_delimiter(self.client, f"{artifact}/checkpoints")
        names = [str(entry["path"]).rpartition("/")[2] for entry in listed["objects"]]
        steps = sorted(int(name[:-5]) for name in names if name.endswith(".done"))
        if not steps:
            return "it has no committed checkpoint yet"
        shown = ", ".join(map(str, steps[-8:]))
        return f"committed steps: {shown}; name one as {artifact}/checkpoints/STEP"

    def _fetch(self, key: str) -> Path:
        if self.folder is not None:
            return self.folder / key
        import platformdirs

        name = hashlib.sha256(self.url.encode()).hexdigest()[:16]
        target = platformdirs.user_cache_path("rprm") / "models" / name / key
        if not target.exists():
            self._download(key, target)
        return target

    def _download(self, key: str, target: Path) -> None:
        """Aside first and then renamed, so that a folder in the cache is a whole one."""
        import obstore

        partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
        try:
            with explained("download", f"{self.url}/{key}"):
                for entry in obstore.list(self.client, key).collect():
                    path = partial / str(entry["path"]).removeprefix(f"{key}/")
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with path.open("wb") as file:
                        for chunk in obstore.get(self.client, entry["path"]).stream():
                            file.write(chunk)
                if partial.exists() and not target.exists():
                    partial.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
