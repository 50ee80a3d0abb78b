"""What exactly would each stage of a campaign run, and under which address?

Everything a plan needs that is not pure: stage classes are imported, params validated, outside
data digested.  The result is plain values.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.plan.fingerprint import address
from jobs.plan.graph import Graph, Node
from jobs.runtime.entrypoints import EntryPoint, effective_params, load
from jobs.spec.errors import ConfigError, EntryPointError


@dataclass(frozen=True, kw_only=True, slots=True)
class InputRef:
    """One upstream artifact as a stage sees it."""

    address: str
    node: str
    stage: str
    coordinates: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolved:
    """A node with its class, its full params and its place in the store."""

    node: Node
    entry: EntryPoint
    params: Mapping[str, Any]
    digests: Mapping[str, str]
    inputs: Mapping[str, tuple[InputRef, ...]]
    address: str

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


def resolve(graph: Graph) -> list[Resolved]:
    """Resolve every node, upstream first.  Raises ConfigError with the problems of all stages."""
    resolved: dict[str, Resolved] = {}
    entries: dict[str, EntryPoint] = {}
    problems: list[str] = []
    for node in graph.nodes:
        try:
            entry = entries.setdefault(node.run, load(node.run))
            if all(name in resolved for names in node.inputs.values() for name in names):
                resolved[node.name] = _resolve_one(node, entry, resolved)
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


def _resolve_one(node: Node, entry: EntryPoint, done: Mapping[str, Resolved]) -> Resolved:
    if node.kind is not None and node.kind != entry.kind:
        raise EntryPointError(
            f"kind is {node.kind!r}, but {node.run!r} is a {entry.kind!r} stage.",
            fix=f"write kind: {entry.kind}, or leave it out.",
        )
    params = effective_params(node, entry)
    instance = entry.make(params)
    digests = dict(instance.digests()) if hasattr(instance, "digests") else {}
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
