"""Does each grader take for equal what it should, and nothing else?"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rprm.benchmarks import grading, grading_pool, math_verify_grader, qwen_grader
from rprm.benchmarks.grading import Grade, at_once, grade_all, is_right
from rprm.benchmarks.grading_pool import CHUNK_BYTES
from rprm.benchmarks.grading_verdicts import Verdict

R, W, U = Grade.RIGHT, Grade.WRONG, Grade.UNDECIDED

TABLE = [
    (r"\frac{1}{2}", "0.5", R),
    (r"\frac{14}{3}", r"4\frac{2}{3}", R),
    (r"\left( 3, \frac{\pi}{2} \right)", r"(3, \pi/2)", R),
    (r"(1,2)", "(2,1)", W),
    (r"\text{Evelyn}", "Evelyn", R),
    ("$10-4 n$", "2(5-2n)", R),
    (r"\$36", "36.0", R),
    ("x=5", "5.0", R),
    ("10{,}080", "10080", R),
    ("50", r"50\%", R),
    ("0<x<12.5", "(0,12.5)", R),
    ("(0,12.5)", "0<x<12.5", W),  # the order of the arguments matters
    (r"\begin{pmatrix} -1/3 \\ 2 \end{pmatrix}", r"\begin{bmatrix}-\frac13\\2\end{bmatrix}", R),
    (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", "5", W),
    ("7", "8", W),
    ("025", " 25", R),
    ("-025", "25", W),
    ("7", "", W),
    ("7", r"\frac{", W),  # a prediction that cannot be read is wrong
    ("No solution : $\\oslash$", "3", U),  # a reference that cannot be read leaves it open
    ("No solution", "no  solution", R),
    ("all real numbers", r"\text{all real numbers}", R),
    # What math-verify alone takes for equal:
    (r"\frac{1}{2^{99}}", r"\frac{1}{2^{98}}", W),
    (r"\frac{1}{2004!}", r"\frac{1}{2006!}", W),
    (r"1-1/\mathrm{e}", r"1+1/\mathrm{e}", W),
    ("0.00001", "10^{-5}", R),
    ("0.0005", r"0.05\%", R),
    ("4.5e33", r"4.5 \times 10^{33}", R),
    ("0.000123", "1.23e-4", R),
    ("2e", "e+e", R),  # Euler's number all the same
]


def decide(compare: Callable[[str, str], Verdict], gold: str, prediction: str) -> Grade:
    """Without a process around it."""
    found = at_once(gold, prediction, grader="math-verify")
    return (found or grading._graded(compare(gold, prediction))).grade


@pytest.mark.parametrize(("gold", "prediction", "grade"), TABLE)
def test_equal_answers_are_right_and_others_are_not(
    gold: str, prediction: str, grade: Grade
) -> None:
    assert decide(math_verify_grader.compare, gold, prediction) is grade


def test_a_pair_that_breaks_its_process_twice_is_undecided() -> None:
    outcomes: dict[int, object] = {}
    run = grading_pool._Run(pairs=[("", "")] * 4, left=deque([3]), on_outcome=outcomes.__setitem__)
    run.lost([0, 1, 2], grading_pool.CRASHED)
    assert (list(run.left), outcomes) == ([1, 2, 3, 0], {})
    run.lost([0], grading_pool.CRASHED)
    assert outcomes == {0: "crashed"}


def test_exact_grades_compare_texts() -> None:
    assert grade_all([(" 12 ", "12"), ("12", "12.0"), ("", "")], grader="exact") == [R, W, R]
    assert [is_right(one) for one in (R, W, U)] == [True, False, None]


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.text(max_size=2000), st.text(max_size=2000)), max_size=70),
    st.integers(1, 8),
)
def test_every_pair_is_handed_out_once_in_chunks_that_fit_a_pipe(
    pairs: list[tuple[str, str]], workers: int
) -> None:
    run = grading_pool._Run(pairs=pairs, left=deque(range(len(pairs))), on_outcome=lambda *_: None)
    chunks = []
    while run.left:
        chunks.append(run.take(workers))
    assert [index for chunk in chunks for index in chunk] == list(range(len(pairs)))
    sizes = [sum(len(grading_pool.encoded([pairs[i]])) for i in chunk) for chunk in chunks]
    assert all(chunks)
    assert all(size <= CHUNK_BYTES for size in sizes)


# --- the published grader -------------------------------------------------------------------

LAX = [
    ("5", "5.0004", R),  # within a relative 1e-4
    ("5", "5.001", W),
    ("50", "0.5", R),  # a percentage of it
    ("0.5", "50", R),
    ("10,080", "10080", R),
    (r"\frac{1}{3}", "0.33333", R),
    ("(0,1)", "[0,1]", R),  # whatever the brackets
    ("1,2", "(1,2)", R),
    ("(1,2)", "(2,1)", W),
    (r"(\frac{1}{2},\sqrt{8})", r"(0.5,2\sqrt2)", R),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{bmatrix}1.0\\2\end{bmatrix}", R),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{bmatrix}1&2\end{bmatrix}", W),
    ("x=5", "5.0", R),
    ("2y=4x+2", "4x-2y=-2", R),
    ("2y=4x+2", "2y=4x+4", W),
    (r"\text{even}", "Even", R),
    ("(x+1)^2", "x^2+2x+1", R),
    (r"\pi", "3.1416", R),
    ("2", "__import__('os').system('false')", W),  # nothing is evaluated
    ("2", r"\frac{", W),
]


@pytest.mark.parametrize(("gold", "prediction", "grade"), LAX)
def test_the_published_grader_is_as_lax_as_published(
    gold: str, prediction: str, grade: Grade
) -> None:
    assert decide(qwen_grader.compare, gold, prediction) is grade


@pytest.mark.parametrize("prediction", ["0.5", "50.004"])
def test_what_is_only_close_is_right_for_the_lax_grader_alone(prediction: str) -> None:
    assert decide(math_verify_grader.compare, "50", prediction) is W
    assert decide(qwen_grader.compare, "50", prediction) is R
