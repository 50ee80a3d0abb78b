"""Is every analysis read by exactly the published rules, and does none of them raise?"""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm.engines.base import VerdictFormat
from rprm.schema import Verdict
from rprm.verdicts import (
    Cause,
    NotParsed,
    Parsed,
    accept,
    parse,
    read,
    split_text,
    verdict_of,
    verdict_string,
)

FMT = VerdictFormat(
    prefix="Verification: ", marker="Is the step correct (Yes/No)?", yes=" Yes", no=" No"
)
YES = "Verification: Is the step correct (Yes/No)? Yes"
NO = "Verification: Is the step correct (Yes/No)? No"
BARE = "Is the step correct (Yes/No)?"


def short(found: Parsed | NotParsed) -> str:
    return found.verdict.value if isinstance(found, Parsed) else found.cause.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"Analysis: fine.\n{YES}", "yes"),
        (f"Analysis: bad.\n{NO}", "no"),
        (f"{BARE} Yes", "yes"),  # scoring cuts at the marker, without the prefix
        (f"{NO} ... {YES}", "no"),  # the first marker counts
        (f"{BARE} Yesterday", "yes"),  # the verdict is one token; what follows is not read
        (f"{BARE} Maybe. {YES}", "no_word"),  # the first marker counts even if it fails
        (f"{BARE}Yes", "no_word"),  # the blank belongs to the word
        (BARE, "no_word"),
        ("The step is right. Yes", "no_marker"),
        ("", "no_marker"),
    ],
)
def test_scoring_reads_the_word_after_the_first_marker(text: str, expected: str) -> None:
    assert short(parse(text, FMT)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"a {YES} b", "yes"),  # anywhere: rejected answers need not end with it
        (f"{NO}t", "no"),  # a count of strings knows no words
        (f"{YES}{NO}", "ambiguous"),
        (f"{YES} {YES}", "ambiguous"),  # twice the same is not exactly one
        (f"{BARE} Yes", "no_verdict"),  # without its prefix it is no verdict string
        ("", "no_verdict"),
    ],
)
def test_reading_wants_exactly_one_verdict_string(text: str, expected: str) -> None:
    assert short(read(text, FMT)) == expected


@pytest.mark.parametrize(
    ("text", "gold", "expected"),
    [
        (f"Analysis\n{YES}", True, "yes"),
        (f"Analysis\n{NO}", False, "no"),
        (f"{YES}...", True, "yes"),  # full stops, then blanks, may follow
        (f"{YES} \n", True, "yes"),
        (f"{YES} .", True, "yes"),
        (f"{YES}.\n", True, "trailing_text"),  # blanks outside full stops: the rule as published
        (f"{YES}!", True, "trailing_text"),
        (f"{YES}, since 1 + 1 = 2", True, "trailing_text"),
        (f"{YES}", False, "disagrees"),
        (f"{NO}", True, "disagrees"),
        (f"{NO}, so", True, "disagrees"),  # the first broken rule names the cause
        (f"{NO} or {YES}", True, "ambiguous"),
        ("I do not know.", True, "no_verdict"),
    ],
)
def test_acceptance_wants_one_verdict_that_agrees_and_ends_the_text(
    text: str, gold: bool, expected: str
) -> None:
    assert short(accept(text, FMT, gold=verdict_of(gold))) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  a \n\tb  ", "a\nb"),
        (r"a \n b\n\nc", "a\nb\n\nc"),  # a literal backslash-n, as the published prompt taught
        (r"x \neq y \nu\nabla", r"x \neq y \nu\nabla"),  # LaTeX is not a line break
        (r"one\nnext", "one\nnext"),  # not every word in n is LaTeX
        ("", ""),
    ],
)
def test_cleaning_breaks_lines_and_strips_them(text: str, expected: str) -> None:
    assert split_text(text) == expected


def test_published_cleaning_also_cuts_latex() -> None:
    assert split_text(r"x \neq y", keep_latex=False) == "x\neq y"


PIECES = [YES, NO, BARE, " Yes", " No", "Verification: ", ".", " ", "\n", r"\n", "?", "(Yes/No)"]
texts = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=8)), max_size=10).map("".join)


@given(text=texts)
def test_readings_agree_with_one_another(text: str) -> None:
    lenient, first = read(text, FMT), parse(text, FMT)
    for gold in Verdict:
        strict = accept(text, FMT, gold=gold)
        if isinstance(strict, Parsed):
            assert lenient == strict
            assert text.count(verdict_string(FMT, gold)) == 1
    if isinstance(lenient, Parsed):
        assert not isinstance(first, NotParsed) or first.cause is Cause.NO_WORD


@given(text=texts)
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    assert split_text(split_text(text)) == split_text(text)


def test_fuzzed_critiques_never_raise() -> None:
    """1e5 of them, cut and spliced from verdict lines and random characters."""
    random_ = random.Random(7)
    seen: set[str] = set()
    for _ in range(100_000):
        text = "".join(random_.choices([*PIECES, chr(random_.randrange(0xD800))], k=8))
        text = text[random_.randrange(4) : len(text) - random_.randrange(4)]
        seen.add(short(parse(text, FMT)))
        seen.add(short(accept(text, FMT, gold=random_.choice(list(Verdict)))))
        split_text(text)
    assert seen == {"yes", "no", *Cause} - {Cause.CUT_OFF}
