"""What exactly would each stage of a campaign run, and under which address?

Everything a plan needs that is not pure: stage classes are imported, params validated, outside
data digested.  The result is plain values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jobs.plan.fingerprint import address, fleet_digest, fleet_digest_name
from jobs.plan.graph import Graph, Node
from jobs.runtime.entrypoints import EntryPoint, effective_params, load
from jobs.spec.campaign import Fleet
from jobs.spec.errors import ConfigError, EntryPointError, did_you_mean
from jobs.spec.serving import CHAMPION
from jobs.store.layout import checkpoint_prefix

Champion = Callable[[str], str | None]
"""The uri of the checkpoint that is the champion of a model of the registry; None without one."""

_CHECKPOINT = re.compile(r"(?:.*/)?artifacts/(?P<address>[^/]+)/checkpoints/(?P<step>\d{1,18})/?")


@dataclass(frozen=True, kw_only=True, slots=True)
class InputRef:
    """One upstream artifact as a stage sees it."""

    address: str
    node: str
    stage: str
    coordinates: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class ArtifactModel:
    """A fleet's model that a stage of the campaign leaves as `model`."""

    address: str
    node: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedModel:
    """A fleet's model that a text names."""

    name: str
    """A folder, org/name@revision, or artifacts/ADDRESS/checkpoints/STEP of the store."""


ModelRef = ArtifactModel | NamedModel


@dataclass(frozen=True, kw_only=True, slots=True)
class ServedBy:
    """One fleet at work: of a swept model there is one for every instance of the model."""

    instance: str
    """The fleet's name and the model's coordinates, such as "judge" or "judge[rows=500]"; where the
    fleet has no model of its own, its caller's, such as "judge:sft[rows=500]"."""
    fleet: Fleet
    model: ModelRef


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolved:
    """A node with its class, its full params and its place in the store."""

    node: Node
    entry: EntryPoint
    params: Mapping[str, Any]
    digests: Mapping[str, str]
    inputs: Mapping[str, tuple[InputRef, ...]]
    address: str
    fleets: Mapping[str, ServedBy] = field(default_factory=dict)
    """By the role that the model has in the stage."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the nodes that must be sealed first."""
        return tuple(sorted({ref.node for refs in self.inputs.values() for ref in refs}))

    @property
    def over(self) -> str | None:
        """The input whose rows a map stage is sharded over."""
        if self.entry.kind != "map":
            return None
        return self.node.over


def fleet_instances(stages: Sequence[Resolved]) -> Mapping[str, ServedBy]:
    """Everything that the fleets of a campaign serve, in the order of their first callers."""
    return {served.instance: served for stage in stages for served in stage.fleets.values()}


def no_champion(model: str) -> None:
    """Where there is no registry to ask."""


def resolve(graph: Graph, *, champion: Champion = no_champion) -> list[Resolved]:
    """Resolve every node, upstream first.  Raises ConfigError with the problems of all stages."""
    resolved: dict[str, Resolved] = {}
    entries: dict[str, EntryPoint] = {}
    problems: list[str] = []
    for node in graph.nodes:
        try:
            entry = entries.setdefault(node.run, load(node.run))
            if all(name in resolved for names in node.inputs.values() for name in names):
                calls = _Calls(graph.fleets, node, champion)
                resolved[node.name] = _resolve_one(node, entry, resolved, calls)
        except Exception as error:
            if not hasattr(error, "exit_code"):  # a stage's own bug must keep its traceback
                raise
            problems += [f"stage {node.stage!r}: {line}" for line in str(error).splitlines()]
    problems += _same_addresses(list(resolved.values()))
    if problems:
        unique = list(dict.fromkeys(problems))
        raise ConfigError("\n".join(unique))
    return list(resolved.values())


def _same_addresses(stages: Sequence[Resolved]) -> list[str]:
    """Two points of a sweep that would make one artifact: the axis reaches no param."""
    first: dict[str, Resolved] = {}
    problems = []
    for stage in stages:
        twin = first.setdefault(stage.address, stage)
        if twin is not stage and twin.node.stage == stage.node.stage:
            problems.append(
                f"stage {stage.node.stage!r}: {twin.node.name} and {stage.node.name} are the same "
                "work. Fix: name a param of the stage as the axis, or use the axis as ${axis}"
            )
    return problems


