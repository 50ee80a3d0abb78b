"""Do K critiques give the published score, and scores the published index?"""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm.schema import Critique, Unparsed, Verdict
from rprm.scoring import Aggregate, first_error, is_error, mean, num_unparsed, score


def critique(p_yes: float | None, verdict: Verdict = Verdict.YES) -> Critique:
    return Critique(text="", verdict=verdict, p_yes=p_yes, num_tokens=1)


LOST = Unparsed(text="", cause="no_marker", num_tokens=1)


def test_the_papers_example_scores_seven_tenths() -> None:
    assert score([critique(0.4), critique(0.9), critique(0.8)]) == pytest.approx(0.7)


def test_hard_votes_count_verdicts_and_not_beliefs() -> None:
    critiques = [critique(0.4), critique(0.9, Verdict.NO), critique(None, Verdict.NO)]
    assert score(critiques, Aggregate.HARD) == 1 / 3


def test_a_verdict_without_a_probability_counts_as_a_vote() -> None:
    assert score([critique(None), critique(0.5, Verdict.NO)]) == 0.75


def test_unparsable_critiques_leave_the_mean_and_are_counted() -> None:
    critiques = [critique(0.2), LOST, critique(0.6), LOST]
    assert score(critiques) == pytest.approx(0.4)
    assert num_unparsed(critiques) == 2


def test_nothing_to_parse_is_no_score() -> None:
    assert score([LOST, LOST]) is None
    assert score([]) is None


def test_exactly_on_the_threshold_is_right() -> None:
    assert not is_error(0.5)
    assert is_error(math.nextafter(0.5, 0))


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.9, 0.5, 0.7], -1),  # the label of a solution without an error
        ([0.9, 0.4, 0.1], 1),
        ([0.9, 0.4, None], 1),  # what comes later does not matter
        ([0.9, None, 0.1], None),  # the error may be in the step without a score
        ([0.9, None, 0.9], None),
        ([], -1),
    ],
)
def test_the_first_step_below_the_threshold_is_the_error(
    scores: list[float | None], expected: int | None
) -> None:
    assert first_error(scores) == expected


beliefs = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@given(values=beliefs, data=st.data())
def test_the_mean_depends_on_no_order_and_never_falls_when_a_belief_rises(
    values: list[float], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(values))
    assert mean(shuffled) == mean(values)
    index = data.draw(st.integers(0, len(values) - 1))
    raised = [*values[:index], data.draw(st.floats(values[index], 1)), *values[index + 1 :]]
    before, after = mean(values), mean(raised)
    assert before is not None
    assert after is not None
    assert after >= before
