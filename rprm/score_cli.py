"""Which verbs score recorded outputs?  `rprm score processbench | prmbench | best-of-n`."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from rprm.benchmarks import n_curve
from rprm.benchmarks import prmbench as prm
from rprm.benchmarks.best_of_n import Aggregator
from rprm.benchmarks.resampling import known
from rprm.benchmarks.thresholds import AUTO, SHOWN, Point, sweep
from rprm.data import prmbench as prmbench_data
from rprm.data import processbench as processbench_data
from rprm.errors import BadInput
from rprm.recorded import best_of_n, processbench, showing
from rprm.recorded import prmbench as recorded_prmbench
from rprm.recorded.reading import read_rows
from rprm.scoring import THRESHOLD
from rprm.terminal import make_console

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Score recorded outputs of any model, as the official scripts would.

    * `rprm score processbench predictions.jsonl`
    * `rprm score prmbench scores.jsonl --threshold 0.61 --json | jq .overall`
    * `rprm score best-of-n responses.jsonl --aggregate last`

    FILE is JSON lines (also gzipped), one JSON list, or `-` for stdin.  Numbers are percentages.
    """,
)

RecordedFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="JSON lines, a JSON list, or `-` for stdin.")
]
Limit = Annotated[
    bool,
    typer.Option("--limit-to-present", help="Score the rows there are; else all must be there."),
]
Sweep = Annotated[bool, typer.Option("--sweep", help="Also a table of thresholds, 0.05 to 0.95.")]
AsJson = Annotated[
    bool, typer.Option("--json", help="One JSON object on stdout, warnings on stderr.")
]
Data = Annotated[
    str,
    typer.Option(
        metavar="SOURCE", help="The labels: a file, a folder, data:… below RPRM_DATA, or hf://…"
    ),
]


@app.command("processbench")
def score_processbench(
    file: RecordedFile,
    threshold: Annotated[
        str,
        typer.Option(
            metavar="NUMBER",
            help="A step scored below it is wrong; `auto:gsm8k` takes the best one of gsm8k for "
            "all subsets.",
        ),
    ] = str(THRESHOLD),
    limit_to_present: Limit = False,
    sweep_table: Sweep = False,
    data: Data = processbench_data.DEFAULT_SOURCE,
    as_json: AsJson = False,
) -> None:
    """Accuracy on solutions with and without an error, and F1, their harmonic mean.

    **A row** is `{"id": "gsm8k-0", "prediction": 2}`: the first wrong step from 0, -1 for none,
    null where it could not be told (never a match); or `{"id": "gsm8k-0", "scores": [0.9, 0.2]}`,
    one number per step: the first below the threshold is the prediction.  Scores may end early
    where they decide: at a step below the threshold, or past the first wrong step.

    **Prints** `{"gsm8k": {"acc_error": …, "acc_correct": …, "f1": …}, …, "average": …}` with
    --json.  The average is the unweighted mean of the subsets' F1.

    **Examples**

    * `rprm score processbench critic.jsonl --json | jq .average`
    * `rprm score processbench skywork.jsonl --threshold auto:gsm8k --limit-to-present`
    * `zcat scores.jsonl.gz | rprm score processbench - --threshold 0.4 --sweep`
    """
    at = _threshold(threshold)
    rows = read_rows(file)
    bench = processbench_data.load_processbench(data)
    scored = processbench.score(rows, bench, threshold=at, limit_to_present=limit_to_present)
    points = []
    if sweep_table:
        if scored.matches is None:
            raise BadInput("a table of thresholds needs scores.", fix='give "scores" in all rows')
        points = sweep(scored.matches, SHOWN)
    _warn(scored.warnings)
    if threshold.startswith(AUTO):
        typer.echo(f"threshold {scored.threshold:g} ({threshold})", err=True)
    if as_json:
        curve = {f"{one.threshold:g}": _f1_of(one) for one in points}
        _print_json(scored.as_json() | ({"sweep": curve} if curve else {}))
        return
    console = make_console()
    showing.print_processbench(console, scored)
    showing.print_source(console, bench.source)
    if points:
        showing.print_processbench_sweep(console, points)


