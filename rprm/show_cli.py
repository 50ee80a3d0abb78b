"""What does `rprm show` take, and what does it say?"""

from __future__ import annotations

import os
import re
import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from rprm import options as opt
from rprm.scoring import Aggregate
from rprm.show.making import Wanted, make_page
from rprm.show.runs import Chosen, find_run
from rprm.show.shown import Category
from rprm.show.sources import open_source
from rprm.show.writing import Counts

PAGES = Path(".rprm/show")

RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A campaign (`quickstart`), a stage (`bench-dpo`, `judge-sft[rows=500]`), an artifact "
        "(`judge-sft-1c81…`, or its path or url), a file of `rprm judge --json`, or Parquet.",
        show_default=False,
    ),
]
StoreUrl = Annotated[str | None, opt.store_option("RUN is")]
Output = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Where the page goes; an older page there is replaced.  [default: .rprm/show/RUN]",
        show_default=False,
    ),
]
Open = Annotated[
    bool | None,
    typer.Option(
        "--open/--no-open",
        help="Open it in a browser.  [default: on a desktop's terminal]",
        show_default=False,
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        help="A step scored below it is wrong.  [default: as the run]",
        show_default=False,
        rich_help_panel=opt.JUDGING,
    ),
]
AggregateOf = Annotated[
    Aggregate | None,
    typer.Option(
        "--aggregate",
        help="soft: mean P(Yes) of the critiques; hard: share of yes verdicts.  "
        "[default: as the run]",
        show_default=False,
        rich_help_panel=opt.JUDGING,
    ),
]
NumCritiques = Annotated[
    int | None,
    typer.Option(
        "--critiques",
        "-K",
        min=1,
        help="Only the first K of each step.",
        show_default=False,
        rich_help_panel=opt.JUDGING,
    ),
]
Only = Annotated[
    Category | None,
    typer.Option(
        help="Only solutions of this kind, for a smaller page.",
        show_default=False,
        rich_help_panel=opt.SHOWING,
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Only the first so many solutions.",
        show_default=False,
        rich_help_panel=opt.SHOWING,
    ),
]


def show(  # noqa: PLR0913  every knob of a page, for a person to turn
    run: RunName,
    store: StoreUrl = None,
    output: Output = None,
    open_it: Open = None,
    threshold: Threshold = None,
    aggregate: AggregateOf = None,
    critiques: NumCritiques = None,
    only: Only = None,
    limit: Limit = None,
) -> None:
    """Make a page to read what a judge wrote: every solution, its steps and the critiques behind.

    Steps are coloured by score.  Filter by what the judge got wrong (missed errors, false alarms,
    the wrong place, no verdict), search, sort by certainty; `?` lists the keys.  The page is a
    folder that needs no server: send it, publish it, or open its index.html.  `#ID` at the end of
    its address leads to a solution.

    **Examples**

    * `rprm show quickstart` shows the judge that the campaign would promote
    * `rprm show judge-dpo --only missed-error`
    * `rprm show bench-sft -K 1 --output one-critique`
    * `rprm judge solutions.jsonl -m sft --json > judged.jsonl; rprm show judged.jsonl`
    """
    found = find_run(run, store)
    if isinstance(found, Chosen) and found.note:
        _say(f"note: {found.note}")
    source = open_source(found)
    folder = output or PAGES / _folder_name(found)
    wanted = Wanted(
        threshold=threshold,
        aggregate=aggregate,
        num_critiques=critiques,
        only=only,
        limit=limit,
    )
    counts = make_page(source, wanted, folder)
    index = folder / "index.html"
    _say(_summary(counts))
    typer.echo(index)
    if _on_a_desktop() if open_it is None else open_it:
        webbrowser.open(index.resolve().as_uri())


def _on_a_desktop() -> bool:
    """A person at a terminal, but not where a text browser would take it over."""
    windows = sys.platform != "linux" or {"DISPLAY", "WAYLAND_DISPLAY", "BROWSER"} & set(os.environ)
    return sys.stdout.isatty() and bool(windows)


def _folder_name(found: Path | Chosen) -> str:
    name = found.artifact.address if isinstance(found, Chosen) else found.resolve().stem
    return re.sub(r"[^\w.=-]+", "_", name).strip(".") or "run"


def _summary(counts: Counts) -> str:
    kinds = [f"{number} {name.value}" for name, number in counts.categories.items()]
    return (
        f"{_number(counts.solutions, 'solution')} ({', '.join(kinds)}), "
        f"{_number(counts.steps, 'judged step')}, {_number(counts.critiques, 'critique')}"
    )


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _say(line: str) -> None:
    typer.echo(line, err=True)
