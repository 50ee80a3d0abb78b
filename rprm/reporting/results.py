"""What did the benchmark say?  The sections of claims, tables and savings."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from rprm.reporting import wording
from rprm.reporting.document import Block, Cell, Grid, Paragraph, Section, Verdicts, absent
from rprm.reporting.findings import Findings
from rprm.reporting.numbers import METRICS
from rprm.reporting.systems import System

SHORT = {"f1": "F1", "acc_error": "with error", "acc_correct": "without error"}


def summary(findings: Findings) -> Section:
    blocks: list[Block] = []
    if findings.checked:
        blocks += [
            Paragraph(text=wording.tally(findings.checked)),
            Verdicts(checked=findings.checked),
        ]
    else:
        blocks.append(Paragraph(text="The campaign states no claims.", tone="note"))
    blocks += [Paragraph(text=note, tone="note") for note in findings.notes]
    return Section(title="Summary", anchor="summary", blocks=blocks)


# --- tables -----------------------------------------------------------------------------------


def table(findings: Findings) -> Section:
    header = ["judge", "seeds"]
    header += [f"{SHORT[metric]}, K={k}" for k in reversed(findings.ks) for metric in METRICS]
    rows = [_row(findings, system) for system in findings.systems]
    caption = (
        "F1 is the harmonic mean of the accuracies on solutions with and without an error, in "
        "percent, averaged over subsets; brackets are 95 % intervals over problems"
        + (" and seeds." if findings.num_seeds > 1 else ".")
    )
    blocks: list[Block] = [Grid(caption=caption, header=header, rows=rows)]
    if findings.num_seeds > 1:
        blocks.append(_by_seed(findings))
    return Section(title="Every judge", anchor="table", blocks=blocks)


def _row(findings: Findings, system: System) -> list[Cell]:
    cells: list[Cell] = [system.label, str(len(system.runs))]
    for k in reversed(findings.ks):
        for metric in METRICS:
            found = findings.numbers.at(system, k, metric)
            cells.append(found.value if found else None)
    return cells


def _by_seed(findings: Findings) -> Grid:
    rows: list[list[Cell]] = []
    for system in findings.systems:
        for k in findings.ks:
            found = findings.numbers.at(system, k)
            if found is None or found.spread is None:
                continue
            seeds = ", ".join(
                f"{run.seed}: {wording.value(value)}"
                for run, value in zip(system.runs, found.by_seed, strict=True)
            )
            rows.append([system.label, str(k), seeds, found.spread, found.value])
    return Grid(
        caption="F1 of every seed.  The first interval speaks of other seeds on these problems, "
        "the second of other seeds and other problems.",
        header=["judge", "K", "seed: F1", "over seeds", "over seeds and problems"],
        rows=rows,
    )


# --- early stopping ---------------------------------------------------------------------------


def early_stopping(findings: Findings) -> Section:
    rows: list[list[Cell]] = []
    changed = 0
    shares: list[float] = []
    for system in findings.systems:
        found = [
            run.facts["early_stopping"] for run in system.runs if "early_stopping" in run.facts
        ]
        if not found:
            continue
        of_system = sum(int(one["labels_changed"]) for one in found)
        share = fmean(float(one["tokens_saved"]) for one in found)
        ks = ", ".join(str(k) for k in sorted({one["critiques_per_step"] for one in found}))
        rows.append([system.label, ks, f"{100 * share:.1f} %", str(of_system)])
        changed, shares = changed + of_system, [*shares, share]
    title, anchor = "What does early stopping save?", "early-stopping"
    if not rows:
        told = absent("no benchmark noted what early stopping would save")
        return Section(title=title, anchor=anchor, blocks=[told])
    grid = Grid(
        caption="A step is done as soon as no outcome of its remaining critiques could change the "
        "label.  Replayed on critiques that were all drawn.",
        header=["judge", "K", "tokens saved", "labels changed"],
        rows=rows,
    )
    return Section(title=title, anchor=anchor, blocks=[_saved(shares, changed), grid])


def _saved(shares: Sequence[float], changed: int) -> Paragraph:
    if changed:
        return Paragraph(
            text=f"**Early stopping changed {changed} labels; it must change none.**  Its numbers "
            "cannot be trusted, and neither can a run that uses it: this is a defect, please "
            "report it.",
            tone="warning",
        )
    low, high = 100 * min(shares), 100 * max(shares)
    span = f"{low:.0f} %" if round(low) == round(high) else f"{low:.0f} to {high:.0f} %"
    return Paragraph(text=f"It would have saved {span} of the tokens, and changed no label.")
