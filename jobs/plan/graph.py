"""Which stages will run?  Rounds first, then sweeps, until every node has all its coordinates."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from jobs.plan.retry import RetryPolicy
from jobs.spec.axes import Axes, coordinate_text, identity
from jobs.spec.campaign import Campaign, Coordinate, Defaults, Fleet, Kind
from jobs.spec.checks import Layout, lay_out
from jobs.spec.errors import CampaignError, Problem, did_you_mean
from jobs.spec.resources import Resources, overlay
from jobs.spec.wiring import ROUND, Source, Unit

MAX_NODES = 10_000
"""More stages than this are a mistake in a sweep far more often than a wish."""

MAX_EDGES = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """One stage at one point of the campaign's sweeps and rounds."""

    name: str
    """Such as "sft[rows=2000,seed=1]" or "dpo@2[seed=1]"."""
    stage: str
    """The declared name."""
    run: str
    kind: Kind | None
    """None: the class knows."""
    params: Mapping[str, Any]
    """As declared, with coordinates put in; own sweep axes are applied by who knows the class."""
    inputs: Mapping[str, tuple[str, ...]]
    """Node names by input name."""
    gathered: frozenset[str]
    """Inputs that are lists, however many nodes they have."""
    over: str | None
    """The input whose rows are sharded, should this be a map stage."""
    shards: int | None
    rows_per_shard: int | None
    coordinates: Mapping[str, Coordinate]
    """Every axis of the node, and its round."""
    own_axes: tuple[str, ...]
    """Axes of its own sweep: each overrides the param of that name where the class has one."""
    resources: Resources
    retries: RetryPolicy
    error_budget: float
    timeout_s: float
    fleets: Mapping[str, str] = field(default_factory=dict)
    """Role of a model to the declared name of the fleet that runs it; the model itself stands in
    `inputs` or `params` under the role's name."""

    @property
    def needs(self) -> tuple[str, ...]:
        """All upstream nodes, each once."""
        return tuple(dict.fromkeys(itertools.chain.from_iterable(self.inputs.values())))

    def of_kind(self, kind: Kind) -> Node:
        """The node once its class was asked: only map stages have rows to cut."""
        return replace(self, kind=kind) if kind == "map" else replace(self, kind=kind, over=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Graph:
    """Nodes with every input before its readers, else as declared."""

    nodes: tuple[Node, ...]
    fleets: Mapping[str, Fleet] = field(default_factory=dict)
    """By declared name."""

    def node(self, name: str) -> Node:
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(did_you_mean(name, [node.name for node in self.nodes]) or name)


def expand(campaign: Campaign) -> Graph:
    """Raises CampaignError when the stages do not fit together or are far too many."""
    layout, problems = lay_out(campaign)
    problems = problems or list(_size_problems(campaign, layout))
    if problems:
        raise CampaignError(problems)
    expansion = _Expansion(campaign.spec.defaults, layout)
    return Graph(
        nodes=tuple(node for unit in layout.units for node in expansion.nodes_of(unit)),
        fleets={fleet.name: fleet for fleet in campaign.spec.fleets},
    )


def _size_problems(campaign: Campaign, layout: Layout) -> Iterator[Problem]:
    sizes = {name: math.prod(map(len, axes.values())) for name, axes in layout.axes.items()}
    total = sum(sizes.values())
    if total > MAX_NODES:
        largest = max(layout.units, key=lambda unit: sizes[unit.name])
        message = (
            f"the campaign expands to {total} stages, more than {MAX_NODES}; "
            f"{largest.name!r} alone makes {sizes[largest.name]}"
        )
        yield campaign.problem(largest.path, message, "sweep over fewer values")
        return
    for unit in layout.units:
        read = sum(sizes[source.unit] for source in unit.sources) * sizes[unit.name]
        if read > MAX_EDGES:
            message = f"reads {read} artifacts in all, more than {MAX_EDGES}"
            yield campaign.problem(unit.path, message, "gather fewer stages, or pin with where")


class _Expansion:
    """Makes nodes unit by unit, and finds those of earlier units by their coordinates."""

    def __init__(self, defaults: Defaults, layout: Layout) -> None:
        self._defaults = defaults
        self._axes = layout.axes
        self._names: dict[str, dict[tuple[object, ...], str]] = {}

    def nodes_of(self, unit: Unit) -> Iterator[Node]:
        axes = self._axes[unit.name]
        gathered = {
            name: tuple(node for source in unit.inputs[name] for node in self._gather(source))
            for name, given in unit.stage.inputs.items()
            if given.gather is not None
        }
        names = self._names.setdefault(unit.name, {})
        for values in itertools.product(*axes.values()):
            point = dict(zip(axes, values, strict=True))
            node = self._node(unit, point, gathered)
            names[_key(point, axes)] = node.name
            yield node

    def _gather(self, source: Source) -> Iterator[str]:
        axes = self._axes[source.unit]
        pinned = {axis: (value,) for axis, value in source.where.items()}
        for values in itertools.product(*(pinned.get(axis, axes[axis]) for axis in axes)):
            yield self._names[source.unit][_key(dict(zip(axes, values, strict=True)), axes)]

    def _read(self, source: Source, point: Mapping[str, Coordinate]) -> str:
        """The instance that agrees with `point`, where `where` does not pin another."""
        return self._names[source.unit][_key({**point, **source.where}, self._axes[source.unit])]

    def _node(
        self,
        unit: Unit,
        point: Mapping[str, Coordinate],
        gathered: Mapping[str, tuple[str, ...]],
    ) -> Node:
        stage, defaults = unit.stage, self._defaults
        coordinates = {**point, ROUND: unit.round} if unit.round is not None else dict(point)
        retries = overlay(defaults.retries, stage.retries)
        budget, timeout_s = stage.error_budget, stage.timeout_s
        return Node(
            name=_name(unit.name, point),
            stage=stage.name,
            run=stage.run,
            kind=stage.kind,
            params={key: _filled(value, coordinates) for key, value in stage.params.items()},
            inputs={
                name: gathered[name]
                if name in gathered
                else tuple(self._read(source, point) for source in sources)
                for name, sources in unit.inputs.items()
            },
            gathered=frozenset(gathered),
            over=_over(unit, gathered),
            shards=stage.shards,
            rows_per_shard=stage.rows_per_shard,
            coordinates=coordinates,
            own_axes=tuple(stage.sweep),
            resources=overlay(defaults.resources, stage.resources),
            retries=RetryPolicy(
                failed=retries.failed, preempted=retries.preempted, backoff_s=retries.backoff_s
            ),
            error_budget=defaults.error_budget if budget is None else budget,
            timeout_s=defaults.timeout_s if timeout_s is None else timeout_s,
            fleets=stage.fleets,
        )


def _over(unit: Unit, gathered: Mapping[str, tuple[str, ...]]) -> str | None:
    if unit.stage.kind in {"gang", "single"}:
        return None
    plain = (name for name in unit.stage.inputs if name not in gathered)
    return unit.stage.over or next(plain, None)


def _key(point: Mapping[str, Coordinate], axes: Axes) -> tuple[object, ...]:
    return tuple(identity(point[axis]) for axis in axes)


def _name(unit: str, point: Mapping[str, Coordinate]) -> str:
    if not point:
        return unit
    return f"{unit}[{','.join(f'{axis}={coordinate_text(v)}' for axis, v in point.items())}]"


def _filled(value: Any, coordinates: Mapping[str, Coordinate]) -> Any:
    """Put coordinates, with their type, in place of "${axis}"."""
    if isinstance(value, dict):
        return {key: _filled(inner, coordinates) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, coordinates) for inner in value]
    if isinstance(value, str) and value.startswith("${") and value.endswith("}"):
        return coordinates.get(value[2:-1], value)
    return value
