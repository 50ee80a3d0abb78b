"""How are plans, states and explanations told to a person?"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.plan.actions import Action, Fail, Reuse, Skip, Stop, Submit, Wait
from jobs.plan.decide import StageState, decide
from jobs.runtime.fleet_lines import fleet_lines
from jobs.runtime.fleets_now import told_now
from jobs.runtime.lines import clock
from jobs.runtime.live import STYLES
from jobs.runtime.resolving import Resolved, fleet_instances
from jobs.runtime.running import Result
from jobs.runtime.session import Session
from jobs.store import layout
from jobs.store.artifacts import Artifact
from jobs.store.base import NotFound


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanRow:
    stage: str
    word: str
    """reused, runs, waits, failed or skipped."""
    shards: int | None
    done: int
    address: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StatusRow:
    stage: str
    word: str
    shards: int | None
    done: int
    failed_attempts: int
    rows: int
    error_rows: int
    address: str
    reason: str


def as_dict(row: PlanRow | StatusRow) -> dict[str, Any]:
    return asdict(row)


def plan_rows(session: Session) -> list[PlanRow]:
    """What `jobs run` would find and do first."""
    return [
        PlanRow(
            stage=state.name,
            word=word_of(action),
            shards=_num_shards(session, state),
            done=len(state.done),
            address=state.address,
            reason=action.reason,
        )
        for state, action in observed(session)
    ]


def observed(session: Session) -> list[tuple[StageState, Action]]:
    """Each stage's state and what is decided for it; nothing is asked of a backend."""
    states = session.observer.observe({})
    actions = [one for one in decide(states, draining=False) if not isinstance(one, Stop)]
    return list(zip(states, actions, strict=True))


def word_of(action: Action) -> str:
    match action:
        case Reuse():
            return "reused"
        case Wait():
            return "waits"
        case Fail():
            return "failed"
        case Skip():
            return "skipped"
        case _:
            return "runs"


def status_rows(session: Session) -> list[StatusRow]:
    rows = []
    for state, action in observed(session):
        seal = session.observer.seal(state.name)
        plan = session.observer.plans.get(state.name)
        per_shard = plan.num_rows / plan.num_shards if plan else 0
        rows.append(
            StatusRow(
                stage=state.name,
                word="sealed" if seal else word_of(action),
                shards=_num_shards(session, state),
                done=len(seal.shards) if seal else len(state.done),
                failed_attempts=sum(sum(c.values()) for c in state.failures.values()),
                rows=seal.num_rows if seal else round(len(state.done) * per_shard),
                error_rows=seal.num_errors if seal else session.observer.error_rows(state.name),
                address=state.address,
                reason=action.reason,
            )
        )
    return rows


def _num_shards(session: Session, state: StageState) -> int | None:
    seal = session.observer.seal(state.name)
    return len(seal.shards) if seal else state.num_shards


def print_plan(console: Console, rows: Sequence[PlanRow]) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("stage", "", "shards", "address", "why"):
        table.add_column(heading, no_wrap=heading != "why")
    for row in rows:
        shards = "?" if row.shards is None else f"{row.done}/{row.shards}"
        table.add_row(
            Text(row.stage), styled(row.word), shards, Text(row.address, "dim"), Text(row.reason)
        )
    console.print(table)
    reused = sum(row.word == "reused" for row in rows)
    console.print(f"{len(rows)} stages: {reused} reused, {len(rows) - reused} to run.")


def print_planned_fleets(console: Console, session: Session) -> None:
    """What would serve which stages."""
    callers: dict[str, list[str]] = {}
    for stage in session.stages:
        for by in stage.fleets.values():
            callers.setdefault(by.instance, []).append(stage.node.name)
    for instance, by in fleet_instances(session.stages).items():
        fleet, needs = by.fleet, by.fleet.resources
        count, kind = (needs.gpus, "GPU") if needs.gpus else (needs.cpus, "CPU")
        each = f"{count} {kind}{'s' if count > 1 else ''}"
        how = f"{fleet.min_replicas} to {fleet.max_replicas} replicas of {each}"
        what = how if fleet.url is None else "kept by others"
        names = ", ".join(dict.fromkeys(callers[instance]))
        console.print(f"fleet {instance}: {what}, for {names}", markup=False, style="dim")


def print_status(console: Console, session: Session, rows: Sequence[StatusRow]) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("stage", "state", "shards", "failed attempts", "rows", "error rows", "why"):
        table.add_column(heading, no_wrap=heading != "why")
    for row in rows:
        shards = "?" if row.shards is None else f"{row.done}/{row.shards}"
        numbers = [str(row.failed_attempts or ""), f"{row.rows:,}", str(row.error_rows or "")]
        why = "" if row.word == "sealed" else row.reason
        table.add_row(Text(row.stage), styled(row.word), shards, *numbers, Text(why))
    console.print(table)
    for row in rows:
        if row.error_rows and row.word == "sealed":
            print_error_rows(console, session.by_name[row.stage], session)


