"""Does a process of this machine still live?"""

from __future__ import annotations

import os


def is_alive(pid: int) -> bool:
    if pid <= 0:
        return False  # the system would take it for a group of processes
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # somebody else's
    return True
