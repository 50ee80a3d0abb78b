"""Does the checker find the first wrong step of any text that claims to solve a problem?"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rprm.data import chains
from rprm.data.chain_checks import answer_of, first_wrong
from rprm.data.chains import SPLITS, Split

PROBLEM = "345 #1 + 210 #2 - 120"
splits = st.sampled_from(sorted(SPLITS))
numbers = st.integers(0, 10**9)
texts = st.text() | st.text(alphabet="0123456789 +-=#.")


@given(seed=numbers, index=numbers, split=splits)
@settings(max_examples=300, deadline=None)
def test_it_agrees_with_the_label_of_every_solution_of_the_world(
    seed: int, index: int, split: Split
) -> None:
    one = chains.solution(seed, index, split)
    assert first_wrong(one.problem, one.steps) == one.label


@given(seed=numbers, index=numbers, split=splits)
@settings(max_examples=100, deadline=None)
def test_the_answer_is_where_a_solution_without_an_error_ends(
    seed: int, index: int, split: Split
) -> None:
    one = chains.solution(seed, index, split, erroneous=0.0)
    assert answer_of(one.problem) == one.steps[-1].split()[-1]


@given(problem=texts, steps=st.lists(texts))
def test_it_never_raises(problem: str, steps: list[str]) -> None:
    found = first_wrong(problem, steps)
    assert found is None or -1 <= found < len(steps)
    assert (found is None) == (answer_of(problem) is None)


@given(steps=st.lists(texts))
def test_it_never_raises_on_any_steps_of_a_real_problem(steps: list[str]) -> None:
    found = first_wrong(PROBLEM, steps)
    assert found is not None
    assert -1 <= found < len(steps)


@pytest.mark.parametrize(
    ("steps", "label"),
    [
        (("345 + 210 = 555", "555 - 120 = 435"), -1),
        (("345 + 210 = 565", "565 - 120 = 445"), 0),  # wrong arithmetic
        (("345 + 210 = 555", "555 - 120 = 455"), 1),
        (("354 + 210 = 564", "564 - 120 = 444"), 0),  # another value
        (("345 + 120 = 465",), 0),  # another operand
        (("345 - 210 = 135",), 0),  # another sign
        (("555 - 120 = 435", "345 + 210 = 555"), 0),  # another order
        (("345 + 210 = 555", "565 - 120 = 445"), 1),  # the value before was copied wrongly
        (("345 + 210 = 555",), -1),  # too few steps make none of them wrong
        ((), -1),
        (("345 + 210 = 555", "555 - 120 = 435", "435 + 1 = 436"), 2),  # one step too many
        (("345+210=555", " 555 - 120 = 4 35"), -1),  # blanks do not count
        (("345 + 210 = 555.",), 0),
        (("345 + 210 = 0555",), 0),
        (("we add: 345 + 210 = 555",), 0),
        (("",), 0),
    ],
)
def test_a_step_is_right_when_it_says_what_the_problem_asks_for(
    steps: tuple[str, ...], label: int
) -> None:
    assert first_wrong(PROBLEM, steps) == label


def test_a_text_that_is_no_problem_of_the_world_has_no_labels_and_no_answer() -> None:
    assert first_wrong("What is 1 + 1?", ("2",)) is None
    assert answer_of("What is 1 + 1?") is None
    assert answer_of(PROBLEM) == "435"
