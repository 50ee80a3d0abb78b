"""How many replicas does a fleet need now?  Observations in, a number with a reason out.

Up at once: as many as find a cold start's worth of work each when they could begin.  Down slowly:
replicas that clients did not fill over a whole hold-down are too many, and only more work brings
them back.  Without a running stage to zero.  Where nothing is known, nothing changes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from jobs.plan.fleet import (
    Demand,
    Idle,
    Memory,
    Observed,
    Phase,
    Quiet,
    Rates,
    Replica,
    Shrunk,
    Spec,
)
from jobs.plan.rates import cold_start_s, measure, seconds_per_row

LAST_PAYBACK = 1.0
"""Of work after which nothing comes: alone it then takes at most about twice the time that it could
take, and at most twice the cost."""

RETRY_COLD_STARTS = 10
"""After this many, full replicas may double once more than clients filled before: a client that
was only stalled gets its replicas back, and one that is limited costs a tenth for the trial."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scaling:
    replicas: int
    """Starting and ready ones together; draining ones come on top."""
    reason: str
    memory: Memory
    """To be kept beside the fleet and given back with the next observation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _View:
    """An observation in the units of decisions."""

    spec: Spec
    memory: Memory
    now: float
    ready: int
    current: int
    in_use: float | None
    """Replicas' worth of sequences in flight; None when no replica said anything of late."""
    full: bool
    """Those that said anything are busy."""
    rows: int
    workers: int
    payback: float

    @property
    def start_s(self) -> float:
        return cold_start_s(self.memory.rates, self.spec)

    @property
    def hold_down_s(self) -> float:
        return self.start_s if self.spec.hold_down_s is None else self.spec.hold_down_s

    @property
    def work_s(self) -> float | None:
        """Of one full replica; None until rows and replicas were measured."""
        per_row = seconds_per_row(self.memory.rates)
        return None if per_row is None else self.rows * per_row

    @property
    def slots(self) -> float:
        """Sequences that keep one replica busy."""
        return self.spec.max_num_seqs * self.spec.target_utilisation

    def asks_more_than(self, then: Quiet | Shrunk) -> bool:
        return self.rows > then.rows or self.workers > then.workers


def scale(observed: Observed, spec: Spec, now: float) -> Scaling:
    """Pure: the same observation, memory among it, gives the same answer."""
    memory = replace(observed.memory, rates=measure(observed, spec))
    view = _view(observed, spec, memory, now)
    if observed.demands is None:
        found = _hold(view, "nobody could say which stages need the fleet")
    elif not observed.demands:
        found = _unneeded(view, observed.due_in_s)
    elif view.ready and view.in_use is None:
        found = _hold(view, f"no metrics of {_replicas(view.ready)} for {spec.stale_s:.0f} s")
    else:
        found = _needed(view)
    return _clamped(found, spec)


def _view(observed: Observed, spec: Spec, memory: Memory, now: float) -> _View:
    ready = observed.in_phase(Phase.READY)
    busy = [_busy(replica, spec, memory.rates) for replica in ready if _speaks(replica, spec, now)]
    known = sum(busy)
    demands: tuple[Demand, ...] = observed.demands or ()
    return _View(
        spec=spec,
        memory=memory,
        now=now,
        ready=len(ready),
        current=len(ready) + len(observed.in_phase(Phase.STARTING)),
        in_use=known + len(ready) - len(busy) if busy else None,  # the silent ones may be full
        full=bool(busy) and known >= spec.target_utilisation * len(busy),
        rows=sum(demand.rows_left for demand in demands),
        workers=sum(demand.workers for demand in demands),
        payback=min(LAST_PAYBACK, spec.payback) if observed.due_in_s is None else spec.payback,
    )


def _speaks(replica: Replica, spec: Spec, now: float) -> bool:
    return replica.load is not None and now - replica.load.at <= spec.stale_s


