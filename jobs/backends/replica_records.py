"""Who are the processes of a replica?  A small file beside its log.

The controller begins it, the warden completes it, and it goes with the replica.  Imported by every
warden, so nothing heavy.
"""

from __future__ import annotations

import json
import os
from typing import NamedTuple

from jobs.backends.process_trees import Birth

NOBODY = Birth(0, 0)


class Record(NamedTuple):
    boot: str
    """Which boot of the machine the births count from."""
    controller: Birth
    warden: Birth = NOBODY
    server: Birth = NOBODY
    exit_code: int | None = None
    """The server's, once all its processes are gone."""


def write_record(file: str | os.PathLike[str], record: Record) -> None:
    """Whole or not at all."""
    aside = f"{os.fspath(file)}.{os.getpid()}"
    with open(aside, "w", encoding="utf-8") as text:
        json.dump(record._asdict(), text)
    os.replace(aside, file)


def read_record(file: str | os.PathLike[str]) -> Record:
    with open(file, encoding="utf-8") as text:
        said = json.load(text)
    births = {who: Birth(*said[who]) for who in ("controller", "warden", "server")}
    return Record(boot=said["boot"], exit_code=said["exit_code"], **births)


def this_boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as text:
            return text.read().strip()
    except OSError:
        return ""
