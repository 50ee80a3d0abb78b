"""What does `rprm compare` do?  Finds runs, reads the published numbers, prints one table."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rprm import options as opt
from rprm.comparing import markdown, page, terminal
from rprm.comparing.as_json import as_dict
from rprm.comparing.building import K_CURVE, Wanted, belongs, build, views_of
from rprm.comparing.finding import find_artifacts
from rprm.comparing.measured import Measured, measured_at_every_k, measured_by
from rprm.comparing.recorded import read_result
from rprm.comparing.view import View
from rprm.errors import BadInput
from rprm.published.reading import load_published


class BenchmarkName(StrEnum):
    PROCESSBENCH = "processbench"
    PRMBENCH = "prmbench"
    BEST_OF_N = "best-of-n"
    GUIDED_SEARCH = "guided-search"
    K_CURVE = "k-curve"
    DATA_SCALING = "data-scaling"
    THRESHOLD = "threshold"


class Look(StrEnum):
    TERMINAL = "terminal"
    MARKDOWN = "markdown"
    HTML = "html"


SUFFIXES = {".md": Look.MARKDOWN, ".html": Look.HTML, ".htm": Look.HTML}

Runs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[RUN…]",
        help="A campaign (or its file), a measuring stage or an artifact of the store, or the "
        "FILE.json of `rprm score … --json`; NAME=RUN calls it NAME.",
        show_default=False,
    ),
]
OnBenchmark = Annotated[
    BenchmarkName | None,
    typer.Option(
        "--benchmark", "-b", help="Which table.  [default: those of the runs, or processbench]"
    ),
]
Systems = Annotated[
    list[str] | None,
    typer.Option(
        "--systems",
        "-s",
        metavar="NAME",
        help="Published systems to show, by the start of a word in their name or a glob; give it "
        "again for more, or `none`.  [default: all]",
        show_default=False,
    ),
]
Baseline = Annotated[
    str | None,
    typer.Option(
        "--baseline",
        metavar="NAME",
        help="Show every difference to this line, ours or published, with its interval.",
    ),
]
Critiques = Annotated[
    int | None,
    typer.Option("--critiques", "-K", min=1, help="Of our judges.  [default: most measured]"),
]
Accuracies = Annotated[
    bool,
    typer.Option(
        "--accuracies", help="ProcessBench: also the accuracies with and without an error."
    ),
]
LookAs = Annotated[
    Look | None,
    typer.Option("--format", help="[default: by the name of --output, else terminal]"),
]
StoreUrl = Annotated[str | None, opt.store_option("runs are")]
OutputFile = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it there.")
]
AsJson = Annotated[
    bool, typer.Option("--json", help="One JSON object per table, with every cell and note.")
]


def compare(  # noqa: PLR0913  every knob of the table, for a person to turn
    runs: Runs = None,
    benchmark: OnBenchmark = None,
    systems: Systems = None,
    baseline: Baseline = None,
    critiques: Critiques = None,
    accuracies: Accuracies = False,
    look: LookAs = None,
    output: OutputFile = None,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Put our runs beside the published numbers, with intervals and the source of each number.

    Without a run it shows what is published.  Misprints are shown as printed, with the recomputed
    value in a note; so are sizes, sources, and why a number is not comparable with the others.

    Intervals resample whole problems.  A difference of two of our runs on the same data is paired;
    against a published number the interval is that of ours alone, because theirs is not known.

    **Examples**

    * `rprm compare` shows ProcessBench as published; `-b prmbench` another benchmark.
    * `rprm compare quickstart --systems none --baseline direct`
    * `rprm compare bench-dpo --systems 'R-PRM*' --systems Qwen --baseline Qwen2.5-Math-7B-PRM800K`
    * `rprm compare 'my judge=scores.json' -b prmbench` where `rprm score … --json` wrote the file
    * `rprm compare claims --output comparison.html`
    * `rprm compare bench-dpo -b k-curve` shows every K that was measured beside the paper's curve.
    """
    name = benchmark.value if benchmark else ""
    measured = measure(runs or (), Choice(store=store, k=critiques, benchmark=name))
    names = [name] if name else views_of(measured)
    wanted = Wanted(
        systems=systems or (),
        baseline=baseline or "",
        accuracies=accuracies or as_json,
        lenient=len(names) > 1,
    )
    views = [build(one, load_published(), measured, wanted) for one in names]
    _check_found(views, wanted)
    chosen = look or (SUFFIXES.get(output.suffix.lower()) if output else None) or Look.TERMINAL
    text = _json(views) if as_json else _rendered(views, chosen, to_file=output is not None)
    if output is None:
        sys.stdout.write(text)
        return
    _write(output, text)
    sys.stderr.write(f"wrote {output}\n")


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """Which of a run's measurements are meant."""

    store: str | None
    k: int | None
    benchmark: str = ""
    """All where empty."""


