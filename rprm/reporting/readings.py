"""Which critiques does the page show?  A few of each kind and judge, within a size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rprm.reporting.document import Example, Readings, Section, absent
from rprm.reporting.findings import Findings
from rprm.reporting.systems import System

BUDGET_BYTES = 1_000_000
"""Of all examples together; the whole page stays below 2 MB."""

MAX_CHARACTERS = 6000
"""Of one critique; a 7B model writes a few thousand."""


def critiques(findings: Findings) -> Section:
    """Of every kind of judge the one with the most data or rounds: the last in its order."""
    last = {one.name: one for one in findings.systems}
    of_judge = [list(_examples(one)) for one in last.values()]
    shown = within(of_judge, BUDGET_BYTES)
    title, anchor = "Critiques to read", "critiques"
    if not shown:
        told = absent("no benchmark kept examples (its param `examples`)")
        return Section(title=title, anchor=anchor, blocks=[told])
    kinds = list(dict.fromkeys(one.kind for one in shown))
    judges = list(dict.fromkeys(one.judge for one in shown))
    readings = Readings(judges=judges, kinds=kinds, examples=shown)
    return Section(title=title, anchor=anchor, blocks=[readings])


def _examples(system: System) -> Iterator[Example]:
    """Of the first seed; seeds differ little to a reader."""
    for one in system.runs[0].facts.get("examples", ()):
        yield Example(
            judge=system.label,
            kind=one["kind"],
            case_id=one["case_id"],
            problem=one["problem"],
            steps=one["steps"],
            step=one["step"],
            label=one["label"],
            score=one["score"],
            critiques=[_shortened(critique) for critique in one["critiques"]],
        )


def _shortened(critique: Mapping[str, Any]) -> Mapping[str, Any]:
    text = critique["text"]
    rest = len(text) - MAX_CHARACTERS
    if rest <= 0:
        return critique
    # the verdict stands at the end, so the middle goes
    half = MAX_CHARACTERS // 2
    return {**critique, "text": f"{text[:half]}\n[… {rest} characters …]\n{text[-half:]}"}


def within(of_judge: Sequence[Sequence[Example]], budget_bytes: int) -> list[Example]:
    """As many as fit: first one of each judge and kind, then a second, and so on."""
    chosen: set[tuple[int, int]] = set()
    left = budget_bytes
    for place in _fairly(of_judge):
        left -= _size(of_judge[place[0]][place[1]])
        if left < 0:
            break
        chosen.add(place)
    return [
        one
        for judge, examples in enumerate(of_judge)
        for index, one in enumerate(examples)
        if (judge, index) in chosen
    ]


def _fairly(of_judge: Sequence[Sequence[Example]]) -> list[tuple[int, int]]:
    """Places ordered by how many of the same judge and kind come before."""
    ranked = []
    for judge, examples in enumerate(of_judge):
        seen: dict[str, int] = {}
        for index, one in enumerate(examples):
            ranked.append((seen.get(one.kind, 0), judge, index))
            seen[one.kind] = seen.get(one.kind, 0) + 1
    return [(judge, index) for _, judge, index in sorted(ranked)]


def _size(example: Example) -> int:
    texts = [example.problem, *example.steps, *(one["text"] for one in example.critiques)]
    return sum(len(text.encode()) for text in texts) + 1500  # the markup around them
