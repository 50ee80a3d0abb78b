"""Are the pieces of a report sound: words, labels, escapes, sizes?"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm.benchmarks.statistics import Interval
from rprm.reporting import markdown, page, wording
from rprm.reporting.claims import Compared, Verdict
from rprm.reporting.document import Document, Example, Grid, Paragraph, Section
from rprm.reporting.plots import spread
from rprm.reporting.readings import MAX_CHARACTERS, _shortened, within


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (Verdict.HOLDS, "rises from 60.0 to 62.0 (+2.0 [+0.5, +3.5] points)"),
        (Verdict.FAILS, "falls from"),
        (Verdict.UNDECIDED, "which may be chance"),
    ],
)
def test_a_change_is_told_with_its_numbers_and_its_doubt(verdict: Verdict, words: str) -> None:
    found = Compared(
        better=62.0,
        worse=60.0,
        difference=Interval(estimate=2.0, low=0.5, high=3.5),
        verdict=verdict,
        seeds=1,
    )
    assert words in wording.change(found)


def test_an_interval_that_is_not_known_is_left_out() -> None:
    nan = float("nan")
    assert wording.estimate(Interval(estimate=50.0, low=nan, high=nan)) == "50.0"
    assert wording.gain(Interval(estimate=nan, low=nan, high=nan)) == "—"


values = st.lists(st.floats(0, 100), max_size=12).map(sorted)


@given(values)
def test_labels_are_apart_and_keep_their_order(ascending: list[float]) -> None:
    moved = spread(ascending, 5.0)
    assert len(moved) == len(ascending)
    assert all(b - a >= 5.0 - 1e-6 for a, b in pairwise(moved))


def test_labels_that_are_far_apart_stay_where_they_are() -> None:
    assert spread([10.0, 50.0, 90.0], 5.0) == [10.0, 50.0, 90.0]


@given(st.text())
def test_text_of_people_never_becomes_markup(text: str) -> None:
    found = str(page.light(text))
    for tag in ("code", "strong", "em"):
        found = found.replace(f"<{tag}>", "").replace(f"</{tag}>", "")
    assert "<" not in found


def test_markdown_light_is_understood() -> None:
    assert page.light("**a** and *b* and `c`") == (
        "<strong>a</strong> and <em>b</em> and <code>c</code>"
    )


def test_a_pipe_does_not_break_a_markdown_table() -> None:
    grid = Grid(caption="c", header=["a", "b"], rows=[["x|y", None]])
    document = Document(
        title="t", text="", sections=[Section(title="s", anchor="s", blocks=[grid])]
    )
    assert "| x\\|y | — |" in markdown.render(document)


def test_a_warning_is_loud_in_both() -> None:
    told = Paragraph(text="**labels changed**", tone="warning")
    document = Document(
        title="t", text="", sections=[Section(title="s", anchor="s", blocks=[told])]
    )
    assert "**Warning.**" in markdown.render(document)
    assert 'role="alert"' in page.render(document)


# --- critiques to read ------------------------------------------------------------------------


def example(kind: str, text: str = "ok") -> Example:
    critique: dict[str, Any] = {"text": text, "verdict": "no", "p_yes": 0.1, "cause": None}
    return Example(
        judge="sft",
        kind=kind,
        case_id="c",
        problem="p",
        steps=["s"],
        step=0,
        label=0,
        score=0.1,
        critiques=[critique],
    )


def test_a_small_budget_keeps_one_of_every_kind_before_a_second_of_any() -> None:
    judge = [example("found error"), example("found error"), example("missed error")]
    kinds = [one.kind for one in within([judge], 2 * 1510)]
    assert kinds == ["found error", "missed error"]


def test_a_long_critique_keeps_its_beginning_and_its_verdict() -> None:
    text = "begins " + "x" * (3 * MAX_CHARACTERS) + " Verdict: No"
    short = _shortened({"text": text})["text"]
    assert len(short) < MAX_CHARACTERS + 100
    assert short.startswith("begins")
    assert short.endswith("Verdict: No")
