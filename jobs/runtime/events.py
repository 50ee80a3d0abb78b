"""What happened to a campaign, in order?  One JSON object per line, appended, never rewritten."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Event = dict[str, Any]
"""Always has "time" (seconds since the epoch), "event" and, where one is meant, "stage"."""


class EventLog:
    """Appends to a file and tells listeners."""

    def __init__(self, path: Path, *, listeners: tuple[Callable[[Event], None], ...] = ()) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._listeners = listeners

    def add(self, event: str, **fields: Any) -> None:
        body: Event = {"time": round(time.time(), 3), "event": event, **fields}
        self._file.write(json.dumps(body, default=str) + "\n")
        for listener in self._listeners:
            listener(body)

    def close(self) -> None:
        self._file.close()


def read_events(path: Path) -> Iterator[Event]:
    """Every whole line; a last line torn by a kill is left out."""
    if not path.exists():
        return
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                continue
