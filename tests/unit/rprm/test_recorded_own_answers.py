"""Is a bare answer told from a solution that ends in one?"""

from __future__ import annotations

import pytest

from rprm.benchmarks.answers import extract_answer, normalised
from rprm.recorded.own_answers import own_answer


@pytest.mark.parametrize(
    "response",
    [
        "\\frac{1}{2}",
        "12\\frac{3}{5}",
        "4:30",
        "4a-2",
        "A",
        "9999",
        "-3.5",
        " (3, \\frac{\\pi}{2}) ",
        "2\\sin x + \\text{const}",
        "sin(2x)",
        "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}",
        "Evelyn",
        "all real numbers",
        "x = 5",
    ],
)
def test_a_bare_answer_is_taken_whole(response: str) -> None:
    assert own_answer(response) == normalised(response)


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ("So we get \\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("The total is 42", "42"),
        ("12 square apples", "12"),
        ("1 + 1 = 2\n2 + 2 = 4", "4"),
        ("7 - 3 = 4\n#### 4", "4"),
        ("The answer is 3", "3"),
        ("nobody could ever find this out", None),
        ("", None),
        ("1+" * 200 + "7", "7"),
    ],
)
def test_any_other_response_is_read_to_its_end(response: str, expected: str | None) -> None:
    assert own_answer(response) == expected == extract_answer(response)
