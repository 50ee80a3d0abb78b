"""What does a bench tell the table of all measurements?"""

from __future__ import annotations

from collections.abc import Callable

Row = Callable[[str, str, str, bool | None, str], None]
"""Measure, value, target, does it hold (None: only told), and what it is measured against."""

HEAD = ("measure", "value", "target", "holds", "beside")
HOLDS = {True: "yes", False: "**no**", None: ""}
