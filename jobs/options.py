"""Which arguments do verbs share, and how wide is what they print?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

PIPE_WIDTH = 200

CampaignFile = Annotated[
    Path, typer.Argument(metavar="CAMPAIGN", help="The campaign's YAML file.", show_default=False)
]
StoreUrl = Annotated[
    str | None,
    typer.Option(
        "--store",
        envvar="RPRM_STORE",
        help="Object store instead of the campaign's: a folder, s3://…, gs://…, az://….",
    ),
]
StageName = Annotated[
    str | None,
    typer.Argument(metavar="[STAGE]", help="A stage's name; all when left out."),
]


def console_of_stdout() -> Console:
    """Nobody reads a pipe or a file at 80 columns: there, names must not be cut."""
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False)
