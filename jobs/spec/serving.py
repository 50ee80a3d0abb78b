"""What may a fleet say of its servers: vLLM's arguments, their address, the variable of their key?

What is wrong with an address or a key's variable is told without repeating it: what stands there
may be a secret.
"""

from __future__ import annotations

import re
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

CHAMPION = re.compile(r"models:/(?P<model>[^@/]+)@champion")
"""How a model of the registry is named."""

_REGISTERED = "models:/"
_ARGUMENT = re.compile(r"[a-z][a-z0-9_]*")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_WORD_BORDER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_OURS = {
    "model": "write it as the fleet's model",
    "revision": "write the fleet's model as org/name@revision",
    "api_key": "name the variable of an external fleet's key in keyEnv",
    "hf_token": "put it into the environment variable HF_TOKEN",
    **dict.fromkeys(
        ("tokenizer", "tokenizer_revision", "code_revision", "served_model_name", "config"),
        "it follows from the fleet's model",
    ),
    **dict.fromkeys(("host", "port", "uds"), "replicas are told where to listen"),
    **dict.fromkeys(("generation_config", "load_format", "shutdown_timeout"), "leave it out"),
}
"""Arguments that are ours to set, or that would undo what makes a server safe to run."""


def _argument(name: str) -> str:
    if name in _OURS:
        raise ValueError(f"{name} is not a fleet's to say; {_OURS[name]}")
    if name.startswith("ssl_"):
        raise ValueError(f"{name} is not a fleet's to say; clients and replicas talk plain http")
    if not _ARGUMENT.fullmatch(name):
        plain = _WORD_BORDER.sub("_", name.lstrip("-")).replace("-", "_").lower()
        meant = f"; write {plain[:60]!r}" if _ARGUMENT.fullmatch(plain) else ""
        raise ValueError(f"arguments of vLLM are written with '_', such as max_num_seqs{meant}")
    return name


def _argument_value(value: object) -> object:
    inside: list[object] = [value]
    while inside:
        one = inside.pop()
        if isinstance(one, dict):
            inside += one.values()
        elif isinstance(one, list):
            inside += one
        elif not isinstance(one, str | bool | int | float):
            raise ValueError(
                "an argument is text, a number, true, false, or a list or mapping of these"
            )
    return value


def _variable(value: object) -> object:
    if not (isinstance(value, str) and len(value) <= 100 and _VARIABLE.fullmatch(value)):
        raise ValueError(
            "this is not the name of an environment variable; write a name such as OPENAI_API_KEY, "
            "put the key itself into that variable, and revoke a key that was written here"
        )
    return value


def _address(value: object) -> object:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("an address is text such as 'http://judge:8000'")
    addresses = [_split(part) for part in value.split(",")]
    if any("@" in address.netloc for address in addresses):
        raise ValueError(
            "the address holds a user name or password; leave it out, and name the variable of the "
            "key in keyEnv"
        )
    of_servers = all(address.scheme in {"http", "https"} for address in addresses)
    if not all(map(_is_a_place, addresses)) or not (of_servers or len(addresses) == 1):
        raise ValueError(
            "this names no servers; write http://host:port (several separated by commas), "
            "dns://name:port or file:///path.json"
        )
    return value


def _split(address: str) -> SplitResult:
    try:
        parts = urlsplit(address.strip())
        _ = parts.port  # raises too
    except ValueError:
        return urlsplit("")
    return parts


def _is_a_place(address: SplitResult) -> bool:
    if address.query or address.fragment:
        return False
    match address.scheme:
        case "http" | "https":
            return bool(address.hostname)
        case "dns":
            return bool(address.hostname and address.port) and not address.path.strip("/")
        case "file":
            return address.netloc in {"", "localhost"} and bool(address.path.strip("/"))
    return False


def _model_name(name: str) -> str:
    if "${" in name:
        raise ValueError(
            "a fleet serves one model and takes no ${axis}; name a stage that is swept, or write a "
            "fleet for each model"
        )
    if name.startswith(_REGISTERED) and not CHAMPION.fullmatch(name):
        raise ValueError("a model of the registry is written models:/NAME@champion")
    return name


Argument = Annotated[str, AfterValidator(_argument)]
ArgumentValue = Annotated[Any, AfterValidator(_argument_value), WithJsonSchema({})]
Address = Annotated[str, BeforeValidator(_address)]
Variable = Annotated[str, BeforeValidator(_variable)]
ModelName = Annotated[str, Field(strict=True, min_length=1), AfterValidator(_model_name)]
