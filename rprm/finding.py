"""Which model does a person mean?

builtin:chain_base                  shipped with the package
models/r-prm or /any/folder         local, in Hugging Face format
sft, sft-3f9a…                      a store's newest sealed model of that stage; or this one
…/artifacts/sft-3f9a…               an artifact, by the path or url of its store
…/checkpoints/0000000200            one training checkpoint of it, also as file:// or s3:// uri
models:/r-prm@champion              what a promote stage chose
org/name@revision                   Hugging Face Hub, fetched
"""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from rprm.errors import BadInput
from rprm.fetching import fetch_model, is_remote
from rprm.models import BUILTIN, builtin_names, is_small_world, locate_model
from rprm.sealed import DEFAULT_STORE, Location, Sealed, location_of
from rprm.stored import ModelStore

REGISTERED = "models:/"
DEFAULT_TRACKING = ".rprm/mlflow.db"

_REGISTERED = re.compile(r"models:/(?P<name>[^@/]+)(?:@(?P<alias>[^@/]+)|/(?P<version>\d+))")


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundModel:
    name: str
    """As it may be shown and kept: what was asked for, or the address it led to."""
    folder: Path
    template: str | None = None
    """The prompt template it was trained with, where its artifact says so."""
    note: str = ""
    """Why it was this one, where the name left a choice."""


def find_model(name: str, *, store: str | None = None) -> FoundModel:
    """A model folder on this machine.  Raises BadInput that says what could be meant."""
    if not name.strip():
        raise BadInput("The model's name is empty.", fix=choices(store))
    if name.startswith(BUILTIN):
        return FoundModel(name=name, folder=Path(locate_model(name)))
    if name.startswith(REGISTERED):
        return _registered(name, store)
    if "://" not in name and (Path(name) / "config.json").is_file():
        return FoundModel(name=name, folder=Path(name))
    if location := location_of(name):
        here = store if store and location.root == "." else location.root
        return _stored(ModelStore(here), location)
    if name.startswith("file://"):
        return find_model(unquote(urlsplit(name).path), store=store)
    if name.startswith("hf://"):
        return _from_hub(name)
    if "://" in name:
        raise BadInput(
            f"{name} is not a place of a model in a store.",
            fix="write it as STORE/artifacts/ADDRESS or STORE/artifacts/ADDRESS/checkpoints/STEP",
        )
    return _by_path_or_stage(name, store)


def template_for(model: FoundModel) -> str:
    """The prompt template to judge with, unless a person names another."""
    return model.template or ("chain" if is_small_world(model.folder) else "rprm")


def _by_path_or_stage(name: str, store: str | None) -> FoundModel:
    for part in ("weights", "files/model", "model"):
        if (Path(name) / part / "config.json").is_file():
            return FoundModel(name=name, folder=Path(name) / part)
    if not Path(name).exists():
        if chosen := _matching(name, _models_in(store)):
            return _newest(name, chosen, store)
        if is_remote(name):
            return _from_hub(name)
    raise _unknown(name, store)


def _matching(name: str, models: list[Sealed]) -> list[Sealed]:
    """Those of the stage or address; else those whose address begins so."""
    exact = [one for one in models if name in (one.address, one.stage)]
    partial = "-" in name and [one for one in models if one.address.startswith(name)]
    return exact or partial or []


def _newest(name: str, chosen: list[Sealed], store: str | None) -> FoundModel:
    view, first = ModelStore(store or DEFAULT_STORE), chosen[0]
    found = _stored(view, Location(root=view.url, address=first.address, inside=""))
    others = ", ".join(one.address for one in chosen[1:4])
    note = f"the newest of {len(chosen)}; also {others}" if others else ""
    return replace(found, note=note)


def _stored(store: ModelStore, location: Location) -> FoundModel:
    weights = store.weights(location)
    name = "/".join(filter(None, [location.address, location.inside]))
    if not (weights.folder / "config.json").is_file():
        raise BadInput(
            f"{store.url}/artifacts/{name} holds no model.",
            fix="name the artifact of a training stage, such as sft-…, or one of its checkpoints",
        )
    return FoundModel(name=name, folder=weights.folder, template=weights.template)


