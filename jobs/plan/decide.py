"""What should happen now?  Observations of every stage in, actions with reasons out.

Level-triggered and pure: the same observations give the same actions, so a controller that was
killed and started again goes on as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from jobs.plan.actions import Action, Fail, Prepare, Reuse, Seal, Skip, Stop, Submit, Wait
from jobs.plan.retry import Cause, Retry, RetryPolicy, StopShard, StopStage, after

__all__ = [
    "Action",
    "Fail",
    "Prepare",
    "Reuse",
    "Seal",
    "Skip",
    "StageState",
    "Stop",
    "Submit",
    "Wait",
    "decide",
]

HOPELESS_SHARDS = 3
"""When this many shards used up their retries and none ever succeeded, the rest will not either."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StageState:
    """What is known of one stage right now."""

    name: str
    address: str = ""
    needs: tuple[str, ...] = ()
    """Names of upstream stages; they come before this one in the list given to `decide`."""
    sealed: bool = False
    num_shards: int | None = None
    """None until the stage was prepared."""
    done: AbstractSet[int] = frozenset()
    """Committed shards."""
    failures: Mapping[int, Mapping[Cause, int]] = field(default_factory=dict)
    """How often a shard's attempts ended for each cause; only shards that ever failed."""
    num_rows: int | None = None
    """Rows of the whole stage, committed or not; None until known."""
    error_rows: int = 0
    """Committed rows that could not be worked on."""
    error_budget: float = 0.0
    running: AbstractSet[int] | bool = False
    """Shards in the backend's hands, queued ones among them; True for all that are not done."""
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    cancelled: bool = False
    held: str = ""
    """Why no further shards may be handed out for now; empty when nothing speaks against it."""
    blocked: str = ""
    """Why none ever may: the stage fails."""


def decide(stages: Sequence[StageState], *, draining: bool) -> list[Action]:
    """One verdict per stage, in their order; a failed or cancelled one with live work also gets
    a Stop before it.  Raises ValueError when a stage comes before one that it needs."""
    known: dict[str, StageState] = {}
    broken: dict[str, str] = {}
    """Stage that will never be sealed -> the stage where that began."""
    actions: list[Action] = []
    for state in stages:
        missing = [need for need in state.needs if need not in known]
        if missing:
            raise ValueError(f"stage {state.name!r} comes before {missing[0]!r}, which it needs")
        verdict = _verdict(state, known, broken, draining=draining)
        if isinstance(verdict, Fail | Skip):
            broken[state.name] = verdict.root if isinstance(verdict, Skip) else state.name
            if state.running:
                actions.append(Stop(stage=state.name, reason=verdict.reason))
        actions.append(verdict)
        known[state.name] = state
    return actions


def _verdict(
    state: StageState,
    known: Mapping[str, StageState],
    broken: Mapping[str, str],
    *,
    draining: bool,
) -> Action:
    if state.sealed:
        return Reuse(stage=state.name, reason=f"sealed as {state.address}")
    if state.cancelled:
        reason = "cancelled by a person; run the campaign again to go on"
        return Skip(stage=state.name, reason=reason, root=state.name)
    for need in state.needs:
        if need in broken:
            return _skipped(state.name, need, broken[need])
    waits_for = [need for need in state.needs if not known[need].sealed]
    if waits_for:
        return Wait(stage=state.name, reason=f"waits for {_listed(waits_for)}")
    if state.num_shards is None:
        if draining:
            return Wait(stage=state.name, reason="draining: nothing new is started")
        return Prepare(stage=state.name, reason="all inputs are sealed")
    return _advance(state, state.num_shards, draining=draining)


def _skipped(name: str, need: str, root: str) -> Skip:
    via = f" (through {need})" if need != root else ""
    return Skip(stage=name, reason=f"{root} did not succeed{via}", root=root)


def _advance(state: StageState, num_shards: int, *, draining: bool) -> Action:
    """A prepared stage: fail it, seal it, submit what is missing, or wait."""
    is_complete = len(state.done) >= num_shards and all(i in state.done for i in range(num_shards))
    if problem := _over_error_budget(state):
        return Fail(stage=state.name, reason=problem)
    if is_complete:
        return Seal(stage=state.name, reason=f"all {_shards(num_shards)} committed")
    judged = _judge(state)
    if problem := state.blocked or _hopeless(state, judged):
        return Fail(stage=state.name, reason=problem)
    missing = _missing(state, num_shards, judged.stopped)
    if missing and draining:
        reason = f"draining: {_shards(len(missing))} left for the next run"
        return Wait(stage=state.name, reason=reason)
    if missing and state.held:
        return Wait(stage=state.name, reason=f"waits for {state.held}")
    if missing:
        reason = _submit_reason(num_shards, missing, judged)
        return Submit(stage=state.name, reason=reason, shards=missing, failures=judged.again)
    if _has_live_shards(state):
        return Wait(stage=state.name, reason=_wait_reason(state, num_shards, judged))
    return Fail(stage=state.name, reason=_stopped_reason(state, num_shards, judged))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Judged:
    """What follows from the failures of shards that are not committed."""

    stopped: Mapping[int, StopShard]
    again: Mapping[int, Mapping[Cause, int]]
    """Shards that failed, are in nobody's hands and may be tried again."""
    example: str
    """One of them and its history."""
    fatal: str


