"""Is the answer that a solution ends in found, and written in one way?"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm.benchmarks.answers import boxed, extract_answer, normalised
from rprm.data.sources import DATA_VARIABLE, DEFAULT_DATA

RECORDED = Path(os.environ.get(DATA_VARIABLE) or DEFAULT_DATA, "best_of_n_recorded")

SIGNS = (
    r"\boxed{ \frac { } ( ) [ ] $ \$ \text{ \sqrt \left \right \% ^ \circ answer is final I hope"
    r" . , : / = x 1 2 0 12.0 #### - cm ки 答案是 ∞ ' \begin{array}{ \\ & ~"
)
PIECES = st.sampled_from(SIGNS.split())


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so \(\boxed{420}\).", "420"),
        (r"first \boxed{1}, then \boxed{\frac{1}{\sqrt{2}}} it is", r"\frac{1}{\sqrt{2}}"),
        (r"\boxed 7$", "7"),
        (r"\boxed{3 + \frac{1", r"3+\frac{1"),  # cut off: what there is
        ("The final answer is $12$. I hope it is correct. \\boxed{3}", "12"),
        ("He makes 2 * 9 = 18.\n#### 1,800\n", "1,800"),
        ("The answer is: 42.", "42"),
        ("the answer is 5\n\nLet me check: 6", "5"),
        ("My final answer is x = 3", "3"),
        ("答案是 12", "12"),
        ("it costs 1,234.5 dollars", "1234.5"),
        ("I do not know", None),
        (r"nothing in \boxed{}", None),
        ("", None),
    ],
)
def test_the_first_rule_that_applies_finds_the_answer(text: str, answer: str | None) -> None:
    assert extract_answer(text) == answer


def test_a_box_keeps_its_nested_braces_as_written() -> None:
    assert (
        boxed(r"\boxed{\left\{ \frac{1}{2}, 3 \right\}} rest") == r"\left\{ \frac{1}{2}, 3 \right\}"
    )
    assert boxed("no box") is None


@pytest.mark.parametrize(
    ("written", "alike"),
    [
        (r"\frac{1}{2}", [r"\dfrac12", r"\tfrac 1 2", "1/2", r"\frac{1}2", r"$\frac{1}{2}$"]),
        (r"\sqrt{2}", [r"\sqrt2", "sqrt(2)", r"\sqrt{2}."]),
        (r"(3,\frac{\pi}{2})", [r"\left( 3, \frac{\pi}{2} \right)", r"\(( 3,\,\frac{\pi}{2})\)"]),
        ("5", ["5.0", "$5", "5 cm", r"5\text{ cm}^2", "5^\\circ", r"5\%", "x = 5", " 5 days."]),
        ("C", ["(C)", r"\text{(C)}", r"\textbf{C}"]),
        ("0.5", [".5", "0.5"]),
        ("3.05", ["3.05"]),
        ("x=1,y=2", ["x = 1, y = 2"]),
        (r"a\le3", [r"a \leq 3", r"a\leqslant 3"]),
    ],
)
def test_spellings_of_one_answer_come_out_the_same(written: str, alike: list[str]) -> None:
    assert {normalised(one) for one in [written, *alike]} == {written}


@given(st.one_of(st.text(), st.lists(PIECES, max_size=30).map("".join)))
def test_no_text_breaks_the_reading(text: str) -> None:
    found = extract_answer(text)
    assert found is None or found.strip() == found != ""


@given(st.lists(PIECES, max_size=12).map("".join))
def test_a_boxed_answer_is_read_whatever_stands_before_it(text: str) -> None:
    assert extract_answer(text.replace("final", "") + r" \boxed{\frac{3}{4}}") == r"\frac{3}{4}"


@pytest.mark.parametrize(
    "piece", [".", "1", r"\boxed{", r"\text{", r"\frac", "answer is ", " ", "1 "]
)
def test_a_long_text_is_read_in_time_that_grows_with_its_length(piece: str) -> None:
    def seconds(repeats: int) -> float:
        started = time.perf_counter()
        extract_answer(r"\boxed{" + piece * repeats + "x")
        return time.perf_counter() - started

    short = max(seconds(4_000), 1e-3)
    assert (
        min(seconds(64_000), seconds(64_000)) < 100 * short
    )  # 16 times the text; a square law would take 256 times


def test_what_the_official_script_extracted_is_extracted() -> None:
    if not RECORDED.is_dir():
        pytest.skip(f"no {RECORDED}; set {DATA_VARIABLE} to the folder that holds it")
    lines = (RECORDED / "qwen_math_cot_100.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    pairs = [pair for row in rows for pair in zip(row["code"], row["pred"], strict=True)]
    assert len(pairs) == 800
    assert not [(text, answer) for text, answer in pairs if extract_answer(text) != answer]
