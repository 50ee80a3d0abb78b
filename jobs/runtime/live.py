"""What does a person see while a campaign runs?  A table on a terminal, JSON lines elsewhere."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from jobs.plan.retry import Cause
from jobs.runtime.controller import Snapshot
from jobs.runtime.events import Event
from jobs.runtime.fleet_lines import TextLine, short_lines
from jobs.runtime.lines import FINISHED, AskProgress, Line, Meter, clock, fold, lines_of

REDRAW_S = 0.5

NUM_MESSAGES = 4

MIN_REST_WIDTH = 56
"""What the columns beside the stage's name need; longer names are cut."""

STYLES = {
    "sealed": "green",
    "reused": "cyan",
    "running": "bold yellow",
    "queued": "yellow",
    "failed": "bold red",
    "skipped": "red",
    "waiting": "dim",
}

TOLD = frozenset(
    {"attempt_failed", "stage_failed", "shard_damaged", "store_trouble", "giving_up"}
    | {"cancel_requested", "draining"}
    | {"replica_lost", "replica_did_not_start", "fleet_failed"}
)
"""Events that a person should not miss between two redraws."""


class View(Protocol):
    def show(self, snapshot: Snapshot) -> None: ...

    def event(self, event: Event) -> None: ...

    def close(self) -> None: ...


class JsonView:
    """One JSON object per event on stdout, for pipes and logs."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def show(self, snapshot: Snapshot) -> None:
        """Events say all that a log needs."""

    def event(self, event: Event) -> None:
        self._write(json.dumps(event, default=str))

    def close(self) -> None:
        """Nothing is held."""


class TableView:
    """A table that is redrawn in place and never higher than the screen; whole at the end."""

    def __init__(
        self,
        console: Console,
        *,
        progress: AskProgress,
        title: str,
    ) -> None:
        self._console = console
        self._progress = progress
        self._title = title
        self._meter = Meter()
        self._started_s = time.monotonic()
        self._next_s = 0.0
        self._messages: list[Text] = []
        self._snapshot = Snapshot()
        self._live = Live(console=console, auto_refresh=False, transient=False)
        self._live.start()

    def show(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + REDRAW_S
        lines = lines_of(snapshot, self._meter, now_s, self._progress)
        room = self._console.size.height - len(self._messages) - 4  # heading, foot, cursor
        fleets = self._fleets(room // 2)
        self._live.update(self._draw(lines, room - len(fleets), now_s, fleets), refresh=True)

    def event(self, event: Event) -> None:
        if event["event"] == "tracking_finishes":  # after the table, and it may take a while
            self._console.print(f"{event['reason']} …", style="dim")
        if event["event"] in TOLD and event.get("cause") != Cause.PREEMPTED:
            about = event.get("stage") or event.get("replica") or event.get("fleet", "")
            what = f"{event['event'].replace('_', ' ')} {about}".strip()
            if "shard" in event:
                what += f" shard {event['shard']}"
            text = Text(f"{what}: {event.get('reason', '')}", style="red", no_wrap=True)
            text.overflow = "ellipsis"
            self._messages = [*self._messages, text][-NUM_MESSAGES:]

    def close(self) -> None:
        now_s = time.monotonic()
        lines = lines_of(self._snapshot, self._meter, now_s, self._progress)
        self._live.update(self._draw(lines, len(lines), now_s), refresh=True)
        self._live.stop()

    def _fleets(self, room: int) -> list[TextLine]:
        told, width = self._snapshot.told, self._console.width
        return [] if told is None else short_lines(told, width=width, height=room)

    def _draw(
        self, lines: Sequence[Line], room: int, now_s: float, fleets: Sequence[TextLine] = ()
    ) -> RenderableType:
        finished = [name for name, word in self._snapshot.outcomes.items() if word in FINISHED]
        shown, left_out = fold(lines, room, finished)
        num_done = sum(line.word in FINISHED for line in lines)
        foot = Text(
            f"{num_done} of {len(lines)} stages, {clock(now_s - self._started_s)} so far. "
            "Ctrl-C stops at safe points; the same command goes on.",
            style="dim",
            no_wrap=True,
            overflow="ellipsis",
        )
        return Group(
            self._table(shown),
            *[Text(text, "dim") for text in left_out],
            *[Text(line.text, line.style, no_wrap=True) for line in fleets],
            *self._messages,
            foot,
        )

    def _table(self, lines: Sequence[Line]) -> Table:
        counts = [name for name in ("failed", "retried") if any(getattr(x, name) for x in lines)]
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        table.expand = True
        name_width = max(20, self._console.width - MIN_REST_WIDTH)
        table.add_column(self._title, no_wrap=True, overflow="ellipsis", max_width=name_width)
        table.add_column("state", no_wrap=True)
        for heading in ("shards", *counts):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("", no_wrap=True, overflow="ellipsis", ratio=1)
        for heading in ("rows/s", "left"):
            table.add_column(heading, justify="right", no_wrap=True)
        for line in lines:
            table.add_row(*_cells(line, counts))
        return table


def _cells(line: Line, counts: Sequence[str]) -> list[RenderableType]:
    bar = ProgressBar(total=1.0, completed=line.fraction)
    why = Text(line.why, style="dim")
    shards = "" if line.shards is None else f"{line.done}/{line.shards}"
    return [
        Text(line.name),
        Text(line.word, style=STYLES[line.word]),
        shards,
        *[str(getattr(line, name) or "") for name in counts],
        bar if line.word == "running" else why,
        f"{line.rows_per_s:,.0f}" if line.rows_per_s else "",
        clock(line.eta_s) if line.eta_s is not None else "",
    ]