def measure(runs: Sequence[str], choice: Choice) -> list[Measured]:
    """Everything the runs measured, in the order given; what two of them share counts once."""
    found: dict[tuple[str, str, str], Measured] = {}
    for run in runs:
        of_run = _of_run(run, choice)
        _check_shown(run, of_run, choice.benchmark)
        for one in of_run:
            found.setdefault((one.name, one.method, one.origin), one)
    return list(found.values())


def _of_run(run: str, choice: Choice) -> list[Measured]:
    label, rest = _named(run)
    if rest.endswith(".json"):
        return read_result(Path(rest), name=label or Path(rest).stem)
    name = Path(rest).stem if rest.endswith((".yaml", ".yml")) else rest
    artifacts = find_artifacts(name, store=choice.store)
    if choice.benchmark == K_CURVE:
        return [one.renamed(label, alone=False) for one in measured_at_every_k(artifacts)]
    measured = measured_by(artifacts, k=choice.k)
    return [one.renamed(label, alone=len(measured) == 1) for one in measured]


def _named(run: str) -> tuple[str, str]:
    """NAME=RUN; an equals sign further on may belong to a path."""
    label, sign, rest = run.partition("=")
    return (label, rest) if sign and "/" not in label else ("", run)


def _check_shown(run: str, measured: Sequence[Measured], name: str) -> None:
    """A run of which nothing would be shown is not silently left out."""
    if name and not any(belongs(one, name) for one in measured):
        fits = views_of(measured) if measured else []
        fix = f"use --benchmark {fits[0]}, or leave it out" if fits else "leave it out"
        raise BadInput(f"{run} has no line in {name}.", fix=fix)


def _check_found(views: Sequence[View], wanted: Wanted) -> None:
    """With several tables a name need be in one of them only."""
    lines = [line.label for view in views for line in view.lines]
    if wanted.baseline and not any(view.baseline for view in views):
        raise BadInput(
            f"no line of any table is called {wanted.baseline!r}.", fix=f"lines: {', '.join(lines)}"
        )


def _json(views: Sequence[View]) -> str:
    return "".join(f"{json.dumps(as_dict(view))}\n" for view in views)


def _rendered(views: Sequence[View], look: Look, *, to_file: bool) -> str:
    if look is Look.HTML:
        return page.render(views)
    if look is Look.MARKDOWN:
        return "\n".join(markdown.render(view) for view in views)
    return terminal.text(views, to_file=to_file)


def _write(file: Path, text: str) -> None:
    """Whole or not at all, unless it is a pipe or a device."""
    special = file.exists() and not file.is_file()
    staged = file if special else file.with_name(f".{file.name}.partial")
    try:
        staged.write_text(text, encoding="utf-8")
        if not special:
            staged.replace(file)
    except OSError as error:
        if not special:
            staged.unlink(missing_ok=True)
        raise BadInput(
            f"cannot write {file}: {error.strerror}.", fix="make its folder, or name another file"
        ) from error
