"""Do exactly the published rules make the preference pairs?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm.engines.base import VerdictFormat
from rprm.pairing import make_pairs
from rprm.schema import Verdict
from rprm.selection import Response, balance, split_by_problem
from rprm.verdicts import verdict_string

FMT = VerdictFormat(prefix="V: ", marker="ok?", yes=" Yes", no=" No")
YES, NO = (verdict_string(FMT, verdict) for verdict in Verdict)
TEXTS = {
    "C": f"good {YES}",  # chosen
    "R": f"bad {NO}",  # rejected
    "r": f"{NO}, and so on",  # rejected too: its end is not tested
    "t": f"{YES}, and so on",  # valid, but neither
    "x": "nothing",  # not valid
    "a": f"{YES}{NO}",  # not valid
}


def sampled(kinds: str, case: str = "q", gold: Verdict = Verdict.YES) -> list[Response]:
    return [
        Response(case_id=case, problem_id=case, gold=gold, sample=sample, text=TEXTS[kind])
        for sample, kind in enumerate(kinds)
    ]


@pytest.mark.parametrize(
    ("kinds", "pairs"),
    [
        ("CRRR", []),  # a quarter chosen: dropped
        ("CCRR", [(0, 2), (0, 3)]),  # chosen-major, the first two
        ("CCCR", [(0, 3), (1, 3)]),
        ("CRR", []),  # a third is not more than a third
        ("CR", [(0, 1)]),
        ("Cr", [(0, 1)]),  # a rejected answer may go on after its verdict
        ("CRt", []),  # trailing text counts as valid: a third again
        ("CRxa", [(0, 1)]),  # what has not exactly one verdict does not
        ("RCCR", [(1, 0), (1, 3)]),
        ("CCCC", []),
        ("RRRR", []),
        ("tR", []),
        ("xa", []),
    ],
)
def test_pairs_of_one_case(kinds: str, pairs: list[tuple[int, int]]) -> None:
    made = make_pairs(sampled(kinds), FMT).rows
    assert [(row.chosen_sample, row.rejected_sample) for row in made] == pairs
    assert all(row.chosen == TEXTS["C"] for row in made)


def test_without_filter_and_cap_it_is_the_whole_cross_product() -> None:
    made = make_pairs(sampled("CCRRRRR"), FMT, cap=None, filtered=False).rows
    assert [(row.chosen_sample, row.rejected_sample) for row in made] == [
        (chosen, rejected) for chosen in (0, 1) for rejected in range(2, 7)
    ]


def test_every_case_and_response_is_counted() -> None:
    many = [*sampled("CCRR", "a"), *sampled("CRRt", "b"), *sampled("CC", "c"), *sampled("xa", "d")]
    counts = make_pairs([*many, *sampled("RR", "e")], FMT).counts
    assert counts.as_dict() == {
        "cases": 5,
        "responses": 14,
        "no_verdict": 1,
        "ambiguous": 1,
        "trailing_text": 1,
        "chosen": 5,
        "rejected": 6,
        "cases_all_right": 1,
        "cases_all_wrong": 1,
        "cases_without_verdict": 1,
        "cases_too_hard": 1,
        "cases_paired": 1,
        "pairs_over_cap": 2,
        "pairs": 2,
    }


def test_pairs_are_balanced_and_split_like_rows() -> None:
    wrong = [
        Response(case_id=f"n{i}", problem_id=f"n{i}", gold=Verdict.NO, sample=k, text=text)
        for i in range(3)
        for k, text in enumerate([f"x {NO}", f"x {YES}"])
    ]
    right = [one for i in range(5) for one in sampled("CR", f"y{i}")]
    rows = balance(make_pairs([*right, *wrong], FMT).rows, seed=0)
    assert [row.verdict for row in rows] == [Verdict.YES, Verdict.NO] * 3
    split = split_by_problem(rows, validation_rows=2, seed=0)
    assert (len(split.train), len(split.validation)) == (4, 2)


kinds = st.text(alphabet="CRrtxa", max_size=8)


@given(cases=st.lists(kinds, max_size=5), cap=st.integers(0, 4), data=st.data())
def test_pairs_do_not_depend_on_the_order_of_rows_and_obey_the_rules(
    cases: list[str], cap: int, data: st.DataObject
) -> None:
    many = [one for index, text in enumerate(cases) for one in sampled(text, str(index))]
    made = make_pairs(many, FMT, cap=cap)
    assert make_pairs(data.draw(st.permutations(many)), FMT, cap=cap) == made
    assert len({row.id for row in made.rows}) == len(made.rows) == made.counts.pairs
    for index, text in enumerate(cases):
        good, bad = text.count("C"), text.count("R") + text.count("r")
        valid = good + bad + text.count("t")
        wanted = min(cap, good * bad) if valid < 3 * good else 0
        assert sum(row.case_id == str(index) for row in made.rows) == wanted
