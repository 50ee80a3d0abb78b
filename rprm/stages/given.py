"""Which model does a stage use: the artifact given to it, or the one that a param names?"""

from __future__ import annotations

from dataclasses import dataclass

from rprm.errors import BadInput
from rprm.fetching import fetch_model, is_remote
from rprm.models import locate_model
from rprm.stages.io import StageIO
from rprm.stages.params import EngineSizes


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    folder: str
    """On this machine; of a Hub model that a server runs, without its weights."""
    name: str
    """Goes into rows; without a path of this machine in it."""


def given_model(
    io: StageIO, param: str | None, engine: EngineSizes, *, role: str = "model"
) -> Given:
    """The input called `role`, or the param of that name: a folder, builtin:NAME, or a Hub id."""
    inputs = io.artifacts(role)
    if bool(inputs) == (param is not None):
        raise BadInput(
            f"stage {io.stage}: {'two models are' if inputs else 'no model is'} given as {role!r}.",
            fix=f"give inputs.{role} (a training stage) or params.{role} (a folder, builtin:NAME "
            "or a Hub id), not both",
        )
    if param is None:
        artifact = io.artifact(role)
        return Given(folder=str(artifact.path("model")), name=artifact.address)
    return named_model(param, engine)


def named_model(name: str, engine: EngineSizes) -> Given:
    """Fetched where it is on the Hub: all of it, or what the client of a server needs."""
    located = locate_model(name)
    if not is_remote(located):
        return Given(folder=located, name=name)
    return Given(folder=str(fetch_model(located, weights=engine.url is None)), name=name)
