"""How does a JSON Schema become one that a CustomResourceDefinition accepts?

A structural schema knows no references, no closed objects and no alternatives, so what the
document also takes in a shorter form (`cases: world`) is left open there and checked when read.
No defaults: the server would write them into every stage, where they would beat spec.defaults.
"""

from __future__ import annotations

from typing import Any

_OPEN: dict[str, Any] = {"x-kubernetes-preserve-unknown-fields": True}
_KEPT = frozenset(
    {
        "type", "description", "properties", "required", "items", "additionalProperties", "enum",
        "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems",
    }
)  # fmt: skip
_SHORTHANDS = frozenset({"Input", "Selection", "FleetModel"})
"""Models that may also be written as plain text."""


def structural(raw: dict[str, Any]) -> dict[str, Any]:
    """The schema of a Kubernetes object without references, from what pydantic makes."""
    schema = _structural(raw, raw["$defs"])
    name = schema["properties"]["metadata"]["properties"]["name"]
    # Kubernetes owns the rest of metadata and refuses schemas that speak of it.
    schema["properties"]["metadata"] = {
        "type": "object",
        "properties": {"name": name},
        "required": ["name"],
    }
    return schema


def _structural(node: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in node:
        return _referenced(node, defs)
    if "anyOf" in node:
        return _alternative(node, defs)
    if "const" in node:
        node = {**node, "enum": [node["const"]]}
    made = {key: value for key, value in node.items() if key in _KEPT}
    if "properties" in made:
        made["properties"] = {
            key: _structural(value, defs) for key, value in made["properties"].items()
        }
        made.pop("additionalProperties", None)
    elif isinstance(made.get("additionalProperties"), dict):
        made["additionalProperties"] = _structural(made["additionalProperties"], defs)
    elif made.get("type") == "object":
        return {**_described(node), "type": "object", **_OPEN}
    if "items" in made:
        made["items"] = _structural(made["items"], defs)
    return made if "type" in made else {**_described(node), **_OPEN}


def _referenced(node: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    name = node["$ref"].rpartition("/")[2]
    if name in _SHORTHANDS:
        return {**_described(defs[name]), **_described(node), **_OPEN}
    return {**_structural(defs[name], defs), **_described(node)}


def _alternative(node: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    """A value that may be absent is the value; any other choice stays open."""
    choices = [choice for choice in node["anyOf"] if choice.get("type") != "null"]
    if len(choices) == 1:
        return {**_structural(choices[0], defs), **_described(node)}
    return {**_described(node), **_OPEN}


def _described(node: dict[str, Any]) -> dict[str, Any]:
    return {"description": node["description"]} if "description" in node else {}
