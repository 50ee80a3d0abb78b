"""Does a report say rightly which way of solving problems is better?"""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from rprm.errors import BadInput
from rprm.reporting.claims import Claim, Side, Verdict, check
from rprm.reporting.document import Grid
from rprm.reporting.findings import Findings
from rprm.reporting.markdown import cell_text
from rprm.reporting.numbers import Numbers
from rprm.reporting.solvers import Solved, SolvedRow, by_method
from rprm.reporting.solving import sections

RESAMPLES = 300


def solved(system: str, rates: dict[str, float], *, problems: int = 40, **more: Any) -> Solved:
    """Every method solves every problem with its rate."""
    rows = [
        SolvedRow(problem_id=f"p{index}", subset="chain", method=method, correct=rate)
        for index in range(problems)
        for method, rate in rates.items()
    ]
    facts = {"n": 8, "problems": problems, **more}
    return Solved(system=system, coordinates={}, facts=facts, rows=rows)


def claim(better: dict[str, Any], worse: dict[str, Any]) -> Claim:
    return Claim(
        text="better beats worse",
        better=Side.model_validate(better),
        worse=Side.model_validate(worse),
    )


BEST = {"system": "dpo", "method": "best_of_n"}
MAJORITY = {"system": "dpo", "method": "majority"}


@pytest.mark.parametrize(
    ("best", "majority", "verdict"),
    [
        (0.9, 0.5, Verdict.HOLDS),  # better on every problem
        (0.5, 0.5, Verdict.UNDECIDED),  # the same on every problem
        (0.4, 0.5, Verdict.FAILS),  # the judge chooses worse than a vote
    ],
)
def test_ways_are_compared_by_problems_solved(
    best: float, majority: float, verdict: Verdict
) -> None:
    solvers = by_method([solved("dpo", {"best_of_n": best, "majority": majority})])
    found = check(claim(BEST, MAJORITY), [], solvers, resamples=RESAMPLES)
    assert found.found.verdict is verdict
    assert found.found.better == pytest.approx(100 * best)
    assert found.better.shown == "best of 8 by dpo"
    assert found.worse.shown == "majority of 8"


def test_a_method_that_was_not_measured_is_named_with_those_that_were() -> None:
    solvers = by_method([solved("sft", {"best_of_n": 1.0, "majority": 1.0})])
    with pytest.raises(BadInput, match=r"no solvers are that.*best of 8 by sft"):
        check(claim(BEST, MAJORITY), [], solvers, resamples=RESAMPLES)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"system": "dpo"}, MAJORITY),  # neither K nor a method
        ({"system": "dpo", "k": 1, "method": "majority"}, MAJORITY),  # both
        ({"system": "dpo", "k": 1}, MAJORITY),  # a judge against a way to solve problems
    ],
)
def test_a_claim_compares_two_judges_or_two_ways(
    better: dict[str, Any], worse: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError, match="way to solve problems"):
        claim(better, worse)


def findings(*found: Solved) -> Findings:
    return Findings(
        systems=[],
        solved=found,
        solvers=by_method(found),
        numbers=Numbers(by_key={}),
        checked=[],
        scaling=[],
        direct=[],
        headline_k=1,
        resamples=RESAMPLES,
        notes=[],
        sources=[],
    )


def test_the_section_has_a_row_per_judge_and_a_column_per_way() -> None:
    by_n = [{"n": 1, "best_of_n": 50.0, "majority": 50.0}, {"n": 8, "best_of_n": 75.0}]
    (section,) = sections(
        findings(
            solved("sft", {"pass_at_1": 0.5, "best_of_n": 0.75}, by_n=by_n, policy_tokens=4000),
            solved("dpo", {"best_of_n": 1.0}, judge_tokens=8000),
        )
    )
    table, plot, costs = section.blocks
    assert isinstance(table, Grid)
    assert table.header == ["judge", "pass@1", "best of 8"]
    assert [[cell_text(cell) for cell in row] for row in table.rows] == [
        ["sft", "50.0 [50.0, 50.0]", "75.0 [75.0, 75.0]"],
        ["dpo", "—", "100.0 [100.0, 100.0]"],
    ]
    assert "best of N by sft goes from 50.0 at N=1 to 75.0 at N=8" in getattr(plot, "caption", "")
    assert isinstance(costs, Grid)
    assert [list(row) for row in costs.rows] == [
        ["best of 8 by sft", "100", "—"],
        ["best of 8 by dpo", "—", "200"],
    ]


def test_a_campaign_that_solves_nothing_has_no_such_section() -> None:
    assert sections(findings()) == []
