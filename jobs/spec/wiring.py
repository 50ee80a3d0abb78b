"""Which stage reads what of which other stage?  Names, rounds and carries resolved to units.

A unit is a stage, or one round of a stage in rounds (`dpo@2`).  Sweeps are not expanded here:
every unit stands for all its coordinates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from jobs.spec.campaign import Campaign, Coordinate, FleetModel, Input, Rounds, Selection, Stage
from jobs.spec.errors import PathKey, Problem, did_you_mean
from jobs.spec.fleets import filled, own_models

ROUND = "round"
"""The axis that counts rounds; it is known to the stages of a block and pinned by `where`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One unit that an input reads, with pinned coordinates."""

    unit: str
    where: Mapping[str, Coordinate]
    path: PathKey

    @property
    def stage(self) -> str:
        """The declared name."""
        return self.unit.partition("@")[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """A stage, or one round of it."""

    name: str
    stage: Stage
    """With the models of the fleets that it calls."""
    round: int | None
    path: PathKey
    inputs: Mapping[str, tuple[Source, ...]] = field(default_factory=dict)
    """A plain input has one source; a gathered one has any number."""

    @property
    def sources(self) -> Iterator[Source]:
        return (source for sources in self.inputs.values() for source in sources)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wiring:
    """All units in declaration order, and what is wrong with their names."""

    units: Mapping[str, Unit]
    problems: tuple[Problem, ...]


def wire(
    campaign: Campaign, *, also_known: frozenset[str] = frozenset(), with_fleets: bool = True
) -> Wiring:
    """Resolve every input.  References to `also_known` names, given in their normal form, are
    left out without a problem; so are the models of fleets where they are not sure."""
    directory = _Directory(campaign, also_known, with_fleets=with_fleets)
    units: dict[str, Unit] = {}
    for place in _places(campaign):
        name = place.unit_name(place.stage.name)
        if name not in units:
            units[name] = directory.unit(place)
    return Wiring(units=units, problems=tuple(dict.fromkeys(directory.problems)))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """A stage as it is declared, and in which round it is looked at."""

    stage: Stage
    path: PathKey
    block: Rounds | None = None
    round: int | None = None
    block_path: PathKey = ()

    def unit_name(self, stage: str) -> str:
        return stage if self.round is None else f"{stage}@{self.round}"

    def outside(self) -> _Place:
        """The same place, seen as if it were not in its block."""
        return _Place(stage=self.stage, path=self.path)


def _places(campaign: Campaign) -> Iterator[_Place]:
    for i, stage in enumerate(campaign.spec.stages):
        yield _Place(stage=stage, path=("spec", "stages", i))
    for b, block in enumerate(campaign.spec.rounds):
        block_path: PathKey = ("spec", "rounds", b)
        for number in range(1, block.count + 1):
            for i, stage in enumerate(block.stages):
                yield _Place(
                    stage=stage,
                    path=(*block_path, "stages", i),
                    block=block,
                    round=number,
                    block_path=block_path,
                )


class _Directory:
    """Looks names up and keeps the problems found on the way."""

    def __init__(
        self, campaign: Campaign, also_known: frozenset[str], *, with_fleets: bool
    ) -> None:
        fleets = campaign.spec.fleets if with_fleets else ()
        self.problems: list[Problem] = []
        self._fleets = {fleet.name: fleet for fleet in fleets}
        self._fleet_paths: dict[str, PathKey] = {
            fleet.name: ("spec", "fleets", i, "model") for i, fleet in enumerate(fleets)
        }
        self._campaign = campaign
        self._also_known = also_known
        self._plain = {stage.name for stage in campaign.spec.stages}
        self._blocks = {
            stage.name: block for block in campaign.spec.rounds for stage in block.stages
        }

    def unit(self, place: _Place) -> Unit:
        stage = filled(place.stage, self._fleets)
        inputs: dict[str, tuple[Source, ...]] = {}
        for name, given in stage.inputs.items():
            path: PathKey = (*place.path, "inputs", name)
            if name not in place.stage.inputs:
                path = self._fleet_paths[stage.fleets[name]]
            if given.gather is not None:
                inputs[name] = self._gathered(given.gather, place, (*path, "gather"))
            else:
                inputs[name] = tuple(self._single(given, place, path))
        self._check_own_models(place, inputs)
        return Unit(
            name=place.unit_name(stage.name),
            stage=stage,
            round=place.round,
            path=place.path,
            inputs=inputs,
        )

    def _check_own_models(self, place: _Place, inputs: Mapping[str, tuple[Source, ...]]) -> None:
        """A stage that names a model itself must mean that of its fleet, if that has one."""
        for role, name in place.stage.fleets.items():
            if name not in self._fleets:
                continue
            own = own_models(place.stage, role)
            for part in own:
                if not self._is_model_of(name, part, role, place, inputs):
                    message = f"{role} is not the model that fleet {name!r} serves"
                    fix = f"take it out: what the stage reads as {role!r} is the fleet's model"
                    self._report((*place.path, part, role), message, fix)
            if not own and self._fleets[name].model is None:
                message = f"fleet {name!r} has no model of its own, and this stage names no {role}"
                fix = f"write inputs.{role} or params.{role}, or the fleet's model"
                self._report((*place.path, "fleets", role), message, fix)

    def _is_model_of(
        self,
        fleet: str,
        part: str,
        role: str,
        place: _Place,
        inputs: Mapping[str, tuple[Source, ...]],
    ) -> bool:
        model = self._fleets[fleet].model
        if part == "inputs" and place.stage.inputs[role].gather is not None:
            return False
        if model is None:
            return True
        if part == "inputs" and model.stage is not None:
            meant = self._single(_input_of(model), place, self._fleet_paths[fleet])
            return _places_of(inputs[role]) == _places_of(meant)
        return part == "params" and place.stage.params[role] == model.name

    def _single(self, given: Input, place: _Place, path: PathKey) -> Iterator[Source]:
        if given.carry is not None:
            yield from self._carried(given.carry, place, path)
        elif given.stage is not None:
            selection = Selection(stage=given.stage, where=given.where)
            units, where = self._lookup(selection, place, path)
            for unit in units[-1:]:  # of several rounds the last one
                yield Source(unit=unit, where=where, path=path)

    def _gathered(
        self, selections: Sequence[Selection], place: _Place, path: PathKey
    ) -> tuple[Source, ...]:
        found: list[Source] = []
        for i, selection in enumerate(selections):
            units, where = self._lookup(selection, place, (*path, i))
            found += [Source(unit=unit, where=where, path=(*path, i)) for unit in units]
        return tuple(found)

    def _carried(self, name: str, place: _Place, path: PathKey) -> Iterator[Source]:
        if place.block is None:
            self._report(path, "carry is known inside of spec.rounds only", "name a stage instead")
            return
        carry = place.block.carry.get(name)
        if carry is None:
            known = place.block.carry
            self._report(path, f"unknown carry {name!r}", did_you_mean(name, known))
            return
        inner = {stage.name for stage in place.block.stages}
        carry_path = (*place.block_path, "carry", name)
        if carry.next not in inner:
            if normal(carry.next) not in self._also_known:
                message = f"next is {carry.next!r}, which is no stage of these rounds"
                self._report((*carry_path, "next"), message, did_you_mean(carry.next, inner))
        elif place.round is not None and place.round > 1:
            yield Source(unit=f"{carry.next}@{place.round - 1}", where={}, path=path)
            return
        yield from self._start(carry.start, place, (*carry_path, "start"))

    def _start(self, start: Selection, place: _Place, path: PathKey) -> Iterator[Source]:
        if self._blocks.get(start.stage.partition("@")[0]) is place.block:
            message = f"start is {start.stage!r}, which these rounds make themselves"
            self._report(path, message, "start from a stage outside of the rounds")
            return
        units, where = self._lookup(start, place.outside(), path)
        for unit in units[-1:]:
            yield Source(unit=unit, where=where, path=path)

    def _lookup(
        self, selection: Selection, place: _Place, path: PathKey
    ) -> tuple[Sequence[str], Mapping[str, Coordinate]]:
        """The units a name stands for at this place, and what `where` still has to pin."""
        name, at, number = selection.stage.partition("@")
        block = self._blocks.get(name)
        if block is None:
            return self._plain_stage(selection, path), selection.where
        where = {axis: value for axis, value in selection.where.items() if axis != ROUND}
        if not at and ROUND not in selection.where:
            if block is place.block:
                return [f"{name}@{place.round}"], where
            return [f"{name}@{k}" for k in range(1, block.count + 1)], where
        wanted = number if at else str(selection.where[ROUND])
        if wanted not in {str(k) for k in range(1, block.count + 1)}:
            self._report(path, f"{name!r} has no round {wanted!r}; it has 1 to {block.count}")
            return [], where
        return [f"{name}@{wanted}"], where

    def _plain_stage(self, selection: Selection, path: PathKey) -> Sequence[str]:
        name = selection.stage
        if name in self._plain:
            return [name]
        base, at, _ = name.partition("@")
        if normal(base) in self._also_known:
            return []
        if at and base in self._plain:
            self._report(path, f"stage {base!r} is not in rounds", f"write {base!r}")
            return []
        known = [*self._plain, *self._blocks]
        self._report(path, f"unknown stage {name!r}", did_you_mean(base, known))
        return []

    def _report(self, path: PathKey, message: str, suggestion: str = "") -> None:
        self.problems.append(self._campaign.problem(path, message, suggestion))


def _input_of(model: FleetModel) -> Input:
    return Input(stage=model.stage, where=model.where)


def _places_of(sources: Iterable[Source]) -> list[tuple[object, ...]]:
    """Equal for sources that are surely the same artifacts."""
    return [
        (one.unit, {axis: (type(value) is bool, value) for axis, value in one.where.items()})
        for one in sources
    ]


def normal(name: str) -> str:
    """What a stage was probably meant to be called."""
    return name.lower().replace("_", "-")