def _registered(name: str, store: str | None) -> FoundModel:
    """A store that is named explicitly decides; then MLflow where it is configured; then what a
    campaign in this folder left."""
    asked = _REGISTERED.fullmatch(name)
    if asked is None:
        raise BadInput(
            f"{name!r} names no registered model.",
            fix="write models:/NAME@champion or models:/NAME/VERSION",
        )
    tracked = os.environ.get("MLFLOW_TRACKING_URI")
    ledger = store or (DEFAULT_STORE if Path(DEFAULT_STORE).is_dir() and not tracked else None)
    if ledger is not None and asked["alias"] == "champion":
        view = ModelStore(ledger)
        if decision := view.champion(asked["name"]):
            return _at_checkpoint(str(decision.get("checkpoint")), view, note=f"{name} of {ledger}")
    if tracked is None and Path(DEFAULT_TRACKING).is_file():
        tracked = f"sqlite:///{DEFAULT_TRACKING}"
    if tracked is None:
        raise BadInput(
            f"no registry knows {name}: there is no decision in {ledger or DEFAULT_STORE}.",
            fix="run a campaign with a promote stage, give --store, or set MLFLOW_TRACKING_URI",
        )
    uri = _checkpoint_in_mlflow(name, asked, tracked)
    return _at_checkpoint(
        uri, ModelStore(ledger) if ledger else None, note=f"{name} of {_shown(tracked)}"
    )


def _at_checkpoint(uri: str, store: ModelStore | None, *, note: str) -> FoundModel:
    """In the store at hand if it is there: a store may have moved since the uri was written."""
    location = location_of(uri)
    if location is None:
        raise BadInput(f"{note} is {uri}, which is no place in a store.", fix="promote it again")
    try:
        found = _stored(store or ModelStore(location.root), location)
    except BadInput:
        if store is None:
            raise
        found = _stored(ModelStore(location.root), location)
    return replace(found, note=note)


def _checkpoint_in_mlflow(name: str, asked: re.Match[str], tracking: str) -> str:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client: Any = MlflowClient(tracking_uri=tracking)
    try:
        if asked["alias"]:
            version = client.get_model_version_by_alias(asked["name"], asked["alias"])
        else:
            version = client.get_model_version(asked["name"], asked["version"])
    except MlflowException as error:
        line = (str(error).splitlines() or ["no answer"])[0]
        raise BadInput(
            f"MLflow at {_shown(tracking)} does not give {name}: {line[:300]}",
            fix="check the name, the alias and MLFLOW_TRACKING_URI",
        ) from error
    uri = version.tags.get("rprm.checkpoint")
    if not uri:
        raise BadInput(
            f"{name} was not registered by a promote stage: it has no tag rprm.checkpoint.",
            fix="name the model's folder instead",
        )
    return str(uri)


def _shown(uri: str) -> str:
    """Without a user's name and password."""
    return re.sub(r"//[^/@]*@", "//", uri)


def _from_hub(name: str) -> FoundModel:
    return FoundModel(name=name, folder=fetch_model(name))


def _models_in(store: str | None) -> list[Sealed]:
    """A default store that is not there holds nothing; one that was asked for is an error."""
    if store is None and not Path(DEFAULT_STORE).is_dir():
        return []
    return ModelStore(store or DEFAULT_STORE).models()


def _unknown(name: str, store: str | None) -> BadInput:
    path = Path(name)
    if path.is_dir():
        what = f"{name} holds no model: there is no config.json in it."
        return BadInput(what, fix="give a folder made by save_pretrained")
    models = _models_in(store)
    known = {f"{BUILTIN}{short}" for short in builtin_names()} | {one.stage for one in models}
    if path.parent.is_dir():
        known |= {str(path.parent / entry.name) for entry in path.parent.iterdir()}
    near = difflib.get_close_matches(name, sorted(known), n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return BadInput(f"no model is called {name!r}.", fix=f"{hint}{choices(store)}")


def choices(store: str | None) -> str:
    """What --model could name here."""
    named = [f"{BUILTIN}{short}" for short in builtin_names()]
    named += list(dict.fromkeys(one.stage for one in _models_in(store)))
    here = f"here: {', '.join(named)}; else " if named else ""
    return f"{here}a folder, a Hub id, or an artifact's or checkpoint's place in a store"
