"""How are scored outputs shown to a person?  Tables, with an interval for each number."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from rprm.benchmarks import best_of_n as choosing
from rprm.benchmarks import n_curve
from rprm.benchmarks import prmbench as prm
from rprm.benchmarks import thresholds as curves
from rprm.benchmarks.processbench import Outcome
from rprm.benchmarks.resampling import Interval, intervals
from rprm.benchmarks.statistics import Metric, bootstrap
from rprm.data.prmbench import ABBREVIATIONS, CLASSES
from rprm.data.sources import Source
from rprm.recorded import best_of_n, prmbench, processbench

RESAMPLES = 1000
_HEADS = ("", "PRMScore", "F1", "negative F1", "first error")
_WIDEST = "[100.0,"
"""Half of an interval: no narrower than that, or a number would be cut."""
_ROOMY = 1000
"""Columns that every table fits into."""
NOTE = "Percent; brackets are 95 % intervals over problems."

_METRICS: Mapping[Metric, str] = {
    "acc_error": "with error",
    "acc_correct": "without error",
    "f1": "F1",
}

_WAYS = {
    "pass_at_1": "pass@1",
    "majority": "majority",
    "best_of_n": "best of N",
    "weighted_vote": "weighted vote",
    "pass_at_n": "pass@N",
}


def number(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:.1f}"


def cell(found: Interval) -> Text:
    if math.isnan(found.estimate):
        return Text("n/a")
    spread = f" [{number(found.low)}, {number(found.high)}]"
    return Text.assemble(number(found.estimate), (spread, "dim"))


def print_source(console: Console, source: Source) -> None:
    """Labels differ between copies of the data."""
    at = f", revision {source.revision}" if source.revision else ""
    console.print(Text(f"Labels: {source.name}{at}, sha256 {source.digest}", "dim"))


def _table(title: str, first: str, columns: Sequence[str], *, widest: str = "100.0") -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False)
    table.add_column(first, no_wrap=True)
    for name in columns:
        longest = max(map(len, [*name.split(), widest]))
        table.add_column(name, justify="right", min_width=longest)
    return table


def _print(console: Console, table: Table) -> None:
    """A terminal that is too narrow wraps lines; it never cuts a number."""
    roomy = console.options.update_width(_ROOMY)
    least = Measurement.get(console, roomy, table).minimum
    width = console.width
    console.width = max(width, least)  # print's own width is at most the console's
    console.print(table)
    console.width = width


# --- ProcessBench -----------------------------------------------------------------------------


def print_processbench(console: Console, scored: processbench.Scored) -> None:
    title = f"ProcessBench, {len(scored.outcomes)} solutions, threshold {scored.threshold:g}"
    table = _table(title, "subset", ["solutions", *_METRICS.values()], widest=_WIDEST)
    for name, subset in scored.result.subsets.items():
        of = [one for one in scored.outcomes if one.subset == name]
        table.add_row(name, f"{subset.num_error} + {subset.num_correct}", *_cells(of))
    table.add_section()
    total = len(scored.outcomes)
    table.add_row("average", str(total), *_cells(scored.outcomes), style="bold")
    _print(console, table)
    console.print(Text(NOTE, "dim"))


def _cells(outcomes: Sequence[Outcome]) -> list[Text]:
    return [cell(bootstrap(outcomes, metric=one, num_resamples=RESAMPLES)) for one in _METRICS]


def print_processbench_sweep(console: Console, points: Sequence[curves.Point]) -> None:
    names = list(points[0].result.subsets)
    table = _table("F1 by threshold", "threshold", [*names, "average", "undecided"])
    for one in points:
        values = [one.result.subsets[name].f1 for name in names]
        cells = [number(value) for value in [*values, one.result.f1]]
        table.add_row(f"{one.threshold:g}", *cells, str(one.num_undecided))
    _print(console, table)
    if any(one.num_undecided for one in points):
        note = "Undecided: the scores end before this threshold is decided; never a match."
        console.print(Text(note, "dim"))


# --- PRMBench ---------------------------------------------------------------------------------


def print_prmbench(console: Console, scored: prmbench.Scored) -> None:
    found = prm.score_intervals(scored.steps, threshold=scored.threshold, num_resamples=RESAMPLES)
    title = f"PRMBench, {scored.num_items} items, threshold {scored.threshold:g}"
    table = _table(title, "class", _HEADS, widest=_WIDEST)
    classes = scored.result.classes
    for group, members in prm.GROUPS.items():
        for name in members:
            shown = found[name] if name in classes else _absent()
            parts = _parts(classes.get(name), positive_only=name == prm.POSITIVE_ONLY)
            table.add_row(name, ABBREVIATIONS[name], cell(shown), *parts)
        value = found[group] if all(name in classes for name in members) else _absent()
        table.add_row(group, "", cell(value), style="bold")
        table.add_section()
    overall = scored.result.overall
    table.add_row("overall", "", cell(found[prm.OVERALL]), *_parts(overall), style="bold")
    _print(console, table)
    cells = overall.confusion
    valid = f"{100 * scored.validity_rate:.1f} % of the answers usable"
    console.print(
        f"steps: tp {cells.tp}, fp {cells.fp}, tn {cells.tn}, fn {cells.fn} "
        f"(positive is right); accuracy {number(overall.step_acc)} %; {valid}"
    )
    console.print(Text(NOTE, "dim"))


def _absent() -> Interval:
    return Interval(estimate=math.nan, low=math.nan, high=math.nan)


def _parts(one: prm.ClassScore | None, *, positive_only: bool = False) -> list[str]:
    if one is None:
        return [number(math.nan)] * 3
    negative_f1 = math.nan if positive_only else one.negative_f1
    values = (one.f1, negative_f1, one.first_error_acc)
    return [number(math.nan if value < 0 else value) for value in values]


def print_prmbench_sweep(console: Console, points: Mapping[float, prm.PrmResult]) -> None:
    names = [*(one for one in CLASSES), *prm.GROUPS, prm.OVERALL]
    heads = [ABBREVIATIONS.get(name, name) for name in names]
    table = _table("PRMScore by threshold", "threshold", heads)
    for threshold, result in points.items():
        table.add_row(f"{threshold:g}", *(number(result.scores[name]) for name in names))
    _print(console, table)


# --- Best-of-N --------------------------------------------------------------------------------


def print_best_of_n(console: Console, scored: best_of_n.Scored) -> None:
    result = scored.result
    methods = [name for name in choosing.METHODS if name in result.average]
    title = (
        f"Best of {result.n}, {len(result.problems)} problems, {result.aggregator.value} of the "
        "step scores"
    )
    table = _table(title, "subset", ["problems", *(_WAYS[one] for one in methods)], widest=_WIDEST)
    sums = result.sums()
    metrics = choosing.method_metrics(list(result.average))
    for name, sums_PC in sums.items():
        if len(sums) > 1:
            found = intervals([sums_PC], metrics, num_resamples=RESAMPLES)
            table.add_row(name, str(len(sums_PC)), *(cell(found[one]) for one in methods))
    found = intervals(list(sums.values()), metrics, num_resamples=RESAMPLES)
    last = "average" if len(sums) > 1 else next(iter(sums)) or "all"
    cells = (cell(found[one]) for one in methods)
    table.add_row(last, str(len(result.problems)), *cells, style="bold")
    _print(console, table)
    console.print(Text(NOTE, "dim"))


def print_by_n(console: Console, points: Sequence[n_curve.Point]) -> None:
    """Means over the ways to draw n of the N responses."""
    methods = list(points[0].values)
    table = _table("By the number of responses", "N", [_WAYS[one] for one in methods])
    for point in points:
        table.add_row(str(point.n), *(number(point.values[one]) for one in methods))
    _print(console, table)
