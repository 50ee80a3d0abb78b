"""How do our runs and the published rows become one table?  Pure: measurements in, a view out."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rprm.comparing import footnotes
from rprm.comparing.drafting import ALONE, Draft, matches, our_drafts, published_drafts
from rprm.comparing.gains import Gains, gains
from rprm.comparing.measured import POLICY_ALONE, Measured
from rprm.comparing.view import Cell, Line, Notes, View
from rprm.errors import BadInput
from rprm.published.reading import Published, Table

VIEWS = ("processbench", "prmbench", "best-of-n", "guided-search")
"""Tables that runs belong to by themselves; curves have to be asked for."""
HEADLINES: Mapping[str, str] = {
    "processbench": "average/f1",
    "prmbench": "overall",
    "k-curve": "average/f1",
    "data-scaling": "average/f1",
    "threshold": "math/f1",
}
K_CURVE = "k-curve"
WITH_JUDGE: Mapping[str, tuple[str, ...]] = {
    "best-of-n": ("best_of_n", "weighted_vote"),
    "guided-search": ("guided_search",),
}
"""Ways to solve problems that stand in each table, besides the policy alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    systems: Sequence[str] = ()
    """Patterns of published systems; all where empty."""
    baseline: str = ""
    accuracies: bool = False
    """Show the two accuracies beside each F1."""
    resamples: int = 2000
    lenient: bool = False
    """A name may be of another table that is shown beside this one."""


def views_of(measured: Sequence[Measured]) -> list[str]:
    """Which tables the runs belong to; ProcessBench where there are none."""
    found = [name for name in VIEWS if any(_with_judge(one, name) for one in measured)]
    if any(one.method in POLICY_ALONE for one in measured) and not found:
        found = ["best-of-n"]
    return found or ["processbench"]


def _with_judge(one: Measured, view: str) -> bool:
    if one.benchmark == "solving":
        return one.method in WITH_JUDGE.get(view, ())
    return one.benchmark == view


def belongs(one: Measured, view: str) -> bool:
    """Is it a line of this table?"""
    if view == K_CURVE:
        return one.benchmark == "processbench"
    return _with_judge(one, view) or (view in WITH_JUDGE and one.method in POLICY_ALONE)


def build(name: str, published: Published, measured: Sequence[Measured], wanted: Wanted) -> View:
    """Raises BadInput where a system or the baseline names nothing."""
    headline = HEADLINES.get(name, "average")
    tables = [(published.table(name), "")]
    if name in WITH_JUDGE:
        tables.insert(0, (published.table("policy"), ALONE))
    drafts = published_drafts(published, tables, wanted.systems, lenient=wanted.lenient)
    ours = [one for one in measured if belongs(one, name)]
    drafts += our_drafts(ours, tables, resamples=wanted.resamples)
    if not drafts:
        raise BadInput(f"there is nothing to show of {name}.", fix="name a run, or --systems")
    drafts = drafts if tables[-1][0].axis else _in_order(drafts, headline)
    base = _baseline(drafts, wanted) if wanted.baseline else None
    notes = Notes()
    columns = _columns(tables[-1][0], drafts, accuracies=wanted.accuracies)
    lines = tuple(_line(draft, base, columns, notes, headline) for draft in drafts)
    shown = {draft.label for draft in drafts}
    remarks = [f"{table.note.rstrip('.')}." for table, _ in tables if table.note]
    remarks += footnotes.of_misprinted_gains(published, name, shown)
    return View(
        name=name,
        title=tables[-1][0].title,
        columns=columns,
        headline=headline,
        lines=lines,
        notes=tuple(notes.texts),
        remarks=tuple(remarks),
        baseline=base.label if base else "",
    )


def _columns(table: Table, drafts: Sequence[Draft], *, accuracies: bool) -> tuple[str, ...]:
    """Those of the published table that a line has, then parts that only ours have."""
    present = {cell for draft in drafts for cell in draft.cells}
    known = [cell for cell in table.cells if cell in present]
    last = [cell for cell in known if cell in (table.cells[-1],)]
    own = sorted(present - set(table.cells) - {"average/acc_error", "average/acc_correct"})
    ordered = [*(cell for cell in known if cell not in last), *own, *last]
    return tuple(
        cell for cell in ordered if accuracies or not cell.endswith(("/acc_error", "/acc_correct"))
    )


def _in_order(drafts: Sequence[Draft], headline: str) -> list[Draft]:
    """Groups together, the one without a name last; the best first."""

    def rank(draft: Draft) -> tuple[bool, float]:
        found = draft.cells.get(headline)
        known = found is not None and not math.isnan(found.estimate)
        return not draft.group, -found.estimate if found is not None and known else math.inf

    return sorted(drafts, key=rank)


# --- lines ----------------------------------------------------------------------------------------


def _baseline(drafts: Sequence[Draft], by: Wanted) -> Draft | None:
    """Exact, else the only one that the pattern matches."""
    wanted = by.baseline
    exact = [draft for draft in drafts if draft.label.lower() == wanted.lower()]
    found = exact or [draft for draft in drafts if matches(draft.label, wanted)]
    if len(found) == 1:
        return found[0]
    if not found and by.lenient:
        return None
    names = [draft.label for draft in drafts]
    if not found:
        near = difflib.get_close_matches(wanted, names, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise BadInput(
            f"no line of the table is called {wanted!r}.", fix=f"{hint}lines: {', '.join(names)}"
        )
    raise BadInput(
        f"baseline {wanted!r} could be {len(found)} lines.",
        fix=f"name one of {', '.join(draft.label for draft in found)}",
    )


def _line(
    draft: Draft, base: Draft | None, columns: Sequence[str], notes: Notes, headline: str
) -> Line:
    found = Gains()
    if base is not None and draft.label != base.label:
        found = gains(draft, base, columns, headline)
    return Line(
        label=draft.label,
        ours=draft.ours is not None,
        marks=notes.mark([*draft.row_notes, *found.notes]),
        cells={
            cell: Cell(value=draft.cells[cell], marks=notes.mark(draft.cell_notes.get(cell, ())))
            for cell in columns
            if cell in draft.cells
        },
        group=draft.group,
        comparable=draft.comparable,
        gains=found.by_cell,
        gain=found.by_cell.get(headline),
        source=draft.source,
    )
