"""Which ways to solve problems were measured?  A policy alone, and a policy with a judge's help.

A way (`method`) by one judge is a system like any other: its outcome per problem is the share of
its answers that were right, so ways are compared on the same problems just as judges are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rprm.benchmarks.processbench import Outcome
from rprm.reporting.claims import ONCE
from rprm.reporting.systems import Run, System, group

WAYS: Mapping[str, str] = {
    "pass_at_1": "pass@1",
    "majority": "majority of {n}",
    "best_of_n": "best of {n} by {system}",
    "weighted_vote": "weighted vote of {n} by {system}",
    "guided_search": "guided search by {system}",
    "pass_at_n": "pass@{n}",
}
"""How each method is spoken of, in the order of a table."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SolvedRow:
    """How often one method was right on one problem: 0, 1 or a share."""

    problem_id: str
    subset: str
    method: str
    correct: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Solved:
    """One measuring artifact: some methods with the help of one judge."""

    system: str
    """The judge."""
    coordinates: Mapping[str, Any]
    facts: Mapping[str, Any]
    rows: Sequence[SolvedRow]
    address: str = ""

    @property
    def methods(self) -> list[str]:
        found = {row.method for row in self.rows}
        return [method for method in WAYS if method in found]

    def run(self, method: str) -> Run:
        outcomes = [
            Outcome(
                solution_id=row.problem_id,
                problem_id=row.problem_id,
                subset=row.subset,
                erroneous=True,  # so that the accuracy of errors is the share solved
                match=row.correct,
            )
            for row in self.rows
            if row.method == method
        ]
        return Run(
            system=self.system,
            coordinates=self.coordinates,
            facts=self.facts,
            outcomes={ONCE: outcomes},
            address=self.address,
        )


def by_method(solved: Sequence[Solved], *, order: Sequence[str] = ()) -> dict[str, list[System]]:
    """Every method with the systems it was measured for."""
    found = {}
    for method in WAYS:
        runs = [one.run(method) for one in solved if method in one.methods]
        if runs:
            found[method] = [_titled(one, method) for one in group(runs, order=order)]
    return found


def _titled(system: System, method: str) -> System:
    n = system.runs[0].facts.get("n", "n")
    return replace(system, title=WAYS[method].format(n=n, system=system.name))
