"""How are numbers and verdicts said in words?  Always computed, never written beforehand."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rprm.benchmarks.statistics import Interval
from rprm.reporting.claims import SOLVED, Checked, Compared, Verdict

METRIC_NAMES: dict[str, str] = {
    "f1": "F1",
    "acc_error": "accuracy on solutions with an error",
    "acc_correct": "accuracy on solutions without one",
    SOLVED: "Share of problems solved",
}

MEANING = {
    Verdict.HOLDS: "the whole interval is above zero",
    Verdict.UNDECIDED: "the interval contains zero, so more seeds or problems are needed to tell",
    Verdict.FAILS: "the whole interval is below zero: here it is the other way round",
}


def value(number: float) -> str:
    return "—" if math.isnan(number) else f"{number:.1f}"


def estimate(found: Interval) -> str:
    """Such as "71.2 [68.0, 74.1]"."""
    if math.isnan(found.low):
        return value(found.estimate)
    return f"{found.estimate:.1f} [{found.low:.1f}, {found.high:.1f}]"


def gain(found: Interval) -> str:
    """Such as "+3.1 [+0.2, +6.0]"."""
    if math.isnan(found.estimate):
        return "—"
    if math.isnan(found.low):
        return f"{found.estimate:+.1f}"
    return f"{found.estimate:+.1f} [{found.low:+.1f}, {found.high:+.1f}]"


def change(found: Compared) -> str:
    """What becomes of F1 on the way from the worse side to the better one."""
    verbs = {Verdict.HOLDS: "rises", Verdict.FAILS: "falls", Verdict.UNDECIDED: "goes"}
    told = (
        f"{verbs[found.verdict]} from {value(found.worse)} to {value(found.better)} "
        f"({gain(found.difference)} points)"
    )
    return f"{told}, which may be chance" if found.verdict is Verdict.UNDECIDED else told


def seeds(number: int) -> str:
    if number == 1:
        return "one training run, so the interval covers the choice of problems only"
    return f"{number} seeds; the interval covers seeds and problems"


def sides(checked: Checked) -> str:
    """Such as "sft rows=8000 at K=9: 85.2; sft rows=1000 at K=9: 34.0"."""
    found = checked.found
    return (
        f"{checked.better.shown}: {value(found.better)}; "
        f"{checked.worse.shown}: {value(found.worse)}"
    )


def conclusion(checked: Checked) -> str:
    found = checked.found
    if math.isnan(found.difference.estimate):
        return f"{METRIC_NAMES[checked.quantity]} is not defined on these problems."
    return (
        f"{METRIC_NAMES[checked.quantity]} differs by {gain(found.difference)} points "
        f"({seeds(found.seeds)}); {MEANING[found.verdict]}."
    )


def tally(checked: Sequence[Checked]) -> str:
    """Such as "**3 of 4 claims hold**, 1 is undecided."."""
    counts = {verdict: sum(one.found.verdict == verdict for one in checked) for verdict in Verdict}
    held = counts[Verdict.HOLDS]
    one = len(checked) == 1
    parts = [f"**{held} of {len(checked)} {'claim holds' if one else 'claims hold'}**"]
    if (undecided := counts[Verdict.UNDECIDED]) > 0:
        parts.append(f"{undecided} {'is' if undecided == 1 else 'are'} undecided")
    if (failed := counts[Verdict.FAILS]) > 0:
        parts.append(f"{failed} {'fails' if failed == 1 else 'fail'}")
    return ", ".join(parts) + "."


def listing(names: Sequence[str]) -> str:
    """Such as "a, b and c"."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
