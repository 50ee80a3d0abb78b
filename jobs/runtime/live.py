"""What does a person see while a campaign runs?  A table on a terminal, JSON lines elsewhere."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from jobs.plan.decide import StageState
from jobs.runtime.controller import Snapshot
from jobs.runtime.events import Event
from jobs.runtime.observing import Progress

REDRAW_S = 0.5
STYLES = {
    "sealed": "green",
    "reused": "cyan",
    "running": "bold yellow",
    "queued": "yellow",
    "failed": "bold red",
    "skipped": "red",
    "waiting": "dim",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One row of the table."""

    name: str
    word: str
    done: int
    shards: int | None
    failed: int
    retried: int
    fraction: float
    rows_per_s: float | None
    eta_s: float | None
    note: str


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
    """A table that is redrawn in place."""

    def __init__(
        self, console: Console, *, progress: Callable[[str, int], Progress | None], title: str
    ) -> None:
        self._progress = progress
        self._title = title
        self._meter = Meter()
        self._started_s = time.monotonic()
        self._next_s = 0.0
        self._live = Live(console=console, auto_refresh=False, transient=False)
        self._live.start()
        self._messages: list[str] = []

    def show(self, snapshot: Snapshot) -> None:
        now_s = time.monotonic()
        finished = len(snapshot.outcomes) == len(snapshot.states)
        if now_s < self._next_s and not finished:
            return
        self._next_s = now_s + REDRAW_S
        lines = [
            line_of(state, snapshot, self._meter, now_s, self._progress)
            for state in snapshot.states
        ]
        self._live.update(self._draw(lines, now_s), refresh=True)

    def event(self, event: Event) -> None:
        if event["event"] in {"attempt_failed", "stage_failed", "cancel_requested", "draining"}:
            what = event.get("stage", "")
            self._messages = [
                *self._messages[-3:],
                f"{event['event'].replace('_', ' ')} {what}: {event.get('reason', '')}",
            ]

    def close(self) -> None:
        self._live.stop()

    def _draw(self, lines: list[Line], now_s: float) -> RenderableType:
        table = Table(title=self._title, title_justify="left", expand=False)
        for heading in ("stage", "state", "shards", "failed", "retried", "", "rows/s", "ETA"):
            right = heading in {"shards", "failed", "retried", "rows/s", "ETA"}
            table.add_column(heading, justify="right" if right else "left", no_wrap=True)
        for line in lines:
            table.add_row(*_cells(line))
        done = sum(line.word in {"sealed", "reused"} for line in lines)
        foot = Text(f"{done} of {len(lines)} stages, {clock(now_s - self._started_s)} so far. ")
        foot.append("Ctrl-C stops at safe points; the same command goes on.", style="dim")
        return Group(table, *[Text(text, style="red") for text in self._messages], foot)


def _cells(line: Line) -> list[RenderableType]:
    style = STYLES[line.word]
    busy = line.word == "running"
    return [
        Text(line.name),
        Text(line.word, style=style),
        f"{line.done}/{line.shards if line.shards is not None else '?'}",
        str(line.failed or ""),
        str(line.retried or ""),
        ProgressBar(total=1.0, completed=line.fraction, width=24) if busy else Text(line.note),
        f"{line.rows_per_s:,.0f}" if line.rows_per_s else "",
        clock(line.eta_s) if line.eta_s is not None else "",
    ]


class Meter:
    """How fast does a stage go?  Counted from the first time it was seen at work."""

    def __init__(self) -> None:
        self._first: dict[str, tuple[float, float]] = {}

    def rate(self, name: str, done: float, now_s: float) -> float | None:
        """Units per second since the first look; None before anything moved."""
        first_s, first_done = self._first.setdefault(name, (now_s, done))
        if done <= first_done or now_s <= first_s:
            return None
        return (done - first_done) / (now_s - first_s)


def line_of(
    state: StageState,
    snapshot: Snapshot,
    meter: Meter,
    now_s: float,
    progress: Callable[[str, int], Progress | None],
) -> Line:
    """The table row of one stage."""
    status = snapshot.work.get(state.address)
    word = snapshot.outcomes.get(state.name) or _word(state, bool(status and status.running))
    plan = snapshot.plans.get(state.name)
    fraction, unit = float(word in {"sealed", "reused"}), ""
    rate, eta_s = None, None
    if word == "running" and status and plan:
        fraction, unit = _fraction(state, status.running, plan.num_shards, progress)
        per_s = meter.rate(state.name, fraction, now_s)
        rate = per_s * plan.num_rows if per_s and plan.num_rows > 1 else None
        eta_s = (1 - fraction) / per_s if per_s else None
    failed = sum(1 for counts in state.failures.values() if counts)
    retried = sum(sum(counts.values()) for counts in state.failures.values())
    return Line(
        name=state.name,
        word=word,
        done=(state.num_shards or 1) if fraction == 1.0 else len(state.done),
        shards=state.num_shards if word not in {"sealed", "reused"} else (state.num_shards or 1),
        failed=failed,
        retried=retried,
        fraction=fraction,
        rows_per_s=rate,
        eta_s=eta_s,
        note=unit,
    )


def _word(state: StageState, at_work: bool) -> str:
    if at_work:
        return "running"
    return "waiting" if state.num_shards is None else "queued"


def _fraction(
    state: StageState,
    running: Mapping[int, str],
    num_shards: int,
    progress: Callable[[str, int], Progress | None],
) -> tuple[float, str]:
    """Finished shards count whole, running ones by what they say of themselves."""
    parts = [progress(state.address, shard) for shard in running]
    known = [part for part in parts if part is not None and part.total > 0]
    share = sum(min(part.done / part.total, 1.0) for part in known)
    done = len(state.done) + share
    return min(done / num_shards, 0.999), (known[0].unit if known else "")


def clock(seconds: float) -> str:
    """1:05 or 2:03:04."""
    whole = int(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
