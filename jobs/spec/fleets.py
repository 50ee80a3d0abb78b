"""Which model does a stage read because it calls a fleet, and do calls and fleets fit together?

A stage that calls a fleet for a role, and names no model of that role, reads the fleet's: as if its
author had written it there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from jobs.spec.campaign import Campaign, Fleet, Input, Stage
from jobs.spec.errors import PathKey, Problem, did_you_mean

_OF_REPLICAS = {
    "engine": "engine",
    "min_replicas": "minReplicas",
    "max_replicas": "maxReplicas",
    "resources": "resources",
    "idle_timeout_s": "idleTimeout",
    "start_deadline_s": "startDeadline",
    "drain_deadline_s": "drainDeadline",
}
"""What is said of replicas that we start ourselves."""


def filled(stage: Stage, fleets: Mapping[str, Fleet]) -> Stage:
    """The stage with the models of the fleets that it calls."""
    inputs, params = dict(stage.inputs), dict(stage.params)
    for role, name in stage.fleets.items():
        model = fleets[name].model if name in fleets else None
        if model is None or own_models(stage, role):
            continue
        if model.stage is not None:
            inputs[role] = Input(stage=model.stage, where=model.where)
        else:
            params[role] = model.name
    if (inputs, params) == (stage.inputs, stage.params):
        return stage
    return stage.model_copy(update={"inputs": inputs, "params": params})


def own_models(stage: Stage, role: str) -> list[str]:
    """In which parts of the stage itself a model of that role is named."""
    named = {
        "inputs": role in stage.inputs,
        "params": stage.params.get(role) is not None,
        "sweep": role in stage.sweep,
    }
    return [part for part, is_there in named.items() if is_there]


def call_problems(campaign: Campaign, stages: list[tuple[PathKey, Stage]]) -> Iterator[Problem]:
    """Calls of fleets that are not there, and fleets that nobody calls."""
    known = [fleet.name for fleet in campaign.spec.fleets]
    called = set()
    for path, stage in stages:
        for role, name in stage.fleets.items():
            called.add(name)
            if name not in known:
                fix = did_you_mean(name, known) or "declare it under spec.fleets"
                yield campaign.problem((*path, "fleets", role), f"unknown fleet {name!r}", fix)
    for i, fleet in enumerate(campaign.spec.fleets):
        if fleet.name not in called:
            fix = f"write fleets: {{model: {fleet.name}}} in the stage whose model it runs"
            path = ("spec", "fleets", i, "name")
            yield campaign.problem(path, f"no stage calls fleet {fleet.name!r}", fix)


def fleet_problems(campaign: Campaign) -> Iterator[Problem]:
    """What each fleet says of itself."""
    for i, fleet in enumerate(campaign.spec.fleets):
        path: PathKey = ("spec", "fleets", i)
        if fleet.url is not None:
            for name, key in _OF_REPLICAS.items():
                if name in fleet.model_fields_set:
                    message = f"{key} belongs to fleets that are started here; this one has a url"
                    yield campaign.problem((*path, key), message, "remove it, or the url")
        elif fleet.key_env is not None:
            message = "keyEnv belongs to fleets with a url; replicas started here ask for no key"
            yield campaign.problem((*path, "keyEnv"), message, "remove it")
        if fleet.min_replicas > fleet.max_replicas:
            message = f"minReplicas {fleet.min_replicas} > maxReplicas {fleet.max_replicas}"
            yield campaign.problem((*path, "minReplicas"), message, "raise maxReplicas")
