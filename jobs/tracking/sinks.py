"""Which tracking server is this, told apart from others and named without its password?"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

_CREDENTIALS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^/\s@]*(?:@[^/\s@]*)*@")
_SECRETS = re.compile(
    r"(?P<name>[?&;](?:\w*(?:password|passwd|pwd|token|secret|key))=)[^&;\s'\"]+", re.IGNORECASE
)


def sink_of(uri: str, experiment: str) -> str:
    """A short name for (server, experiment) that outlives a changed password."""
    where = redact(str(sqlite_path(uri) or uri)).rstrip("/")
    return hashlib.sha256(f"{where}\n{experiment}".encode()).hexdigest()[:12]


def redact(text: str) -> str:
    """The text without the user names, passwords and tokens of any uri in it."""
    return _SECRETS.sub(r"\g<name>***", _CREDENTIALS.sub(r"\g<scheme>***@", text))


def sqlite_path(uri: str) -> Path | None:
    """The absolute path of a SQLite tracking file; None for every other kind of uri."""
    parts = urlsplit(uri)
    if parts.scheme.split("+")[0] != "sqlite" or len(parts.path) < 2:
        return None
    # sqlite:///relative and sqlite:////absolute: the first slash ends the empty host
    return Path(unquote(parts.path[1:])).absolute()
