"""Which verbs does `jobs` have?  Each opens the campaign file and calls the runtime."""

from __future__ import annotations

import json
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from jobs.backends.base import ShardTask
from jobs.backends.slots import Machine, this_machine
from jobs.options import CampaignFile, StageName, StoreUrl, console_of_stdout
from jobs.runtime import showing
from jobs.runtime.cleaning import collect_garbage
from jobs.runtime.controller import Controller
from jobs.runtime.exporting import exporting
from jobs.runtime.live import JsonView, TableView, View
from jobs.runtime.retrying import request_cancel, retry_errors, retry_failures
from jobs.runtime.running import local_backend, local_fleets, run_campaign, start_worker
from jobs.runtime.session import open_session
from jobs.runtime.tailing import event_lines, worker_lines
from jobs.spec.campaign import campaign_schema
from jobs.spec.exitcodes import DRAINED, FAILED
from jobs.store.objects import open_store
from jobs.top_cli import top

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="""Run campaigns: files that say which stages to run, on what, in which order.

    A first session:

    * `jobs plan campaign.yaml` shows what would run, what is reused, and why.
    * `jobs run campaign.yaml` runs it; the same command goes on after any interruption.
    * `jobs top campaign.yaml` shows from another terminal what it does now.
    * `jobs explain campaign.yaml STAGE` says why a stage waits or failed, and what to do.

    Exit codes: 0 done · 1 a stage failed · 64 bad configuration · 75 stopped, run again to go on.
    """,
)


@app.command()
def run(  # noqa: PLR0913 - one for each option
    campaign: CampaignFile,
    store: StoreUrl = None,
    tracking: Annotated[
        str | None,
        typer.Option(help="MLflow tracking uri instead of the campaign's; `none` tracks nothing."),
    ] = None,
    cpus: Annotated[
        int | None, typer.Option(min=1, help="CPU slots; by default all this process may use.")
    ] = None,
    json_lines: Annotated[
        bool, typer.Option("--json", help="Events as JSON lines, also on a terminal.")
    ] = False,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Serve /metrics to Prometheus here; 0 finds a free port."
        ),
    ] = None,
    metrics_host: Annotated[
        str, typer.Option(help="The address to serve it at; by default this machine alone asks.")
    ] = "127.0.0.1",
) -> None:
    """Run a campaign to its end.  What is done is kept; the same command goes on after a stop.

    Ctrl-C (or SIGTERM) stops at safe points, a second one at once.
    """
    session = open_session(campaign, store=store)
    found = this_machine()
    machine = Machine(cpus=cpus or found.cpus, gpus=found.gpus)
    console = console_of_stdout()

    def make_view(controller: Controller) -> View:
        if json_lines or not console.is_terminal:
            return JsonView(_print_line)
        title = f"campaign {session.name} on {machine.cpus} CPUs"
        return TableView(console, progress=controller.observer.progress, title=title)

    report = Console(stderr=json_lines or not console.is_terminal)
    with exporting(session.folder, host=metrics_host, port=metrics_port, say=report.out) as through:
        backend = local_backend(session, machine)
        result = run_campaign(
            session,
            backend=backend,
            make_fleets=lambda tell: local_fleets(session, backend, tell),
            make_view=lambda controller: through(make_view(controller)),
            uri=tracking or session.campaign.spec.tracking.uri,
        )
    showing.print_result(report, session, result, campaign)
    if result.outcome.drained:
        raise typer.Exit(DRAINED)
    if not result.outcome.succeeded:
        raise typer.Exit(FAILED)


@app.command()
def plan(
    campaign: CampaignFile,
    store: StoreUrl = None,
    as_json: Annotated[bool, typer.Option("--json", help="One object on stdout.")] = False,
) -> None:
    """Show what would run, what is reused and why.  Starts nothing, writes nothing."""
    session = open_session(campaign, store=store)
    rows = showing.plan_rows(session)
    if as_json:
        print(json.dumps([showing.as_dict(row) for row in rows]))
    else:
        showing.print_plan(console_of_stdout(), rows)
        showing.print_planned_fleets(console_of_stdout(), session)


@app.command()
def status(
    campaign: CampaignFile,
    store: StoreUrl = None,
    as_json: Annotated[bool, typer.Option("--json", help="One object on stdout.")] = False,
) -> None:
    """Show how far every stage is, with its failed shards and rows that could not be judged, and
    what the replicas of its fleets do (as JSON: `jobs top --json`)."""
    session = open_session(campaign, store=store)
    rows = showing.status_rows(session)
    if as_json:
        print(json.dumps([showing.as_dict(row) for row in rows]))
    else:
        console = console_of_stdout()
        showing.print_status(console, session, rows)
        showing.print_fleets(console, session, campaign)


