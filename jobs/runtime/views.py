"""What does a stage see of a finished upstream artifact?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from jobs.spec.errors import StoreError
from jobs.store.artifacts import Artifact
from jobs.store.objects import ObjectStore
from jobs.store.records import Seal


class SealedView:
    """A sealed artifact, read-only; files of a remote store are copied once into `cache`."""

    def __init__(
        self, store: ObjectStore, address: str, *, coordinates: Mapping[str, Any], cache: Path
    ) -> None:
        self._artifact = Artifact(store, address)
        self._cache = cache
        self.address = address
        self.url = self._artifact.url
        self.coordinates = coordinates

    @cached_property
    def seal(self) -> Seal:
        seal = self._artifact.read_seal()
        if seal is None:
            raise StoreError(
                f"artifact {self.address} is not sealed.",
                fix="run the campaign again; it makes what is missing.",
            )
        return seal

    @property
    def stage(self) -> str:
        return self.seal.stage

    @property
    def params(self) -> Mapping[str, Any]:
        return self.seal.params

    @property
    def facts(self) -> Mapping[str, Any]:
        return self.seal.facts

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        return self._artifact.table(columns)

    def rows(self, start: int, stop: int) -> pa.Table:
        """Data rows start..stop, reading only the files that hold them."""
        return self._artifact.rows(start, stop)

    def errors(self) -> pa.Table:
        return self._artifact.errors()

    def path(self, name: str) -> Path:
        return self._artifact.path(name, self._cache)
