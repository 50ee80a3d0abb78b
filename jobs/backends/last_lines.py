"""What were a process's last words, fit to be shown?  Pure, apart from reading the file's end."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

NUM_LINES = 20
LINE_CHARS = 500
TAIL_BYTES = 64 * 1024
SECRET_CHARS = 8
"""Shorter values would blacken words that are none."""

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD", re.IGNORECASE)
_CONTROL = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles and links of terminals
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # colours and movements
    r"|\x1b[ -/]*[0-~]"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"
)


def last_lines(log: Path, secrets: Iterable[str], *, since: int = 0) -> tuple[str, ...]:
    """Of what was written to the file after its first `since` bytes."""
    try:
        with log.open("rb") as file:
            begin = max(since, file.seek(0, 2) - TAIL_BYTES)
            file.seek(begin)
            raw = file.read()
    except FileNotFoundError:
        return ()
    return fit_to_show(raw, secrets, is_whole=begin == since)


def fit_to_show(raw: bytes, secrets: Iterable[str], *, is_whole: bool = True) -> tuple[str, ...]:
    """The last lines that say something: no colours, no secrets, and of a progress bar its last
    state.  Unless it `is_whole`, the first line may lack its beginning."""
    text = _CONTROL.sub("", raw.decode(errors="replace").replace("\r\n", "\n"))
    for secret in secrets:
        text = text.replace(secret, "***")
    lines = [_last_state(line) for line in text.split("\n")]
    if not is_whole and len(lines) > 1:
        del lines[0]
    return tuple(_cut(line) for line in [line for line in lines if line][-NUM_LINES:])


def secrets_of(environ: Mapping[str, str]) -> list[str]:
    """Values of variables whose names say that they are secret; longest first, for one may hold
    another."""
    found = {
        value
        for name, value in environ.items()
        if _SECRET_NAME.search(name) and len(value) >= SECRET_CHARS
    }
    return sorted(found, key=len, reverse=True)


def _last_state(line: str) -> str:
    states = [state for state in line.split("\r") if state.strip()]
    return states[-1].rstrip() if states else ""


def _cut(line: str) -> str:
    return line if len(line) <= LINE_CHARS else f"{line[: LINE_CHARS - 1]}…"
