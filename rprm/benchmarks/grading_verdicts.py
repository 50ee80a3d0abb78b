"""What can a grading process say of a pair?  One byte each; no import, so both sides read it."""

from __future__ import annotations

from enum import Enum


class Verdict(Enum):
    RIGHT = b"R"
    WRONG = b"W"
    UNPARSED = b"U"  # the reference could not be read, so nobody can tell


READY = b"+"
"""Said once, when a process can take pairs."""
