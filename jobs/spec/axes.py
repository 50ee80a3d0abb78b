"""Which coordinates does every stage have?  Sweeps travel from a stage to everything that reads it.

The axes of a unit are those of its own sweep and those of its plain inputs, less what `where`
pins.  Every unit stands for the full product of its axes' values.
"""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Iterator, Mapping, Sequence

from jobs.spec.campaign import Campaign, Coordinate
from jobs.spec.document import is_ambiguous, resolve
from jobs.spec.errors import PathKey, Problem, did_you_mean
from jobs.spec.wiring import ROUND, Source, Unit

Axes = Mapping[str, tuple[Coordinate, ...]]

PLACEHOLDER = re.compile(r"\$\{([^{}]*)\}\Z")
_PLAIN_TEXT = re.compile(r"[\w./:@+-]+\Z", re.ASCII)


def coordinate_text(value: Coordinate) -> str:
    """How a coordinate is written in names; different coordinates are written differently."""
    if isinstance(value, str):
        plain = _PLAIN_TEXT.match(value) and isinstance(resolve(value), str)
        return value if plain and not is_ambiguous(value) else json.dumps(value)
    return json.dumps(value)


def identity(value: Coordinate) -> tuple[bool, Coordinate]:
    """Equal for equal coordinates: 1 is 1.0, but neither is true."""
    return isinstance(value, bool), value


def order(units: Mapping[str, Unit]) -> tuple[list[Unit], list[list[str]]]:
    """Units with every input before its readers, else as declared; and the cycles, if any."""
    waiting = {name: {s.unit for s in unit.sources} for name, unit in units.items()}
    readers: dict[str, list[str]] = {name: [] for name in units}
    for name, needs in waiting.items():
        for need in needs:
            readers[need].append(name)
    rank = {name: i for i, name in enumerate(units)}
    ready = [rank[name] for name, needs in waiting.items() if not needs]
    names = list(units)
    ordered: list[Unit] = []
    heapq.heapify(ready)
    while ready:
        name = names[heapq.heappop(ready)]
        ordered.append(units[name])
        for reader in readers[name]:
            waiting[reader].discard(name)
            if not waiting[reader]:
                heapq.heappush(ready, rank[reader])
    stuck = {name: needs for name, needs in waiting.items() if needs}
    return ordered, list(_cycles(stuck))


def _cycles(stuck: Mapping[str, set[str]]) -> Iterator[list[str]]:
    """Walk backwards from every stuck unit until the walk meets itself."""
    seen: set[str] = set()
    for start in stuck:
        walk: list[str] = []
        name = start
        while name not in seen:
            seen.add(name)
            walk.append(name)
            name = min(stuck[name])
        if name in walk:
            cycle = walk[walk.index(name) :][::-1]
            yield [cycle[-1], *cycle]


class AxisTable:
    """Axes of every unit, filled in order; problems are kept, not raised."""

    def __init__(self, campaign: Campaign) -> None:
        self.problems: list[Problem] = []
        self.of: dict[str, Axes] = {}
        self._campaign = campaign

    def add(self, unit: Unit) -> None:
        """Work out the axes of a unit whose sources were added before."""
        axes: dict[str, tuple[Coordinate, ...]] = {}
        for name, sources in unit.inputs.items():
            gathered = unit.stage.inputs[name].gather is not None
            for source in sources:
                left = self._after_where(source)
                if not gathered:
                    self._merge(axes, left, unit, source)
        self._check_own(axes, unit)
        axes.update(unit.stage.sweep)
        self.of[unit.name] = axes
        self._check_params(unit.stage.params, axes, unit, (*unit.path, "params"))

    def _after_where(self, source: Source) -> Axes:
        """What is left of a source's axes, having checked that `where` pins real coordinates."""
        axes = self.of.get(source.unit, {})
        path = (*source.path, "where")
        for axis, value in source.where.items():
            if axis not in axes:
                known = ", ".join(axes) or "none"
                message = f"{source.stage!r} has no axis {axis!r}; its axes: {known}"
                self._report((*path, axis), message, did_you_mean(axis, axes))
            elif identity(value) not in map(identity, axes[axis]):
                message = f"{source.stage!r} has no {axis}={coordinate_text(value)[:80]}"
                self._report((*path, axis), message, f"it has {_listed(axes[axis])}")
        return {axis: values for axis, values in axes.items() if axis not in source.where}

    def _merge(
        self,
        axes: dict[str, tuple[Coordinate, ...]],
        new: Axes,
        unit: Unit,
        source: Source,
    ) -> None:
        for axis, values in new.items():
            wanted = unit.stage.sweep.get(axis, axes.get(axis, values))
            has, needs = set(map(identity, values)), set(map(identity, wanted))
            if needs - has or (has - needs and axis not in unit.stage.sweep):
                message = (
                    f"inputs disagree on axis {axis!r}: "
                    f"{source.stage!r} has {_listed(values)}, not {_listed(wanted)}"
                )
                fix = f"pin it with where, or sweep {axis!r} here over values all inputs have"
                self._report(source.path, message, fix)
            axes.setdefault(axis, values)

    def _check_own(self, axes: Axes, unit: Unit) -> None:
        for axis, values in unit.stage.sweep.items():
            path = (*unit.path, "sweep", axis)
            if len(set(map(identity, values))) < len(values):
                self._report(path, f"axis {axis!r} lists a value twice")
            if axis == ROUND:
                self._report(path, "the axis 'round' counts rounds", "choose another name")

    def _check_params(self, value: object, axes: Axes, unit: Unit, path: PathKey) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                self._check_params(inner, axes, unit, (*path, key))
        elif isinstance(value, list):
            for i, inner in enumerate(value):
                self._check_params(inner, axes, unit, (*path, i))
        elif isinstance(value, str) and "${" in value:
            known = [*axes, ROUND] if unit.round is not None else list(axes)
            self._check_placeholder(value, known, path)

    def _check_placeholder(self, value: str, known: Sequence[str], path: PathKey) -> None:
        found = PLACEHOLDER.match(value)
        if found is None:
            message = "'${axis}' must be the whole value; text around it is not supported"
            self._report(path, message)
        elif found[1] not in known:
            message = f"unknown axis {found[1][:80]!r}; axes here: {', '.join(known) or 'none'}"
            self._report(path, message, did_you_mean(found[1], known))

    def _report(self, path: PathKey, message: str, suggestion: str = "") -> None:
        self.problems.append(self._campaign.problem(path, message, suggestion))


def _listed(values: Sequence[Coordinate]) -> str:
    """A few of the values, readable."""
    shown = ", ".join(coordinate_text(value)[:40] for value in values[:8])
    return f"{shown}, …" if len(values) > 8 else shown
