"""Are the labels of the small world exact, its splits apart, and its rates as stated?"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rprm.data.chains import (
    FLAWS,
    HIGH,
    LOW,
    SPLITS,
    Split,
    apply,
    problem,
    solution,
    split_of,
    worked,
)
from rprm.errors import BadInput
from rprm.schema import Solution

splits = st.sampled_from(sorted(SPLITS))
rows = st.integers(0, 10**9)


def first_wrong(one: Solution) -> int:
    """The label by an independent reading of the texts."""
    start, *rest = one.problem.split()
    value, terms = int(start), list(zip(rest[1::3], map(int, rest[2::3]), strict=True))
    assert rest[::3] == [f"#{number}" for number in range(1, len(terms) + 1)]
    assert len(terms) == len(one.steps)
    for number, ((sign, operand), step) in enumerate(zip(terms, one.steps, strict=True)):
        right = apply(value, sign, operand)
        if step != f"{value} {sign} {operand} = {right}":
            return number
        value = right
    return -1


@given(seed=rows, index=rows, split=splits)
@settings(max_examples=300, deadline=None)
def test_the_label_is_the_first_step_that_is_not_what_the_problem_asks_for(
    seed: int, index: int, split: Split
) -> None:
    one = solution(seed, index, split)
    assert one.label == first_wrong(one)


@given(seed=rows, index=rows, split=splits)
@settings(max_examples=300, deadline=None)
def test_after_the_first_error_the_solution_goes_on_consistently(
    seed: int, index: int, split: Split
) -> None:
    one = solution(seed, index, split)
    for before, after in zip(one.steps, one.steps[1:], strict=False):
        if one.label != one.steps.index(after):
            assert after.split()[0] == before.split()[-1]
    for number, step in enumerate(one.steps):
        value, sign, operand, _, result = step.split()
        if number != one.label:
            assert apply(int(value), sign, int(operand)) == int(result)


@given(seed=rows, index=rows, split=splits)
@settings(max_examples=300, deadline=None)
def test_every_number_has_three_digits_and_chains_have_two_to_four_steps(
    seed: int, index: int, split: Split
) -> None:
    one = solution(seed, index, split)
    texts = " ".join([one.problem, *one.steps]).split()
    assert all(LOW <= int(word) <= HIGH for word in texts if word.isdigit())
    assert 2 <= len(one.steps) <= 4


@given(seed=rows, index=rows, split=splits)
@settings(max_examples=100, deadline=None)
def test_a_problem_is_a_function_of_seed_index_and_split(
    seed: int, index: int, split: Split
) -> None:
    assert worked(seed, index, split) == worked(seed, index, split)
    assert solution(seed, index, split).problem == problem(seed, index, split).text


@given(seed=rows, index=rows, split=splits)
@settings(max_examples=100, deadline=None)
def test_the_text_of_a_problem_belongs_to_its_split_alone(
    seed: int, index: int, split: Split
) -> None:
    assert split_of(problem(seed, index, split).text) == split


def test_a_known_problem_stays_the_same_on_every_machine() -> None:
    one = solution(1, 5, "dev")
    assert one.problem == "725 #1 + 150 #2 - 194"
    assert one.steps == ("728 + 150 = 878", "878 - 194 = 684")
    assert one.label == 0


def test_half_of_the_solutions_are_wrong_and_the_kinds_have_their_rates() -> None:
    num = 3000
    kinds = Counter(worked(5, index, "train").flaw for index in range(num))
    wrong = num - kinds[None]
    assert abs(wrong / num - 0.5) < 0.03
    for flaw, rate in FLAWS.items():
        assert abs(kinds[flaw] / wrong - rate) < 0.03, flaw


def test_an_unknown_split_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadInput, match="train, dev, test"):
        solution(0, 0, "validation")  # type: ignore[arg-type]


def test_a_world_of_erroneous_solutions_has_as_many_wrong_steps_as_right_ones_before_them() -> None:
    drawn = [solution(9, index, "train", erroneous=1.0) for index in range(1000)]
    assert all(one.label >= 0 for one in drawn)
    assert 0.4 < len(drawn) / sum(one.label + 1 for one in drawn) < 0.6
