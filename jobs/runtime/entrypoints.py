"""Which class does a stage's `run: module:Class` name, and do its params fit?"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import pydantic

from jobs.plan.graph import Node
from jobs.spec.errors import EntryPointError

Kind = Literal["map", "gang", "single"]


@dataclass(frozen=True, kw_only=True, slots=True)
class EntryPoint:
    """A stage class, as far as the job system looks at it."""

    run: str
    cls: type[Any]
    kind: Kind
    version: str
    preload: tuple[str, ...]
    pace: tuple[str, ...] = ()
    """Params that change how fast, never what: they stay out of the address."""
    served_roles: tuple[str, ...] = ()
    """Roles of models that a fleet may run for the stage."""

    def params(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Validated params with defaults filled in, as JSON values.  Raises EntryPointError with
        every problem."""
        model = cast(type[pydantic.BaseModel], self.cls.Params)
        try:
            return model.model_validate(dict(raw)).model_dump(mode="json", by_alias=True)
        except pydantic.ValidationError as error:
            known = [field.alias or name for name, field in model.model_fields.items()]
            raise EntryPointError("\n".join(_sentences(error, known))) from None

    def make(self, params: Mapping[str, Any]) -> Any:
        """An instance of the stage for these params."""
        model = cast(type[pydantic.BaseModel], self.cls.Params)
        return self.cls(model.model_validate(dict(params)))


def load(run: str) -> EntryPoint:
    """Import the class.  Raises EntryPointError that says what is missing and what was near."""
    module_name, _, class_name = run.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # a campaign may name a stage of the project it stands in
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise EntryPointError(
            f"cannot import {module_name!r}: {error}.",
            fix="check the spelling of `run`, and that the package is installed here.",
        ) from error
    cls = getattr(module, class_name, None)
    if cls is None:
        classes = [name for name, value in vars(module).items() if isinstance(value, type)]
        near = difflib.get_close_matches(class_name, classes, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "check the spelling of `run`."
        raise EntryPointError(f"{module_name!r} has no class {class_name!r}.", fix=hint)
    missing = [name for name in ("Params", "kind", "version", "run") if not hasattr(cls, name)]
    if missing:
        raise EntryPointError(
            f"{run!r} is not a stage: it lacks {', '.join(missing)}.",
            fix="a stage class has kind, version, Params and run; see CONTRIBUTING.",
        )
    pace = tuple(getattr(cls, "pace", ()))
    if unknown := [name for name in pace if name not in cls.Params.model_fields]:
        raise EntryPointError(
            f"{run!r} names {', '.join(unknown)} as its pace, and has no such params.",
            fix="name params of the stage in `pace`.",
        )
    return EntryPoint(
        run=run,
        cls=cls,
        kind=cls.kind,
        version=str(cls.version),
        preload=tuple(getattr(cls, "preload", ())),
        pace=pace,
        served_roles=tuple(getattr(cls, "served_roles", ())),
    )


def effective_params(node: Node, entry: EntryPoint) -> dict[str, Any]:
    """The node's params; an axis of its own sweep counts as a param where the class has one."""
    model = cast(type[pydantic.BaseModel], entry.cls.Params)
    names = {alias for name, field in model.model_fields.items() for alias in (name, field.alias)}
    raw = _deep_copy(node.params)
    for axis in node.own_axes:
        if axis.split(".")[0] in names:
            _set(raw, axis.split("."), node.coordinates[axis])
    return entry.params(raw)


def _deep_copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _deep_copy(inner) for key, inner in value.items()}
    return value


def _set(raw: dict[str, Any], path: list[str], value: Any) -> None:
    for key in path[:-1]:
        raw = raw.setdefault(key, {})
    raw[path[-1]] = value


def _sentences(error: pydantic.ValidationError, known: list[str]) -> list[str]:
    sentences = []
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(where, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}"
            sentences.append(f"params.{where}: unknown key; {hint}")
        else:
            sentences.append(f"params.{where}: {problem['msg']} (got {problem['input']!r:.80})")
    return sentences
