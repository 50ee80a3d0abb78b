"""Which server is asked for which model, and how is the key kept out of all that is written?

The key lives in an environment variable; campaigns, artifacts and logs name the variable only.
Whatever a server sends back is redacted before anyone looks at it: some echo the key they refuse.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from rprm.engines.chat import Traits
from rprm.errors import BadInput

HIDDEN = "[key]"
_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")
_SHORTEST_SECRET = 8
"""Shorter values, such as the EMPTY that local servers take, are words rather than secrets."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """The key of one API.  It prints as the name of its variable, never as itself."""

    variable: str
    _value: str = field(repr=False)

    def __str__(self) -> str:
        return f"${self.variable}"

    def header(self) -> str:
        return f"Bearer {self._value}"

    def redact(self, text: str) -> str:
        if len(self._value) < _SHORTEST_SECRET:
            return text
        return text.replace(self._value, HIDDEN)


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """Which model is asked, and where."""

    base_url: str
    """Up to and including the version, such as https://api.openai.com/v1."""
    model: str
    """As the server calls it."""
    key: ApiKey | None = None
    traits: Traits = field(default_factory=Traits)


def check_variable(name: str) -> None:
    """Raises BadInput where `name` cannot be a variable's; it is not repeated: it may be a key."""
    if not _NAME.fullmatch(name):
        raise BadInput(
            "key_env is not the name of an environment variable.",
            fix="give a name such as OPENAI_API_KEY and put the key itself into that variable; "
            "where a key was written into the file, revoke it",
        )


def read_key(variable: str, environment: Mapping[str, str] | None = None) -> ApiKey:
    """Raises BadInput where the variable is not set or holds what no key can be."""
    check_variable(variable)
    value = (os.environ if environment is None else environment).get(variable, "").strip()
    if not value:
        raise BadInput(
            f"the environment variable {variable} is not set.",
            fix=f"put the key of the API into {variable} where the workers run",
        )
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise BadInput(
            f"the environment variable {variable} holds characters that no key has.",
            fix="set it to the key alone: printable ASCII without blanks or line ends",
        )
    return ApiKey(variable, value)


def check_base_url(url: str) -> None:
    """Raises BadInput; credentials in a URL would be written wherever the URL is."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.username or parts.password:
        raise BadInput(
            "base_url holds a user name or password.",
            fix="leave it out; the key is read from the variable that key_env names",
        )
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise BadInput(
            "base_url is not the address of an API.",
            fix="give it up to the version, such as https://api.openai.com/v1 or "
            "http://localhost:8000/v1",
        )
