"""What is the cheapest a fleet can do that loses no time, if the whole future is known?

Best makespan   that of a fleet that is as large as allowed from the first second to the last;
                nobody can have a replica ready before one cold start has passed
Cheapest        replica-seconds of the cheapest schedule found that ends within 1% of it: exact
                for fluid work (dynamic programming over time, replicas and backlog, cold starts
                paid, started ahead of the work, work left lying where that costs no time), then
                replayed in the simulator, because rows are no fluid.  Where the replay is late,
                the plan is made again for a little more work
Knows           arrivals, lengths, the end of every training; in the replay also what every
                replica has in flight at that moment
Does not know   how long each single cold start takes: a start is given the mean

So its makespan is what nobody can beat, and its cost is what can be had in this simulator; a
schedule that is a little cheaper yet may exist, one per cent cheaper hardly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jobs.plan.fleet import Spec
from tests.bench.fleet_policies import Fixed
from tests.bench.fleet_server import ROW_SLOTS
from tests.bench.fleet_simulation import COLD_START_S, Outcome, Seen, World, simulate
from tests.bench.fleet_traces import Trace

STEP_S = 20.0
MAX_BACKLOG = 2000
"""In steps of one replica."""

LATE = 1e4
"""Replica-steps that a step of work costs which is left at a deadline."""

TOLERANCE = 1.01
MARGINS = (1.0, 1.02, 1.05, 1.1)
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    replicas: Sequence[int]
    """Ready in each step."""
    backlog: Sequence[int]
    """Left after each step."""


class Oracle:
    """Follows a plan; releases what has nothing left to do."""

    name = "oracle"
    tick_s = 5.0
    delay_s = 0.0

    def __init__(self, plan: Plan, arrivals: Sequence[float]) -> None:
        self.plan, self.arrivals = plan, arrivals
        self.level = 0

    def wanted(self, seen: Seen, world: World) -> int:
        if world.is_over:
            return 0
        now, replicas = seen.now, self.plan.replicas
        first, last = int(now / STEP_S), int((now + COLD_START_S) / STEP_S)
        planned = max(replicas[first : last + 1], default=0)
        unsent = len(world.queue) + len(world.unclaimed) + sum(
            len(shard.unopened) for shard in world.shards if shard.open
        )  # fmt: skip
        is_due = first < len(replicas) and self.plan.backlog[first] > 0
        if planned < self.level and unsent and not is_due:
            planned = self.level  # rows are no fluid: these should have been done by now
        self.level = planned
        comes_soon = any(now < at <= now + COLD_START_S for at in self.arrivals)
        if not unsent and not comes_soon and world.running:
            in_flight = sum(server.in_flight for server in world.servers.values())
            planned = min(planned, math.ceil(in_flight / ROW_SLOTS))
        return planned


def oracle(trace: Trace, spec: Spec, *, seed: int = 0) -> Outcome:
    """Its makespan is the best possible, its replica-seconds those of the cheapest schedule."""
    best = simulate(trace, Fixed(spec), spec, seed=seed)
    arrivals = sorted(best.began.values())
    found = [best]
    for margin in MARGINS:
        plan = schedule(trace, spec, best, margin=margin)
        found.append(simulate(trace, Oracle(plan, arrivals), spec, seed=seed))
        if found[-1].makespan_s <= TOLERANCE * best.makespan_s:
            break  # more margin only costs more
    makespan_s = min(one.makespan_s for one in found)
    in_time = [one for one in found if one.makespan_s <= TOLERANCE * makespan_s]
    cheapest = min(in_time, key=lambda one: one.replica_s)
    return Outcome(
        policy="oracle",
        makespan_s=makespan_s,
        replica_s=cheapest.replica_s,
        turnaround_s=min(one.turnaround_s for one in found),
        starts=cheapest.starts,
        rows=cheapest.rows,
        tokens=cheapest.tokens,
        aborted=cheapest.aborted,
        began=cheapest.began,
        ended=cheapest.ended,
    )


def schedule(trace: Trace, spec: Spec, best: Outcome, *, margin: float) -> Plan:
    """The cheapest number of ready replicas in each step that leaves nothing at a deadline."""
    num_steps = math.ceil(best.makespan_s / STEP_S)
    arriving = _arriving(trace, best, num_steps, margin)
    followed = {stage.after for stage in trace.stages}
    ends = [best.ended[stage.name] for stage in trace.stages if stage.name in followed]
    deadlines = {int(end / STEP_S) - 1 for end in [*ends, best.makespan_s]} | {num_steps - 1}
    choices = _backward(arriving, deadlines, spec.max_replicas)
    replicas, backlog, level, left = [], [], 0, 0
    for step in range(num_steps):
        level = int(choices[step][level, min(left, MAX_BACKLOG)])
        left = max(0, left + int(arriving[step]) - level)
        replicas.append(level)
        backlog.append(left)
    return Plan(replicas=replicas, backlog=backlog)


def _arriving(trace: Trace, best: Outcome, num_steps: int, margin: float) -> npt.NDArray[np.int64]:
    work = np.zeros(num_steps)
    for stage in trace.stages:
        step = min(num_steps - 1, math.ceil(best.began[stage.name] / STEP_S))
        work[step] += margin * stage.work_s / STEP_S
    arrived = np.concatenate(([0.0], np.ceil(np.cumsum(work))))
    return (arrived[1:] - arrived[:-1]).astype(np.int64)


def _backward(
    arriving: npt.NDArray[np.int64], deadlines: set[int], max_replicas: int
) -> list[npt.NDArray[np.int8]]:
    """For each step: the best next number of replicas, by the present one and the backlog."""
    levels = np.arange(max_replicas + 1)
    backlogs = np.arange(MAX_BACKLOG + 1)
    start_cost = COLD_START_S / STEP_S * np.maximum(0, levels[None, :] - levels[:, None])
    to_go: Floats = np.zeros((len(levels), len(backlogs)))
    choices: list[npt.NDArray[np.int8]] = []
    for step in reversed(range(len(arriving))):
        left = np.maximum(0, backlogs[None, :] + arriving[step] - levels[:, None])
        taken = np.take_along_axis(to_go, np.minimum(left, MAX_BACKLOG), axis=1)
        cost: Floats = taken + levels[:, None] + LATE * np.maximum(0, left - MAX_BACKLOG)
        if step in deadlines:
            cost += LATE * left
        if step * STEP_S < COLD_START_S:
            cost[1:] = math.inf  # nothing can be ready yet
        total = cost[None, :, :] + start_cost[:, :, None]
        choices.append(np.argmin(total, axis=1).astype(np.int8))
        to_go = np.min(total, axis=1)
    return choices[::-1]
