"""What does a report start from?  Everything measured, compared and gathered, as values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from rprm.errors import BadInput
from rprm.reporting.claims import Checked, Compared, compare
from rprm.reporting.numbers import Numbers
from rprm.reporting.solvers import Solved
from rprm.reporting.systems import SEED, System


class Scaling(BaseModel):
    """A plot of F1 against one axis of the campaign's sweeps."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    system: str
    """Which judge: a bench stage's `system`."""
    axis: str = "rows"
    """Coordinate along the x axis."""
    ks: tuple[int, ...] = ()
    """One line per K; empty: K=1 and the headline K."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One artifact that the report was made from."""

    role: str
    """benches, solvers, models, data or promotions."""
    stage: str
    address: str
    coordinates: Mapping[str, Any]
    params: Mapping[str, Any]
    facts: Mapping[str, Any]

    @property
    def label(self) -> str:
        return " ".join([self.stage, self.point]).strip()

    @property
    def point(self) -> str:
        return " ".join(f"{axis}={value}" for axis, value in sorted(self.coordinates.items()))

    @property
    def params_hash(self) -> str:
        text = json.dumps(self.params, sort_keys=True, separators=(",", ":"), default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    systems: Sequence[System]
    solved: Sequence[Solved]
    """What was measured of ways to solve problems."""
    solvers: Mapping[str, Sequence[System]]
    """The same by method, to compare."""
    numbers: Numbers
    checked: Sequence[Checked]
    scaling: Sequence[Scaling]
    direct: Sequence[str]
    """Names of judges that give a verdict without an analysis."""
    headline_k: int
    resamples: int
    notes: Sequence[str]
    sources: Sequence[Source]

    @property
    def ks(self) -> list[int]:
        """K=1 and the headline K, where any judge has them."""
        known = {k for one in self.systems for k in one.ks}
        return sorted({1, self.headline_k} & known)

    @property
    def num_seeds(self) -> int:
        return len({run.seed for one in self.systems for run in one.runs})

    def of(self, role: str) -> list[Source]:
        return [source for source in self.sources if source.role == role]

    def compare(self, better: tuple[System, int], worse: tuple[System, int]) -> Compared | None:
        """F1 of two judges; None where they share no K, no seed or no problems."""
        if better[1] not in better[0].ks or worse[1] not in worse[0].ks:
            return None
        try:
            return compare(better, worse, metric="f1", resamples=self.resamples)
        except BadInput:  # judges of other problems or seeds are no pair, which is no fault
            return None

    def across(self, axis: str, name: str) -> list[list[System]]:
        """Judges of one name that differ in `axis` alone, ordered along it."""
        groups: dict[tuple[tuple[str, Any], ...], list[System]] = {}
        for one in self.systems:
            if one.name == name and isinstance(one.coordinate(axis), int | float):
                rest = tuple((a, v) for a, v in one.point if a not in (axis, SEED))
                groups.setdefault(rest, []).append(one)
        return [
            sorted(group, key=lambda one: float(one.coordinate(axis))) for group in groups.values()
        ]
