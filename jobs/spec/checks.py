"""Do the stages of a campaign fit together?  Everything a shape cannot say, all at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from jobs.spec.axes import Axes, AxisTable, order
from jobs.spec.campaign import Campaign, Stage
from jobs.spec.errors import PathKey, Problem, did_you_mean
from jobs.spec.fleets import call_problems, fleet_problems
from jobs.spec.wiring import Unit, wire

MAX_UNITS = 10_000
"""Stages times rounds; more is a slip of the keyboard in a count."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """A campaign whose parts fit: units with their axes, every input before its readers."""

    units: tuple[Unit, ...]
    axes: dict[str, Axes]


def lay_out(
    campaign: Campaign,
    *,
    also_known: frozenset[str] = frozenset(),
    with_axes: bool = True,
    with_calls: bool = True,
) -> tuple[Layout, list[Problem]]:
    """Resolve names and axes.  The layout is usable only if there are no problems.

    After a broken shape `also_known`, `with_axes` and `with_calls` (of fleets) leave out what would
    only repeat it."""
    num_units = sum(len(block.stages) * block.count for block in campaign.spec.rounds)
    if num_units > MAX_UNITS:
        message = f"the rounds expand to {num_units} stages, more than {MAX_UNITS}"
        return Layout(units=(), axes={}), [campaign.problem(("spec", "rounds"), message)]
    wiring = wire(campaign, also_known=also_known, with_fleets=with_axes)
    problems = [*_stage_problems(campaign), *fleet_problems(campaign), *wiring.problems]
    if with_calls:
        problems += call_problems(campaign, list(_declared(campaign)))
    if with_axes:
        problems += [
            found
            for path, stage in _declared(campaign)
            for found in _over_problems(campaign, path, stage)
        ]
    ordered, cycles = order(wiring.units)
    problems += _cycle_problems(campaign, cycles, wiring.units)
    table = AxisTable(campaign)
    if with_axes:
        for unit in ordered:
            table.add(unit)
    problems += table.problems
    return Layout(units=tuple(ordered), axes=dict(table.of)), list(dict.fromkeys(problems))


def _cycle_problems(
    campaign: Campaign, cycles: list[list[str]], units: Mapping[str, Unit]
) -> Iterator[Problem]:
    for cycle in cycles:
        text = " → ".join(name.partition("@")[0] for name in cycle)
        message = f"stages wait for each other: {text}"
        yield campaign.problem((*units[cycle[0]].path, "inputs"), message, "break the cycle")


def _stage_problems(campaign: Campaign) -> Iterator[Problem]:
    seen: dict[str, PathKey] = {}
    declared = list(_declared(campaign))
    if not declared:
        yield campaign.problem(("spec",), "no stages", "add at least one under spec.stages")
    for path, stage in declared:
        if stage.name in seen:
            first = campaign.problem(seen[stage.name], "").line
            message = f"duplicate stage name {stage.name!r}, first used on line {first}"
            yield campaign.problem((*path, "name"), message, "rename one of them")
        seen.setdefault(stage.name, (*path, "name"))
        yield from _sharding_problems(campaign, path, stage)
    yield from _duplicates(campaign, "rounds", [block.name for block in campaign.spec.rounds])
    yield from _duplicates(campaign, "fleets", [fleet.name for fleet in campaign.spec.fleets])


def _duplicates(campaign: Campaign, part: str, names: list[str]) -> Iterator[Problem]:
    for i, name in enumerate(names):
        if name in names[:i]:
            path: PathKey = ("spec", part, i, "name")
            yield campaign.problem(path, f"duplicate name {name!r}", "rename one of them")


def _declared(campaign: Campaign) -> Iterator[tuple[PathKey, Stage]]:
    for i, stage in enumerate(campaign.spec.stages):
        yield ("spec", "stages", i), stage
    for b, block in enumerate(campaign.spec.rounds):
        for i, stage in enumerate(block.stages):
            yield ("spec", "rounds", b, "stages", i), stage


def _sharding_problems(campaign: Campaign, path: PathKey, stage: Stage) -> Iterator[Problem]:
    if stage.shards is not None and stage.rows_per_shard is not None:
        yield campaign.problem(
            (*path, "rowsPerShard"), "shards and rowsPerShard exclude each other", "keep one"
        )
    if stage.kind in {"gang", "single"}:
        for key, value in (
            ("over", stage.over),
            ("shards", stage.shards),
            ("rowsPerShard", stage.rows_per_shard),
        ):
            if value is not None:
                message = f"{key} belongs to map stages; this one is {stage.kind}"
                yield campaign.problem((*path, key), message, "remove it or write kind: map")
    if stage.kind in {"map", "single"}:
        for name, alias in (("nodes", "nodes"), ("processes_per_node", "processesPerNode")):
            if getattr(stage.resources, name) > 1:
                message = f"{alias} belongs to gang stages; this one is {stage.kind}"
                yield campaign.problem((*path, "resources", alias), message)


def _over_problems(campaign: Campaign, path: PathKey, stage: Stage) -> Iterator[Problem]:
    if stage.over is None:
        return
    given = stage.inputs.get(stage.over)
    plain = [name for name, one in stage.inputs.items() if one.gather is None]
    if given is None:
        message = f"over names {stage.over!r}, which is no input of this stage"
        yield campaign.problem((*path, "over"), message, did_you_mean(stage.over, plain))
    elif given.gather is not None:
        message = f"over names {stage.over!r}, which is a gathered list of artifacts"
        yield campaign.problem((*path, "over"), message, "shard over a plain input")
