"""What have workers and the controller written on this machine, and what do they write now?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from jobs.runtime.events import read_events
from jobs.runtime.resolving import Resolved
from jobs.runtime.session import Session

LOOK_EVERY_S = 0.3


class Tail:
    """Gives every line of a file once, also of files that grow."""

    def __init__(self) -> None:
        self._offsets: dict[Path, int] = {}

    def lines(self, path: Path, *, growing: bool) -> list[str]:
        """What is new; of a file that still grows only whole lines."""
        offset = self._offsets.get(path, 0)
        try:
            with path.open("rb") as file:
                file.seek(offset)
                data = file.read()
        except FileNotFoundError:
            return []
        if growing:
            data = data[: data.rfind(b"\n") + 1]
        self._offsets[path] = offset + len(data)
        return data.decode(errors="replace").splitlines()


def event_lines(session: Session, *, follow: bool) -> Iterator[str]:
    """The campaign's events, one JSON object each."""
    tail = Tail()
    path = session.folder.events
    return _told(lambda growing: tail.lines(path, growing=growing), session, follow=follow)


def worker_lines(
    session: Session, stages: Sequence[Resolved], shard: int | None, *, follow: bool
) -> Iterator[str]:
    """What the workers of these stages wrote, oldest attempt first, under headings."""
    tail = Tail()
    return _told(
        lambda growing: [
            line for stage in stages for line in _of_stage(session, stage, shard, tail, growing)
        ],
        session,
        follow=follow,
    )


def _of_stage(
    session: Session, stage: Resolved, shard: int | None, tail: Tail, growing: bool
) -> list[str]:
    folder = session.folder.logs_of(stage.node.name)
    prefix = f"{shard:05d}-" if shard is not None else ""
    found = []
    for file in sorted(folder.glob(f"{prefix}*.log"), key=lambda path: path.stat().st_mtime):
        if lines := tail.lines(file, growing=growing):
            index, _, attempt = file.stem.partition("-")
            found += [f"── {stage.node.name}, shard {int(index)}, attempt {attempt}", *lines]
    return found


def _told(
    look: Callable[[bool], Sequence[str]], session: Session, *, follow: bool
) -> Iterator[str]:
    while follow and is_running(session):
        yield from look(True)
        time.sleep(LOOK_EVERY_S)
    yield from look(False)


def is_running(session: Session) -> bool:
    """As far as the events tell; a controller that was killed could not say that it ended."""
    word = ""
    for event in read_events(session.folder.events):
        if event.get("event") in {"campaign_started", "campaign_finished"}:
            word = event["event"]
    return word == "campaign_started"