class _Calls:
    """The fleets that one node calls, and what they mean for it."""

    def __init__(self, fleets: Mapping[str, Fleet], node: Node, champion: Champion) -> None:
        self._fleets = {role: fleets[name] for role, name in node.fleets.items()}
        self._champion = champion

    def check(self, entry: EntryPoint) -> None:
        """Raises EntryPointError where the stage would not know what to do with a fleet."""
        for role in self._fleets:
            if role not in entry.served_roles:
                known = entry.served_roles
                roles = f"it has {', '.join(known)}" if known else "it has none"
                raise EntryPointError(
                    f"fleets.{role}: {entry.run!r} has no model of that role that a fleet could "
                    f"run; {roles}.",
                    fix=did_you_mean(role, known) or f"remove fleets.{role}.",
                )

    def pinned(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Params with the checkpoint in place of the champion's name, which moves."""
        roles = (role for role in self._fleets if isinstance(params.get(role), str))
        return {**params, **{role: self._pin(params[role]) for role in roles}}

    def digests(self) -> dict[str, str]:
        return {fleet_digest_name(role): fleet_digest(one) for role, one in self._fleets.items()}

    def by_role(
        self, params: Mapping[str, Any], inputs: Mapping[str, Sequence[InputRef]]
    ) -> dict[str, ServedBy]:
        found = {}
        for role, fleet in self._fleets.items():
            model: ModelRef
            if role in inputs:
                (ref,) = inputs[role]
                model = ArtifactModel(address=ref.address, node=ref.node)
                name, coordinates = ref.node, ref.node.removeprefix(ref.stage)
            else:
                model = NamedModel(name=params[role])
                name, coordinates = model.name, ""
            instance = fleet.name + (f":{name}" if fleet.model is None else coordinates)
            found[role] = ServedBy(instance=instance, fleet=fleet, model=model)
        return found

    def _pin(self, name: str) -> str:
        registered = CHAMPION.fullmatch(name)
        if registered is None:
            return name
        uri = self._champion(registered["model"])
        if uri is None:
            raise ConfigError(
                f"the registry of this store has no champion of {registered['model']!r}.",
                fix="run a campaign with a promote stage on this store first, or name the fleet's "
                "model in another way",
            )
        found = _CHECKPOINT.fullmatch(uri)
        if found is None:
            raise ConfigError(f"{name} is {uri}, which is no checkpoint.", fix="promote it again")
        return checkpoint_prefix(found["address"], int(found["step"]))


def _resolve_one(
    node: Node, entry: EntryPoint, done: Mapping[str, Resolved], calls: _Calls
) -> Resolved:
    if node.kind is not None and node.kind != entry.kind:
        raise EntryPointError(
            f"kind is {node.kind!r}, but {node.run!r} is a {entry.kind!r} stage.",
            fix=f"write kind: {entry.kind}, or leave it out.",
        )
    calls.check(entry)
    params = calls.pinned(effective_params(node, entry))
    instance = entry.make(params)
    digests = dict(instance.digests()) if hasattr(instance, "digests") else {}
    digests |= calls.digests()
    inputs = {
        name: tuple(_ref(done[upstream], gathered=name in node.gathered) for upstream in names)
        for name, names in node.inputs.items()
    }
    return Resolved(
        node=node,
        entry=entry,
        params=params,
        digests=digests,
        inputs=inputs,
        address=address(
            node=node.of_kind(entry.kind),
            version=entry.version,
            params={name: value for name, value in params.items() if name not in entry.pace},
            inputs={name: [_identity(ref) for ref in refs] for name, refs in inputs.items()},
            digests=digests,
        ),
        fleets=calls.by_role(params, inputs),
    )


def _ref(upstream: Resolved, *, gathered: bool) -> InputRef:
    """Coordinates are told only to stages that gather: others must not depend on them, or an
    artifact could not be reused at another place of another campaign."""
    return InputRef(
        address=upstream.address,
        node=upstream.node.name,
        stage=upstream.node.stage,
        coordinates=upstream.node.coordinates if gathered else {},
    )


def _identity(ref: InputRef) -> str:
    if not ref.coordinates:
        return ref.address
    return f"{ref.address} {ref.stage} {json.dumps(dict(ref.coordinates), sort_keys=True)}"