def print_fleets(console: Console, session: Session, campaign: Path) -> None:
    """Each with its replicas, where somebody keeps them."""
    path = session.folder.told
    told = told_now(path)
    if told is not None:
        now_s = time.time()
        age = clock(max(0.0, now_s - told.at))
        console.print(f"\nfleets, told {age} ago by process {told.pid}", style="dim")
        for line in fleet_lines(told, now_s=now_s, width=console.width):
            console.print(Text(line.text, line.style), soft_wrap=True)
    elif path.exists():
        console.print(f"\nfleets: {nobody(session, campaign)}", markup=False)


def nobody(session: Session, campaign: Path) -> str:
    return f"nobody runs campaign {session.name} now; start it with: jobs run {campaign}"


def print_error_rows(console: Console, stage: Resolved, session: Session) -> None:
    """Which rows could not be judged, by cause, with the first few of each."""
    errors = Artifact(session.store, stage.address).errors().to_pylist()
    causes: dict[str, list[dict[str, str]]] = {}
    for error in errors:
        causes.setdefault(error["cause"], []).append(error)
    console.print(f"\n{stage.node.name}: rows that could not be judged", style="bold")
    for cause, found in sorted(causes.items()):
        shown = ", ".join(error["row_id"] for error in found[:5])
        console.print(f"  {cause} x{len(found)}: {shown}", markup=False)
        console.print(f"    {found[0]['detail']}", style="dim", markup=False)


def styled(word: str) -> Text:
    same = {"runs": "running", "waits": "waiting"}
    return Text(word, style=STYLES.get(same.get(word, word), ""))


def print_explanations(
    console: Console, session: Session, stages: Sequence[Resolved], campaign: Path
) -> None:
    wanted = {stage.node.name for stage in stages}
    for state, action in observed(session):
        if state.name not in wanted:
            continue
        console.print(Text.assemble((state.name, "bold"), "  ", styled(word_of(action))))
        console.print(f"  why      {action.reason}", markup=False)
        console.print(f"  address  {state.address}", markup=False)
        for line in failure_lines(session, state):
            console.print(f"  failed   {line}", markup=False)
        console.print(f"  next     {advice(action, state.name, campaign)}", markup=False)


def failure_lines(session: Session, state: StageState) -> list[str]:
    """The last few failed attempts with what their worker said."""
    found = []
    for entry in session.store.list(layout.shards_prefix(state.address)):
        inside = layout.split_artifact_key(entry.key)
        key = layout.parse_shard_key(inside[1]) if inside else None
        if key is not None and key.kind == "failed":
            found.append((entry.modified, key, entry.key))
    lines = []
    for _, key, name in sorted(found, key=lambda one: one[0])[-5:]:
        try:
            detail = json.loads(session.store.get(name) or b"{}")
        except (NotFound, json.JSONDecodeError):
            detail = {}
        message = detail.get("message", "")
        lines.append(f"shard {key.shard}, {key.code}: {message}")
    return lines


def advice(action: Action, stage: str, campaign: Path) -> str:
    """The command that helps."""
    match action:
        case Reuse():
            return "nothing: it is done."
        case Submit():
            return f"jobs run {campaign}"
        case Fail():
            return (
                f"jobs logs {campaign} '{stage}' shows the output; after mending the cause: "
                f"jobs retry {campaign} '{stage}' && jobs run {campaign}"
            )
        case Skip(root=root):
            return f"jobs explain {campaign} '{root}'"
        case _:
            return f"jobs run {campaign}"


def print_result(console: Console, session: Session, result: Result, campaign: Path) -> None:
    """The last lines of a run: what came out, and what to do next."""
    outcome = result.outcome
    for stage, reason in outcome.reasons.items():
        console.print(f"{outcome.stages[stage]}: {stage}: {reason}", style="red", markup=False)
    if outcome.problem:
        console.print(f"error: {outcome.problem}", style="red", markup=False)
        console.print(f"nothing is lost; go on with: jobs run {campaign}", markup=False)
    elif outcome.drained:
        console.print(f"stopped; go on with: jobs run {campaign}", markup=False)
    elif outcome.succeeded:
        words = list(outcome.stages.values())
        console.print(
            f"done: {words.count('sealed')} stages ran, {words.count('reused')} were reused."
        )
        for line in published_reports(session):
            console.print(line, markup=False)
    elif any(word == "failed" for word in outcome.stages.values()):
        console.print(f"explain: jobs explain {campaign}", markup=False)
    tracked = result.tracked
    if tracked.problem:
        console.print(
            f"tracking: {tracked.waiting} records wait for the next run: {tracked.problem}",
            style="yellow",
            markup=False,
        )


def published_reports(session: Session) -> list[str]:
    """Where the pages are that stages published for people."""
    lines = []
    for stage in session.stages:
        seal = session.observer.seal(stage.node.name)
        for file in seal.files if seal else ():
            if file.name.endswith((".html", ".md")) and "/" not in file.name:
                key = layout.file_key(stage.address, file.name)
                local = session.store.local_path(key)
                lines.append(f"{stage.node.name}: {local or f'{session.store.url}/{key}'}")
    return lines
