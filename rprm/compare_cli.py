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
from rprm.comparing.building import Wanted, build, views_of
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
        help="A campaign, a measuring stage or an artifact of the store, or the FILE.json of "
        "`rprm score … --json`; NAME=RUN calls it NAME.",
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
    store: opt.StoreUrl = None,
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
    every_k = benchmark is BenchmarkName.K_CURVE
    measured = measure(runs or (), Choice(store=store, k=critiques, every_k=every_k))
    wanted = Wanted(
        systems=systems or (), baseline=baseline or "", accuracies=accuracies or as_json
    )
    names = [benchmark.value] if benchmark else views_of(measured)
    _check_shown(measured, "processbench" if every_k else ", ".join(names))
    views = [build(name, load_published(), measured, wanted) for name in names]
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
    every_k: bool = False


def measure(runs: Sequence[str], choice: Choice) -> list[Measured]:
    """Everything the runs measured, in the order given; what two of them share counts once."""
    found: dict[tuple[str, str, str], Measured] = {}
    for run in runs:
        for one in _of_run(run, choice):
            found.setdefault((one.name, one.method, one.origin), one)
    return list(found.values())


def _of_run(run: str, choice: Choice) -> list[Measured]:
    label, _, rest = run.rpartition("=")
    if rest.endswith(".json") or Path(rest).is_file():
        return read_result(Path(rest), name=label or Path(rest).stem)
    artifacts = find_artifacts(rest, store=choice.store)
    if choice.every_k:
        return [one.renamed(label, alone=False) for one in measured_at_every_k(artifacts)]
    measured = measured_by(artifacts, k=choice.k)
    if not measured and choice.k is not None:
        known = sorted({row["k"] for one in artifacts for row in one.rows if "k" in row})
        raise BadInput(
            f"{rest} was not measured with K = {choice.k} critiques.",
            fix=f"use one of {', '.join(map(str, known))}",
        )
    return [one.renamed(label, alone=len(measured) == 1) for one in measured]


def _check_shown(measured: Sequence[Measured], names: str) -> None:
    """A run that belongs to another table than the one asked for is not silently left out."""
    left_out = [one for one in measured if not set(views_of([one])) & set(names.split(", "))]
    if left_out:
        fits = sorted({name for one in left_out for name in views_of([one])})
        raise BadInput(
            f"{left_out[0].name} ({left_out[0].origin}) was not measured on {names}.",
            fix=f"leave it out, or use --benchmark {fits[0]}",
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
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput(
            f"cannot write {file}: {error.strerror}.", fix="make its folder, or name another file"
        ) from error