def _busy(replica: Replica, spec: Spec, rates: Rates) -> float:
    """The part of its speed that is used: half of the slots give much more than half of it, so
    slots count only while speed is not known."""
    counted = rates.counted.get(replica.name)
    if counted is not None and counted.busy is not None:
        return counted.busy
    return 0.0 if replica.load is None else min(1.0, replica.load.in_flight / spec.max_num_seqs)


def _hold(view: _View, why: str) -> Scaling:
    memory = replace(view.memory, quiet=None)
    return Scaling(replicas=view.current, reason=f"{why}: hold", memory=memory)


def _unneeded(view: _View, due_in_s: float | None) -> Scaling:
    """No running stage needs the fleet: to zero, unless one soon will."""
    since = view.now if view.memory.idle_since is None else view.memory.idle_since
    memory = Memory(idle_since=since, rates=view.memory.rates)
    timeout_s = view.spec.idle_timeout_s
    if due_in_s is None:
        return Scaling(replicas=0, reason="no stage needs the fleet", memory=memory)
    if math.isfinite(due_in_s):
        keeps, why = due_in_s <= timeout_s, f"a stage is due in {due_in_s:.0f} s"
    else:
        idle_s = view.now - since
        keeps, why = idle_s < timeout_s, f"idle for {idle_s:.0f} s of {timeout_s:.0f} s"
    why = f"no running stage needs the fleet, {why}"
    if not keeps:
        return Scaling(replicas=0, reason=why, memory=memory)
    if view.in_use is None:
        return Scaling(
            replicas=view.current, reason=why, memory=replace(view.memory, idle_since=since)
        )
    view = _averaged(view)
    found = _enough(view, why)
    return replace(found, memory=replace(found.memory, idle_since=since))


def _needed(view: _View) -> Scaling:
    wanted, why = _asked(view)
    view = _averaged(view)
    memory = view.memory
    limit = _filled_before(view)
    if limit is not None and wanted > max(limit, view.current):
        wanted = max(limit, view.current)
        why += f", but clients were seen to fill no more than {limit}"
    if wanted > view.current and memory.quiet is None:
        return Scaling(replicas=wanted, reason=why, memory=memory)
    return _enough(view, f"enough: {why}")


def _enough(view: _View, why: str) -> Scaling:
    """As many as there are, or fewer."""
    if view.memory.quiet is None:
        return Scaling(replicas=view.current, reason=why, memory=view.memory)
    return _shrunk(view, view.memory.quiet)


def _asked(view: _View) -> tuple[int, str]:
    """What the rows that are left ask for, and why."""
    rows, slots = view.rows, view.slots
    if not rows:
        return 0, "no rows left to start"
    if view.work_s is None:
        wanted = math.ceil(rows / slots)
        return wanted, f"{_rows(rows)} not measured yet: {wanted} of {slots:.0f} each"
    left_s = view.work_s - view.ready * view.start_s
    told = f"{_rows(rows)} are {view.work_s:.0f} s of one replica, a start takes {view.start_s:.0f}"
    if view.spec.deadline_at is not None:
        wanted, why = _by_deadline(view, left_s, view.spec.deadline_at - view.now)
        return wanted, f"{told} s, {why}"
    wanted = math.ceil(left_s / (view.payback * view.start_s))
    wanted = max(wanted, 0 if view.current else 1)
    return wanted, f"{told} s: {wanted} pay back" if left_s > 0 else f"{told} s"


def _by_deadline(view: _View, left_s: float, until_s: float) -> tuple[int, str]:
    if left_s <= 0:
        return (0 if view.current else 1), f"due in {until_s:.0f} s"
    if until_s <= view.start_s:
        return view.spec.max_replicas, f"due in {until_s:.0f} s: all there may be"
    wanted = math.ceil(left_s / (view.spec.target_utilisation * (until_s - view.start_s)))
    return wanted, f"due in {until_s:.0f} s: {wanted}"


