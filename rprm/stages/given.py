"""Which model does a stage use, and where does it run?

It is the artifact given to the stage, or what a param names.  It runs behind a fleet where the
campaign says so, behind the url of the stage's engine, or in this process.
"""

from __future__ import annotations

from dataclasses import dataclass

from rprm.engines.base import Engine
from rprm.errors import BadInput
from rprm.fetching import fetch_model, is_remote
from rprm.models import locate_model
from rprm.stages.io import ServedModel, StageIO
from rprm.stages.params import EngineSizes


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    folder: str
    """On this machine; of a Hub model that a server runs, without its weights."""
    name: str
    """Goes into rows; without a path of this machine in it."""
    engine: EngineSizes
    """Where it runs."""


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
    served = io.served(role)
    where = engine if served is None else _behind(served, engine, stage=io.stage, role=role)
    if param is None:
        artifact = io.artifact(role)
        return Given(folder=str(artifact.path("model")), name=artifact.address, engine=where)
    source = param if served is None else served.model
    return Given(folder=_folder(source, weights=where.url is None), name=param, engine=where)


def make_engine_of(model: Given, *, threads: int) -> Engine:
    from rprm.engines.factory import make_engine

    return make_engine(model.folder, threads=threads, **model.engine.model_dump())


def _behind(served: ServedModel, engine: EngineSizes, *, stage: str, role: str) -> EngineSizes:
    if engine.url is not None:
        raise BadInput(
            f"stage {stage}: a fleet runs its {role!r}, and its engine has a url too.",
            fix=f"remove the engine's url, or fleets.{role}",
        )
    return EngineSizes(url=served.url, key_env=served.key_env)


def _folder(name: str, *, weights: bool) -> str:
    """Fetched where it is on the Hub: all of it, or what the client of a server needs."""
    located = locate_model(name)
    return str(fetch_model(located, weights=weights)) if is_remote(located) else located