@app.command("prmbench")
def score_prmbench(  # noqa: PLR0913  what a person may choose
    file: RecordedFile,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="A step scored at or above it is right.  [default: 0.5, and labels decide where "
            "a row has both]"
        ),
    ] = None,
    limit_to_present: Limit = False,
    subset394: Annotated[
        bool, typer.Option("--subset394", help="Only the 394 items that o1 models were run on.")
    ] = False,
    sweep_table: Sweep = False,
    data: Data = prmbench_data.DEFAULT_SOURCE,
    as_json: AsJson = False,
) -> None:
    """PRMScore of nine classes, three groups and overall, which pools all steps.

    **A row** is `{"id": "circular_prm_test_p1_0", "scores": [0.9, 0.2]}`, one number per step, or
    `{"id": …, "labels": [true, 0]}`, true or 1 for a right step; "redundancy_labels", where
    given, decide in the classes redundency and circular; "validity": false leaves an unusable
    answer out.  The id is `{classification}_{idx}`; the first row of an id counts.

    **Prints** `{"circular": …, …, "simplicity": …, "soundness": …, "sensitivity": …, "overall": …,
    "counts": {"tp": …, "fp": …, "tn": …, "fn": …}}` with --json; positive means right.

    **Examples**

    * `rprm score prmbench r-prm.jsonl --threshold 0.61`
    * `rprm score prmbench o1.jsonl --subset394 --json | jq .overall`
    """
    at = None if threshold is None else _finite(threshold)
    rows = read_rows(file)
    items = prmbench_data.load_prmbench(data, subset394=subset394)
    scored = recorded_prmbench.score(rows, items, threshold=at, limit_to_present=limit_to_present)
    swept = scored
    if sweep_table and scored.has_labels and at is None:  # a table of thresholds is of scores
        swept = recorded_prmbench.score(
            rows, items, threshold=THRESHOLD, limit_to_present=limit_to_present
        )
    points = prm.sweep(swept.steps, SHOWN) if sweep_table else {}
    if points and swept.has_labels:
        _warn(["rows with labels are the same at every threshold"])
    _warn(scored.warnings)
    if as_json:
        curve = {f"{at:g}": _nulls(result.scores) for at, result in points.items()}
        _print_json(scored.as_json() | ({"sweep": curve} if curve else {}))
        return
    console = make_console()
    showing.print_prmbench(console, scored)
    showing.print_source(console, items.source)
    if points:
        showing.print_prmbench_sweep(console, points)


class Grader(StrEnum):
    """How answers are compared, where the rows do not say which are right."""

    MATH_VERIFY = "math-verify"  # symbolically
    QWEN = "qwen"  # as the published tables, which take 50 for 0.5
    EXACT = "exact"  # by their text


@app.command("best-of-n")
def score_best_of_n(
    file: RecordedFile,
    aggregate: Annotated[
        Aggregator, typer.Option(help="How the scores of the steps become one reward.")
    ] = Aggregator.MIN,
    grader: Annotated[
        Grader, typer.Option(help="How answers are compared where `correct` is not given.")
    ] = Grader.MATH_VERIFY,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds that one answer may take to grade.")
    ] = 5.0,
    by_n: Annotated[
        bool, typer.Option("--by-n", help="Also every smaller N, and votes weighted by reward.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Choose among N responses: by reward, by majority, at random, and at best.

    **A row** is one response: `{"problem": "…", "response": "…", "scores": [0.9, 0.2],
    "correct": true}`.  Without "correct", "answer" is the reference and the response is graded.
    Scores are any finite numbers, a single one too; null is a response that was not judged.
    "problem_id" names the problem where its text does not, "subset" its part of the benchmark,
    "prediction" the response's own answer, which votes.  Ties go to the response seen first.

    **Prints** `{"pass_at_1": …, "pass_at_n": …, "majority": …, "best_of_n": …}` with --json; with
    several subsets these are unweighted means over them, and "subsets" holds each.

    **Examples**

    * `rprm score best-of-n math500.jsonl --aggregate product --by-n`
    * `rprm score best-of-n pool.jsonl.gz --grader qwen --json | jq .best_of_n`
    """
    rows = read_rows(file)
    scored = best_of_n.score(rows, aggregator=aggregate, grade=_grading(grader, timeout))
    _warn(scored.warnings)
    points = n_curve.curve(scored.pools, aggregator=aggregate) if by_n else []
    if as_json:
        curve = [{"n": one.n, **one.values} for one in points]
        _print_json(scored.as_json() | ({"by_n": curve} if curve else {}))
        return
    console = make_console()
    showing.print_best_of_n(console, scored)
    if points:
        showing.print_by_n(console, points)


def _grading(grader: Grader, timeout_s: float) -> best_of_n.Grade:
    """Imports the grader only where something is graded."""

    def grade(pairs: Sequence[tuple[str, str]]) -> list[bool | None]:
        from rprm.benchmarks.grading import grade_all, is_right

        with _progress(len(pairs)) as on_graded:
            found = grade_all(pairs, grader=grader.value, timeout_s=timeout_s, on_graded=on_graded)
        return [is_right(one) for one in found]

    return grade


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Answers graded so far, where somebody watches."""
    if not sys.stderr.isatty():
        yield lambda graded: None
        return
    with Progress(console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("grading answers", total=total)
        yield lambda graded: shown.update(task, completed=graded)


def _threshold(text: str) -> float | str:
    if text.startswith(AUTO):
        return text
    try:
        return _finite(float(text))
    except ValueError as error:
        raise BadInput(
            f"--threshold {text!r} is no number.", fix="give a number, or auto:gsm8k"
        ) from error


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise BadInput(f"--threshold {value} separates nothing.", fix="give a finite number")
    return value


def _f1_of(point: Point) -> dict[str, float | None]:
    by_subset = {name: one.f1 for name, one in point.result.subsets.items()}
    return _nulls({**by_subset, "average": point.result.f1})


def _nulls(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: known(value) for name, value in values.items()}


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value))


def _warn(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(f"warning: {line}", err=True)