def _averaged(view: _View) -> _View:
    """The view with the mean of what is empty, and with since when that has been too little."""
    memory = replace(view.memory, idle_since=None)
    if view.in_use is None:  # nothing is ready
        return replace(view, memory=replace(memory, idle=None, quiet=None))
    idle = _idle(memory.idle, view.ready - view.in_use, view)
    quiet = memory.quiet
    is_many = view.ready - idle.value < view.spec.target_utilisation * view.ready
    if not is_many or (quiet is not None and _warranted(view, quiet)):
        quiet = None
    elif quiet is None:
        quiet = Quiet(since=view.now, rows=view.rows, workers=view.workers)
    return replace(view, memory=replace(memory, idle=idle, quiet=quiet))


def _idle(before: Idle | None, empty: float, view: _View) -> Idle:
    """Of what is idle, not of what is in use: that one would lag behind replicas that start."""
    before = Idle(value=0.0, at=view.now) if before is None else before
    if view.hold_down_s <= 0:
        return Idle(value=empty, at=view.now)
    weight = -math.expm1(-max(0.0, view.now - before.at) / view.hold_down_s)
    return Idle(value=before.value + (empty - before.value) * weight, at=view.now)


def _warranted(view: _View, quiet: Quiet) -> bool:
    """Did so much work come since that these replicas would be started for it?"""
    return view.asks_more_than(quiet) and not _is_little(view)


def _is_little(view: _View) -> bool:
    """Too little to start the ready replicas for, were they not there already."""
    if view.work_s is None:
        return view.rows < view.ready * view.slots
    return view.work_s < view.ready * view.payback * view.start_s


def _filled_before(view: _View) -> int | None:
    """How many replicas clients could fill when they last had too many; None if that is past."""
    shrunk = view.memory.shrunk
    if shrunk is None or view.asks_more_than(shrunk):
        return None
    if not view.full:
        return shrunk.replicas
    trials = int((view.now - shrunk.at) / (RETRY_COLD_STARTS * view.start_s))
    return int(max(1, shrunk.replicas) * 2 ** min(max(trials, 0), 30))


def _shrunk(view: _View, quiet: Quiet) -> Scaling:
    """Too many are ready: hold, and after the hold-down keep those that are used."""
    idle = view.memory.idle
    used = max(0.0, view.ready - idle.value) if idle is not None else float(view.ready)
    quiet_s = view.now - quiet.since
    told = f"{used:.1f} of {view.ready} ready replicas in use"
    if quiet_s < view.hold_down_s:
        reason = f"{told}, for {quiet_s:.0f} s of {view.hold_down_s:.0f} s: hold"
        return Scaling(replicas=view.current, reason=reason, memory=view.memory)
    kept = min(view.current, _kept(view, used / view.spec.target_utilisation))
    shrunk = Shrunk(at=view.now, replicas=kept, rows=view.rows, workers=view.workers)
    empty = Idle(value=max(0.0, kept - used), at=view.now)
    memory = replace(view.memory, idle=empty, quiet=None, shrunk=shrunk)
    return Scaling(replicas=kept, reason=f"{told} over {quiet_s:.0f} s", memory=memory)


def _kept(view: _View, used: float) -> int:
    """Rounded down where there is little left to do: what is too much for those that stay gathers
    until one more pays back.  Rounded up where work waits that clients do not send any faster."""
    rounded = math.floor(used) if _is_little(view) else math.ceil(used)
    return max(1, rounded)


def _clamped(found: Scaling, spec: Spec) -> Scaling:
    """Last of all, so that nothing above can leave the range."""
    if found.replicas < spec.min_replicas:
        reason = f"{found.reason}; at least {spec.min_replicas} stay"
        return replace(found, replicas=spec.min_replicas, reason=reason)
    if found.replicas > spec.max_replicas:
        reason = f"{found.reason}; at most {spec.max_replicas} are allowed"
        return replace(found, replicas=spec.max_replicas, reason=reason)
    return found


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _replicas(count: int) -> str:
    return "1 replica" if count == 1 else f"{count} replicas"
