"""How does a campaign look from another terminal, while it runs?  Stages above, fleets beneath."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from jobs.fleet.told import Told
from jobs.runtime.fleet_lines import TextLine, cut, fleet_lines
from jobs.runtime.fleets_now import told_now
from jobs.runtime.lines import Line, clock, fold
from jobs.runtime.live import STYLES
from jobs.runtime.session import Session
from jobs.runtime.showing import status_rows
from jobs.runtime.tailing import is_running

EVERY_S = 1.0
STAGES_EVERY_S = 5.0
"""They are listed from the store, which may be far away."""

WORDS = {"runs": "running", "waits": "waiting"}
BAR = 20

Wait = Callable[[float], str]
"""So many seconds, or until a key is pressed; gives the key or nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """One look at a campaign."""

    campaign: str
    running: bool
    at: float
    told: Told | None = None
    stages: tuple[Line, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        told = self.told
        return {
            "campaign": self.campaign,
            "running": self.running,
            "at": told.at if told else None,
            "pid": told.pid if told else None,
            "fleets": [asdict(fleet) for fleet in told.fleets] if told else [],
        }


class Looking:
    """Looks again and again."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._stages: tuple[Line, ...] = ()
        self._next_s = 0.0

    def look(self, *, stages: bool = True) -> Look:
        session, now_s = self._session, time.monotonic()
        told = told_now(session.folder.told)
        running = told is not None or is_running(session)
        if stages and running and now_s >= self._next_s:
            self._stages = tuple(stages_of(session))
            self._next_s = now_s + STAGES_EVERY_S
        return Look(
            campaign=session.name, running=running, at=time.time(), told=told, stages=self._stages
        )


def stages_of(session: Session) -> Iterator[Line]:
    for row in status_rows(session):
        yield Line(
            name=row.stage,
            word=WORDS.get(row.word, row.word),
            done=row.done,
            shards=row.shards,
            fraction=row.done / row.shards if row.shards else 0.0,
            why=row.reason,
        )


def picture(look: Look, *, width: int, height: int | None = None) -> list[TextLine]:
    """No wider and no higher than asked."""
    head = f"campaign {look.campaign}"
    if look.told is not None:
        age = clock(max(0.0, look.at - look.told.at))
        head += f", told {age} ago by process {look.told.pid}"
    lines = [TextLine(text=cut(head, width), style="bold")]
    fleets = fleet_lines(look.told, now_s=look.at, width=width) if look.told else []
    room = None if height is None else max(0, height - 1)
    for_stages = None if room is None else max(room // 2, room - len(fleets))
    lines += stage_lines(look.stages, width=width, height=for_stages)
    if look.told is not None:
        left = None if height is None else height - len(lines)
        lines += fleet_lines(look.told, now_s=look.at, width=width, height=left)
    return lines if height is None else lines[: max(0, height)]


def stage_lines(lines: Sequence[Line], *, width: int, height: int | None) -> list[TextLine]:
    shown, left_out = (list(lines), []) if height is None else fold(lines, height, ())
    names = min(max((cell_len(line.name) for line in shown), default=0), max(1, width - 46))
    found = []
    for line in shown:
        shards = "?" if line.shards is None else f"{line.done}/{line.shards}"
        rest = "━" * round(BAR * line.fraction) if line.word == "running" else line.why
        name = set_cell_size(cut(line.name, names), names)
        text = f"{name}  {line.word:8}  {shards:>9}  {rest if line.word != 'sealed' else ''}"
        found.append(TextLine(text=cut(text.rstrip(), width), style=STYLES.get(line.word, "")))
    found += [TextLine(text=cut(text, width), style="dim") for text in left_out]
    return found if height is None else found[:height]


def show_once(console: Console, look: Look) -> None:
    for line in picture(look, width=console.width):
        console.print(Text(line.text, style=line.style), soft_wrap=True)


def show_live(console: Console, look: Callable[[], Look], wait: Wait) -> Look:
    """Until a key says to leave, or the campaign ends; gives what was seen last."""
    with Live(console=console, auto_refresh=False, screen=True) as live:
        while True:
            seen = look()
            live.update(_drawn(seen, console), refresh=True)
            if not seen.running or wait(EVERY_S).lower() == "q":
                return seen


def _drawn(look: Look, console: Console) -> Group:
    width, height = console.size
    lines = picture(look, width=width, height=height - 1)
    lines.append(TextLine(text=cut("q leaves; the campaign goes on.", width), style="dim"))
    return Group(*[Text(line.text, style=line.style, no_wrap=True) for line in lines])


@contextlib.contextmanager
def keys() -> Iterator[Wait]:
    """Of the terminal, one by one; without a terminal there are none."""
    if not sys.stdin.isatty():
        yield _slept
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal)  # Ctrl-C stays what it is
    try:
        yield lambda seconds: _pressed(terminal, seconds)
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _slept(seconds: float) -> str:
    time.sleep(seconds)
    return ""


def _pressed(terminal: int, seconds: float) -> str:
    ready, _, _ = select.select([terminal], [], [], seconds)
    if not ready:
        return ""
    return os.read(terminal, 1).decode("ascii", "replace") or "q"  # nothing: it is gone