def _judge(state: StageState) -> _Judged:
    stopped: dict[int, StopShard] = {}
    again: dict[int, Mapping[Cause, int]] = {}
    verdicts: dict[frozenset[tuple[Cause, int]], Retry | StopShard | StopStage] = {}
    example, fatal = "", ""
    for shard, failures in state.failures.items():
        if shard in state.done:
            continue
        history = frozenset(failures.items())  # many shards, few different histories
        if history not in verdicts:
            verdicts[history] = after(failures, state.policy)
        verdict = verdicts[history]
        if isinstance(verdict, StopStage):
            fatal = fatal or f"shard {shard}: {verdict.reason}"
        elif isinstance(verdict, StopShard):
            stopped[shard] = verdict
        elif not _is_live(state, shard):
            again[shard] = failures
            example = example or f"shard {shard}: {verdict.reason}"
    return _Judged(stopped=stopped, again=again, example=example, fatal=fatal)


def _over_error_budget(state: StageState) -> str:
    """Why there are too many error rows, whatever becomes of the other rows."""
    num_rows = state.num_rows or 0
    allowed = state.error_budget * num_rows * (1 + 1e-9)  # 0.29 * 100 is a little below 29
    if state.error_rows <= allowed:
        return ""
    return (
        f"{state.error_rows} of {num_rows} rows are error rows, more than the error budget of "
        f"{state.error_budget:.4g} allows: read their causes with `jobs status`, then run them "
        "again with `jobs retry --rows` or raise errorBudget"
    )


def _hopeless(state: StageState, judged: _Judged) -> str:
    if judged.fatal:
        return f"{judged.fatal}: read `jobs logs {state.name}` and correct the campaign"
    exhausted = [shard for shard, verdict in judged.stopped.items() if verdict.exhausted]
    if state.done or len(exhausted) < HOPELESS_SHARDS:
        return ""
    return (
        f"{_shards(len(exhausted))} used up their retries and none ever succeeded; shard "
        f"{exhausted[0]}: {judged.stopped[exhausted[0]].reason}: read `jobs logs {state.name}`"
    )


def _missing(state: StageState, num_shards: int, stopped: Mapping[int, StopShard]) -> Sequence[int]:
    """Shards that nobody works on and that may still succeed."""
    if state.running is True:
        return ()
    if not state.done and not state.running and not stopped:
        return range(num_shards)
    running: AbstractSet[int] = state.running or frozenset()
    done = state.done
    return tuple(
        i for i in range(num_shards) if i not in done and i not in running and i not in stopped
    )


def _is_live(state: StageState, shard: int) -> bool:
    return state.running if isinstance(state.running, bool) else shard in state.running


def _has_live_shards(state: StageState) -> bool:
    """Is there work whose outcome still matters?  Late twins of committed shards do not."""
    if isinstance(state.running, bool):
        return state.running
    return any(shard not in state.done for shard in state.running)


def _submit_reason(num_shards: int, missing: Sequence[int], judged: _Judged) -> str:
    reason = f"{len(missing)} of {_shards(num_shards)} to run"
    if judged.again:
        reason += f", {len(judged.again)} of them again ({judged.example})"
    return reason + _given_up(judged)


def _wait_reason(state: StageState, num_shards: int, judged: _Judged) -> str:
    return f"running: {len(state.done)} of {_shards(num_shards)} committed" + _given_up(judged)


def _given_up(judged: _Judged) -> str:
    if not judged.stopped:
        return ""
    first = next(iter(judged.stopped))
    return (
        f"; {_shards(len(judged.stopped))} given up, so the stage will fail once the rest is "
        f"finished (shard {first}: {judged.stopped[first].reason})"
    )


def _stopped_reason(state: StageState, num_shards: int, judged: _Judged) -> str:
    first = next(iter(judged.stopped))
    return (
        f"{len(judged.stopped)} of {_shards(num_shards)} given up, {len(state.done)} committed; "
        f"shard {first}: {judged.stopped[first].reason}: read `jobs logs {state.name}`, "
        "then `jobs retry` runs only what is missing"
    )


def _shards(count: int) -> str:
    return "1 shard" if count == 1 else f"{count} shards"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