app.command()(top)


@app.command()
def explain(campaign: CampaignFile, stage: StageName = None, store: StoreUrl = None) -> None:
    """Say why a stage waits or failed, and what to do about it."""
    session = open_session(campaign, store=store)
    showing.print_explanations(console_of_stdout(), session, session.matching(stage), campaign)


@app.command()
def logs(
    campaign: CampaignFile,
    stage: StageName = None,
    shard: Annotated[int | None, typer.Option(help="Only this shard.")] = None,
    events: Annotated[
        bool, typer.Option("--events", help="The campaign's events instead of worker output.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the running campaign ends.")
    ] = False,
) -> None:
    """Print what workers wrote on this machine, newest attempt last."""
    session = open_session(campaign)
    if events:
        lines = event_lines(session, follow=follow)
    else:
        lines = worker_lines(session, session.matching(stage), shard, follow=follow)
    for line in lines:
        print(line, flush=follow)


@app.command()
def cancel(campaign: CampaignFile, store: StoreUrl = None) -> None:
    """Ask the running campaign to stop at safe points; `jobs run` goes on later."""
    session = open_session(campaign, store=store)
    request_cancel(session)
    print(f"asked campaign {session.name} to stop.")


@app.command()
def retry(
    campaign: CampaignFile,
    stage: StageName = None,
    store: StoreUrl = None,
    rows: Annotated[
        bool,
        typer.Option(
            "--rows", help="Also redo shards with rows that could not be judged, even if sealed."
        ),
    ] = False,
) -> None:
    """Renew the retry budgets of failed shards; `jobs run` then tries them again."""
    session = open_session(campaign, store=store)
    stages = session.matching(stage)
    cleared = retry_failures(session, stages)
    print(f"{cleared} failed attempts forgotten.")
    if rows:
        redone = retry_errors(session, stages)
        for line in redone or ["no rows to redo."]:
            print(line)
    print(f"next: jobs run {campaign}")


@app.command()
def gc(
    campaigns: Annotated[
        list[Path],
        typer.Argument(metavar="CAMPAIGN...", help="Campaigns whose artifacts are kept."),
    ],
    store: StoreUrl = None,
    delete: Annotated[
        bool, typer.Option("--delete", help="Remove the garbage; without it, only list it.")
    ] = False,
    grace_h: Annotated[
        float, typer.Option(min=0, help="Spare unfinished work younger than this many hours.")
    ] = 24.0,
) -> None:
    """List (or with --delete remove) what no given campaign needs: other artifacts, leftovers of
    killed attempts, torn checkpoints."""
    sessions = [open_session(path, store=store) for path in campaigns]
    for line in collect_garbage(sessions, delete=delete, grace=timedelta(hours=grace_h)):
        print(line)


@app.command()
def schema() -> None:
    """Print the JSON Schema of the campaign document."""
    print(json.dumps(campaign_schema(), indent=2))


@app.command(hidden=True)
def worker(
    store: Annotated[str, typer.Option(help="Object store.")],
    artifact: Annotated[str, typer.Option(help="Address of the artifact.")],
    shard: Annotated[int, typer.Option(help="Index of the shard.")],
    attempt: Annotated[str, typer.Option(help="A name no other attempt has.")] = "",
    cpus: Annotated[int, typer.Option(min=1)] = 1,
) -> None:
    """Do one shard in this process; for backends that start a command per shard."""
    task = ShardTask(
        store_url=open_store(store, {}).url,
        store_options={},
        address=artifact,
        node=artifact,
        coordinates={},
        shard=shard,
        attempt=attempt or os.urandom(4).hex(),
        cpus=cpus,
    )
    raise typer.Exit(start_worker(task))


def _print_line(line: str) -> None:
    """A reader who leaves (`jobs run … | head`) ends the printing, not the campaign."""
    try:
        print(line, flush=True)
    except BrokenPipeError:
        _mute()


def _mute() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def main() -> None:
    """The console script: problems become one clear message and an exit code."""
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # `jobs status … | head`
        _mute()
    except Exception as error:
        code = getattr(error, "exit_code", None)
        if not isinstance(code, int):
            raise
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"error: {error}", markup=False)
        sys.exit(code)
