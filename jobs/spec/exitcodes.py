"""What may a worker's exit code say?  The whole contract between a command and the job system."""

from __future__ import annotations

DONE = 0
"""The shard is committed."""

FAILED = 1
"""Any code that is not named here counts like this one, against the budget of failures."""

BAD_CONFIG = 64
"""Trying again cannot help: the stage stops.  EX_USAGE of sysexits.h."""

POISONED = 65
"""These rows fail every time: the shard stops.  EX_DATAERR of sysexits.h."""

DRAINED = 75
"""Asked to leave, left at a safe point: retried, not counted.  EX_TEMPFAIL of sysexits.h."""
