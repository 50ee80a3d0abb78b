"""Do exactly the published rules make the training rows, in whatever order the samples come?"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm.engines.base import VerdictFormat
from rprm.errors import BadInput
from rprm.schema import Verdict
from rprm.selection import Policy, Response, balance, keep_accepted, split_by_problem
from rprm.verdicts import verdict_string

FMT = VerdictFormat(prefix="V: ", marker="ok?", yes=" Yes", no=" No")
YES, NO = (verdict_string(FMT, verdict) for verdict in Verdict)


@dataclass(frozen=True)
class Row:
    id: str
    problem_id: str
    verdict: Verdict


def response(case: str, sample: int, text: str, gold: Verdict = Verdict.YES) -> Response:
    return Response(case_id=case, problem_id="p", gold=gold, sample=sample, text=text)


SAMPLES = [
    response("a", 0, f"first {YES}"),
    response("a", 1, f"second {YES}."),
    response("a", 2, f"third {NO}"),  # disagrees
    response("a", 3, f"{YES} and {YES}"),  # ambiguous
    response("b", 0, "no verdict"),
    response("b", 1, f"{YES} because"),  # trailing text
    response("c", 0, f"{NO}", Verdict.NO),
]


@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        ("last", ["a#1", "c#0"]),  # the published rule
        ("first", ["a#0", "c#0"]),
        ("all", ["a#0", "a#1", "c#0"]),
    ],
)
def test_the_policy_says_which_accepted_response_of_a_case_is_kept(
    policy: Policy, kept: list[str]
) -> None:
    assert [row.id for row in keep_accepted(SAMPLES, FMT, policy=policy).rows] == kept


def test_every_response_and_every_case_is_counted_under_one_rule() -> None:
    assert keep_accepted(SAMPLES, FMT).counts.as_dict() == {
        "cases": 3,
        "responses": 7,
        "no_verdict": 1,
        "ambiguous": 1,
        "disagrees": 1,
        "trailing_text": 1,
        "accepted": 3,
        "superseded": 1,
        "kept": 2,
        "cases_without": 1,
    }


responses = st.builds(
    Response,
    case_id=st.sampled_from("abcd"),
    problem_id=st.just("p"),
    gold=st.just(Verdict.NO),
    sample=st.integers(0, 99),
    text=st.lists(st.sampled_from([YES, NO, ".", " x"]), max_size=3).map("".join),
)
samples = st.lists(responses, max_size=30, unique_by=lambda one: (one.case_id, one.sample))


@given(rows=samples, data=st.data())
def test_selection_does_not_depend_on_the_order_of_rows(
    rows: list[Response], data: st.DataObject
) -> None:
    selected = keep_accepted(rows, FMT)
    assert keep_accepted(data.draw(st.permutations(rows)), FMT) == selected
    counts = selected.counts
    rules = counts.no_verdict + counts.ambiguous + counts.disagrees + counts.trailing_text
    assert rules + counts.accepted == counts.responses == len(rows)
    assert counts.kept + counts.cases_without == counts.cases


rows_strategy = st.lists(
    st.tuples(st.integers(0, 10**6), st.integers(0, 6), st.sampled_from(list(Verdict))),
    max_size=40,
    unique_by=lambda one: one[0],
).map(lambda many: [Row(str(id), f"p{problem}", verdict) for id, problem, verdict in many])


@given(rows=rows_strategy, data=st.data(), seed=st.integers(0, 5))
def test_balance_keeps_as_many_yes_as_no_whatever_the_order(
    rows: list[Row], data: st.DataObject, seed: int
) -> None:
    kept = balance(rows, seed=seed)
    number = Counter(row.verdict for row in rows)
    assert len(kept) == 2 * min(number[Verdict.YES], number[Verdict.NO])
    assert set(kept) <= set(rows)
    for end in range(0, len(kept) + 1, 2):
        half = Counter(row.verdict for row in kept[:end])
        assert half[Verdict.YES] == half[Verdict.NO]
    assert balance(data.draw(st.permutations(rows)), seed=seed) == kept


def test_another_seed_keeps_other_rows() -> None:
    rows = [Row(str(i), "p", Verdict.YES if i < 90 else Verdict.NO) for i in range(100)]
    assert set(balance(rows, seed=1)) != set(balance(rows, seed=2))
    assert [row.id for row in balance(rows, seed=42)][:6] == ["17", "91", "89", "90", "72", "94"]


@given(rows=rows_strategy, wanted=st.integers(0, 40), seed=st.integers(0, 5))
def test_no_problem_is_on_both_sides_of_a_split(rows: list[Row], wanted: int, seed: int) -> None:
    try:
        split = split_by_problem(rows, validation_rows=wanted, seed=seed)
    except BadInput:
        assert rows
        return
    held = {row.problem_id for row in split.validation}
    assert not held & {row.problem_id for row in split.train}
    assert sorted([*split.train, *split.validation], key=rows.index) == rows
    assert list(split.train) == sorted(split.train, key=rows.index)
    assert len(split.validation) >= wanted or not rows
    without_last = len(split.validation) - max(
        Counter(row.problem_id for row in split.validation).values(), default=0
    )
    assert without_last < wanted or not split.validation


def test_holding_out_everything_is_refused() -> None:
    with pytest.raises(BadInput, match="leaves none to train on"):
        split_by_problem([Row("a", "p", Verdict.YES)], validation_rows=1, seed=0)
