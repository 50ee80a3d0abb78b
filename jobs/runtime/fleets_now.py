"""What do the fleets of a campaign do now, as told by a controller that lives?"""

from __future__ import annotations

import time
from pathlib import Path

from jobs.fleet.told import Told, read_told
from jobs.runtime.processes_alive import is_alive

SILENT_S = 600.0
"""After so long the process of that number is another one."""


def told_now(path: Path) -> Told | None:
    """None where nobody tells: the file of a controller that is gone is history."""
    told = read_told(path)
    if told is None or not is_alive(told.pid) or time.time() - told.at > SILENT_S:
        return None
    return told
