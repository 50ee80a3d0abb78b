"""What does `jobs top` do?  One look, or a live one until somebody leaves it."""

from __future__ import annotations

import contextlib
import json
from typing import Annotated

import typer
from rich.text import Text

from jobs.options import CampaignFile, StoreUrl, console_of_stdout
from jobs.runtime.session import open_session
from jobs.runtime.showing import nobody
from jobs.runtime.top import Looking, keys, show_live, show_once


def top(
    campaign: CampaignFile,
    store: StoreUrl = None,
    once: Annotated[bool, typer.Option("--once", help="Print one look and end.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One look at the fleets, as one object on stdout.")
    ] = False,
) -> None:
    """Watch a running campaign: its stages, and what every replica of its fleets does.

    `q` or Ctrl-C leaves; the campaign goes on.
    """
    session, console = open_session(campaign, store=store), console_of_stdout()
    looking = Looking(session)
    seen = looking.look(stages=not as_json)
    if as_json:
        typer.echo(json.dumps(seen.as_dict()))
        return
    if seen.running and (once or not console.is_terminal):
        show_once(console, seen)
    elif seen.running:
        with contextlib.suppress(KeyboardInterrupt), keys() as wait:
            seen = show_live(console, looking.look, wait)
    if not seen.running:
        console.print(Text(nobody(session, campaign)), soft_wrap=True)
