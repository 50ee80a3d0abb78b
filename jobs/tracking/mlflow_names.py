"""What does MLflow accept as a name and as a value?  Pure; one odd name must not stop the rest."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping
from typing import Any

MAX_NAME_CHARS = 200
MAX_TAG_CHARS = 5000

_REFUSED = re.compile(r"[^/\w.\- :]")


def accepted_name(name: str) -> str:
    """A metric, param or tag name MLflow takes; a good name comes back unchanged."""
    path = posixpath.normpath("/" + _REFUSED.sub("_", name)[:MAX_NAME_CHARS])
    return path.lstrip("/") or "_"


def accepted_values(values: Mapping[str, float]) -> dict[str, float]:
    """Under accepted names; names that only the refused characters told apart get a number."""
    accepted: dict[str, float] = {}
    for name in sorted(values):
        base = unique = accepted_name(name)
        count = 2
        while unique in accepted:
            unique, count = f"{base}_{count}", count + 1
        accepted[unique] = values[name]
    return accepted


def text_of(value: Any) -> str:
    """A string as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, default=str, sort_keys=True)


def tag_text(value: Any) -> str:
    return text_of(value)[:MAX_TAG_CHARS]
