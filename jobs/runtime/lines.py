"""What is there to say about each stage while a campaign runs?  Pure: a snapshot in, lines out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from jobs.plan.actions import Stop
from jobs.plan.decide import StageState
from jobs.plan.retry import Retry, after
from jobs.plan.shards import ShardPlan
from jobs.runtime.controller import Snapshot
from jobs.runtime.observing import Progress

FINISHED = frozenset({"sealed", "reused"})
BROKEN = frozenset({"failed", "skipped"})

AskProgress = Callable[[str, int, str], Progress | None]
"""(address, shard, attempt) -> what that attempt last said."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One row of the table."""

    name: str
    word: str
    """sealed, reused, running, queued, waiting, failed or skipped."""
    done: int = 0
    shards: int | None = None
    failed: int = 0
    """Shards given up."""
    retried: int = 0
    """Attempts that failed and were, or will be, followed by another."""
    fraction: float = 0.0
    rows_per_s: float | None = None
    eta_s: float | None = None
    why: str = ""


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


def lines_of(snapshot: Snapshot, meter: Meter, now_s: float, progress: AskProgress) -> list[Line]:
    """One line per stage, in the campaign's order."""
    reasons = {one.stage: one.reason for one in snapshot.actions if not isinstance(one, Stop)}
    return [
        _line(state, snapshot, reasons.get(state.name, ""), _Clock(meter, now_s, progress))
        for state in snapshot.states
    ]


@dataclass(frozen=True, slots=True)
class _Clock:
    meter: Meter
    now_s: float
    progress: AskProgress


def _line(state: StageState, snapshot: Snapshot, why: str, clock: _Clock) -> Line:
    status = snapshot.work.get(state.address)
    running = status.running if status else {}
    word = snapshot.outcomes.get(state.name) or _word(state, bool(running))
    if word in FINISHED:
        return Line(name=state.name, word=word, fraction=1.0)
    failed, retried = _failed_and_retried(state)
    plan = snapshot.plans.get(state.name)
    fraction, rate, eta_s = 0.0, None, None
    if word == "running" and plan:
        fraction = _fraction(state, running, plan, clock.progress)
        per_s = clock.meter.rate(state.name, fraction, clock.now_s)
        rate = per_s * plan.num_rows if per_s and plan.num_rows > 1 else None
        eta_s = (1 - fraction) / per_s if per_s else None
    return Line(
        name=state.name,
        word=word,
        done=len(state.done),
        shards=state.num_shards,
        failed=failed,
        retried=retried,
        fraction=fraction,
        rows_per_s=rate,
        eta_s=eta_s,
        why=why,
    )


def _word(state: StageState, at_work: bool) -> str:
    if at_work:
        return "running"
    return "waiting" if state.num_shards is None else "queued"


def _failed_and_retried(state: StageState) -> tuple[int, int]:
    attempts = sum(sum(counts.values()) for counts in state.failures.values())
    given_up = sum(
        shard not in state.done and not isinstance(after(counts, state.policy), Retry)
        for shard, counts in state.failures.items()
    )
    return given_up, attempts - given_up


def _fraction(
    state: StageState, running: Mapping[int, str], plan: ShardPlan, progress: AskProgress
) -> float:
    """Finished shards count whole, running ones by what they say of themselves."""
    said = [
        progress(state.address, shard, attempt)
        for shard, attempt in running.items()
        if shard not in state.done
    ]
    share = sum(min(one.done / one.total, 1.0) for one in said if one and one.total > 0)
    return min((len(state.done) + share) / plan.num_shards, 0.999)


def fold(lines: Sequence[Line], room: int, finished: Sequence[str]) -> tuple[list[Line], list[str]]:
    """At most `room` lines, and a sentence for each kind of what is left out.

    What runs or failed comes first, then what finished last (`finished` is in that order), then
    what comes next; the lines kept stay in the campaign's order.
    """
    if len(lines) <= room:
        return list(lines), []
    recency = {name: place for place, name in enumerate(finished)}

    def rank(line: Line) -> tuple[int, int]:
        urgency = {"running": 0, "failed": 0, "sealed": 2, "queued": 1}.get(line.word, 3)
        return urgency, -recency.get(line.name, -1) if line.word in FINISHED else 0

    wanted = sorted(lines, key=rank)[: max(room - 2, 1)]
    kept = {line.name for line in wanted}
    left_out = Counter(line.word for line in lines if line.name not in kept)
    return [line for line in lines if line.name in kept], _told(left_out)


def _told(left_out: Counter[str]) -> list[str]:
    """Over and still to come, one sentence each."""
    over = [f"{left_out[word]} {word}" for word in ("sealed", "reused", "failed") if left_out[word]]
    rest = [
        f"{left_out[word]} {word}"
        for word in ("running", "queued", "waiting", "skipped")
        if left_out[word]
    ]
    return [f"… and {', '.join(part)}" for part in (over, rest) if part]


def clock(seconds: float) -> str:
    """1:05 or 2:03:04."""
    whole = int(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
