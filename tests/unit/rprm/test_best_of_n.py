"""Do the ways to choose among N responses choose what the official scripts choose?"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import comb

from rprm.benchmarks.best_of_n import (
    METHODS,
    Aggregator,
    Pool,
    Response,
    difference_metrics,
    evaluate,
    method_metrics,
    reward,
)
from rprm.benchmarks.n_curve import best_at_k, curve, pass_at_k, points
from rprm.benchmarks.resampling import intervals
from rprm.data.sources import DATA_VARIABLE, DEFAULT_DATA
from rprm.errors import BadInput

RECORDED = Path(os.environ.get(DATA_VARIABLE) or DEFAULT_DATA, "best_of_n_recorded")

SCORES = st.lists(st.integers(-4, 4).map(lambda n: n / 2), max_size=3).map(tuple)


@st.composite
def responses(draw: st.DrawFn) -> Response:
    return Response(
        answer=draw(st.sampled_from(["1", "2", "3", None])),
        correct=draw(st.sampled_from([True, False, None])),
        scores=draw(SCORES),
    )


def pools(largest: int = 6) -> st.SearchStrategy[Pool]:
    return st.builds(
        Pool,
        problem_id=st.uuids().map(str),
        subset=st.sampled_from(["a", "b"]),
        responses_N=st.lists(responses(), min_size=1, max_size=largest).map(tuple),
    )


def pool(*rows: tuple[str | None, bool | None, Sequence[float]], subset: str = "math") -> Pool:
    made = [Response(answer=a, correct=c, scores=tuple(s)) for a, c, s in rows]
    return Pool(problem_id="p", subset=subset, responses_N=tuple(made))


def naive_reward(scores: Sequence[float], aggregator: Aggregator) -> float:
    if aggregator == "min":
        return sorted(scores)[0]
    if aggregator == "last":
        return scores[len(scores) - 1]
    if aggregator == "mean":
        return sum(scores) / len(scores)
    total = 1.0
    for score in scores:
        total *= score
    return total


def first_largest(votes: dict[str, float]) -> str | None:
    winner = None
    for answer, value in votes.items():
        if winner is None or value > votes[winner]:
            winner = answer
    return winner


def naive(pool: Pool, aggregator: Aggregator) -> dict[str, float]:
    """What the definitions say, one loop per method."""
    right = [1.0 if one.correct else 0.0 for one in pool.responses_N]
    chosen, highest = 0, -math.inf
    counts: dict[str, float] = {}
    sums: dict[str, float] = {}
    first: dict[str | None, float] = {None: 0.0}
    for index, one in enumerate(pool.responses_N):
        value = naive_reward(one.scores, aggregator) if one.scores else -math.inf
        if value > highest:
            chosen, highest = index, value
        if one.answer is None:
            continue
        first.setdefault(one.answer, right[index])
        counts[one.answer] = counts.get(one.answer, 0) + 1
        before = sums.setdefault(one.answer, -math.inf)
        if one.scores:
            sums[one.answer] = value if before == -math.inf else before + value
    return {
        "pass_at_1": sum(right) / len(right),
        "majority": first[first_largest(counts)],
        "best_of_n": right[chosen],
        "weighted_vote": first[first_largest(sums)],
        "pass_at_n": 1.0 if any(right) else 0.0,
    }


@given(st.lists(pools(), min_size=1, max_size=5), st.sampled_from(Aggregator))
def test_every_method_does_what_its_definition_says(
    given_pools: list[Pool], aggregator: Aggregator
) -> None:
    found = evaluate(given_pools, aggregator=aggregator)
    expected = [naive(one, aggregator) for one in given_pools]
    for result, values in zip(found.problems, expected, strict=True):
        assert result.correct == {name: values[name] for name in found.average}
    for name, value in found.average.items():
        means = [
            np.mean([v[name] for v, p in zip(expected, given_pools, strict=True) if p.subset == s])
            for s in sorted({one.subset for one in given_pools})
        ]
        assert value == pytest.approx(100 * np.mean(means))


def test_equals_are_decided_by_who_comes_first() -> None:
    tied = pool(("1", False, [0.5]), ("2", True, [0.5]), ("2", True, [0.1]), ("1", False, [0.1]))
    found = evaluate([tied], aggregator=Aggregator.MIN).average
    assert (found["best_of_n"], found["majority"], found["weighted_vote"]) == (0, 0, 0)


def test_the_first_member_of_a_group_decides_whether_it_is_right() -> None:
    graded_twice = pool(("1", False, [0.1]), ("1", True, [0.9]))
    found = evaluate([graded_twice], aggregator=Aggregator.MIN).average
    assert (found["majority"], found["best_of_n"]) == (0, 100)


def test_an_unjudged_response_is_never_chosen_while_another_was_judged() -> None:
    bad_but_judged = pool(("1", True, []), ("2", False, [-9.0]))
    nothing_judged = pool(("1", True, []), ("2", False, []))
    rates = evaluate([bad_but_judged, nothing_judged], aggregator=Aggregator.PRODUCT)
    assert [one.correct["best_of_n"] for one in rates.problems] == [0, 1]
    assert [one.correct["weighted_vote"] for one in rates.problems] == [0, 1]
    assert rates.num_unjudged == 3


def test_a_response_nobody_could_grade_counts_as_wrong_and_is_counted() -> None:
    found = evaluate([pool(("1", None, [1.0]), ("2", True, [0.0]))], aggregator=Aggregator.LAST)
    assert found.average["pass_at_1"] == 50
    assert found.average["best_of_n"] == 0
    assert found.num_undecided == 1


def test_votes_are_left_out_where_no_response_carries_an_answer() -> None:
    found = evaluate([pool((None, True, [1.0]))], aggregator=Aggregator.LAST)
    assert set(found.average) == {"pass_at_1", "best_of_n", "pass_at_n"}


def test_subsets_count_alike_whatever_their_size() -> None:
    right, wrong = pool(("1", True, [1.0])), pool(("1", False, [1.0]), subset="aime")
    found = evaluate([right, right, right, wrong], aggregator=Aggregator.LAST)
    assert found.average["pass_at_1"] == 50
    assert found.subsets["math"]["pass_at_1"] == 100


@pytest.mark.parametrize(
    ("aggregator", "value"), [("min", -2.0), ("last", 3.0), ("product", -6.0), ("mean", 2 / 3)]
)
def test_scores_below_zero_are_aggregated_as_they_are(aggregator: str, value: float) -> None:
    assert reward([1.0, -2.0, 3.0], Aggregator(aggregator)) == pytest.approx(value)
    assert reward([], Aggregator(aggregator)) is None


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_score_that_is_no_number_is_refused_by_name(bad: float) -> None:
    with pytest.raises(BadInput, match="problem p has a step score"):
        evaluate([pool(("1", True, [bad]))], aggregator=Aggregator.MIN)


@pytest.mark.parametrize("given_pools", [[], [Pool(problem_id="p", subset="", responses_N=())]])
def test_nothing_to_choose_from_is_refused(given_pools: list[Pool]) -> None:
    with pytest.raises(BadInput):
        evaluate(given_pools, aggregator=Aggregator.MIN)


# --- smaller pools --------------------------------------------------------------------------


@given(st.integers(1, 60), st.data())
def test_pass_at_k_is_the_unbiased_estimator(num: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, num))
    k = data.draw(st.integers(1, num))
    expected = 1 - comb(num - right, k, exact=True) / comb(num, k, exact=True)
    assert pass_at_k(num, right, k) == pytest.approx(expected, abs=1e-12)


def test_pass_at_k_holds_for_thousands_of_samples() -> None:
    expected = 1 - comb(9_990, 5_000, exact=True) / comb(10_000, 5_000, exact=True)
    assert pass_at_k(10_000, 10, 5_000) == pytest.approx(expected, abs=1e-12)
    ranks = [float(rank in {3, 4_000}) for rank in range(10_000)]
    assert best_at_k(ranks, 5_000) == pytest.approx(0.5**4, rel=1e-3)


@settings(max_examples=60)
@given(pools(), st.sampled_from(Aggregator))
def test_a_point_of_the_curve_is_the_mean_over_all_smaller_pools(
    whole: Pool, aggregator: Aggregator
) -> None:
    num = len(whole.responses_N)
    for point in curve([whole], aggregator=aggregator):
        smaller = [
            naive(Pool(problem_id="p", subset="a", responses_N=tuple(members)), aggregator)
            for members in combinations(whole.responses_N, min(point.n, num))
        ]
        for name, value in point.values.items():
            expected = 100 * np.mean([one[name] for one in smaller])
            assert value == pytest.approx(expected), (name, point.n)


def large_pool(num: int, *, seed: int = 0) -> Pool:
    rng = np.random.default_rng(seed)
    answers = rng.integers(0, 4, num)
    scores = rng.random(num) + (answers == 0) / 2
    return pool(*((str(a), bool(a == 0), [s]) for a, s in zip(answers, scores, strict=True)))


def test_drawn_subsets_come_close_to_all_of_them() -> None:
    many = [large_pool(12, seed=seed) for seed in range(30)]
    drawn = {point.n: point.values for point in curve(many, aggregator=Aggregator.LAST)}
    for n in (2, 5, 9):
        exact = np.mean(
            [
                naive(Pool(problem_id="", subset="", responses_N=members), Aggregator.LAST)[
                    "majority"
                ]
                for one in many
                for members in combinations(one.responses_N, n)
            ]
        )
        assert drawn[n]["majority"] == pytest.approx(100 * exact, abs=2)


def test_a_curve_ends_at_the_pool_itself_and_is_the_same_twice() -> None:
    many = [large_pool(40, seed=seed) for seed in range(5)] + [large_pool(3)]
    whole = evaluate(many, aggregator=Aggregator.MEAN)
    found = curve(many, aggregator=Aggregator.MEAN, seed=7)
    assert found[-1].n == whole.n == 40
    assert found[-1].values == pytest.approx({n: whole.average[n] for n in found[-1].values})
    assert found == curve(many, aggregator=Aggregator.MEAN, seed=7)


def test_a_curve_of_many_samples_has_few_points() -> None:
    assert points(8) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert points(100) == [*range(1, 17), 32, 64, 100]


# --- the recorded pool ----------------------------------------------------------------------


def recorded() -> list[Pool]:
    if not RECORDED.is_dir():
        pytest.skip(f"no {RECORDED}; set {DATA_VARIABLE} to the folder that holds it")
    lines = (RECORDED / "qwen_math_cot_100.jsonl").read_text(encoding="utf-8").splitlines()
    return [
        Pool(
            problem_id=str(row["idx"]),
            subset="math",
            responses_N=tuple(
                Response(answer=answer, correct=right, scores=tuple(scores))
                for answer, right, scores in zip(
                    row["pred"], row["score"], row["pred_score"], strict=True
                )
            ),
        )
        for row in map(json.loads, lines)
    ]


@pytest.mark.parametrize("aggregator", Aggregator)
def test_the_recorded_pool_gives_the_numbers_of_the_official_script(aggregator: Aggregator) -> None:
    found = evaluate(recorded(), aggregator=aggregator)
    assert {name: found.average[name] for name in METHODS if name != "weighted_vote"} == {
        "pass_at_1": 91.0,
        "majority": 93.0,
        "best_of_n": 94.0,
        "pass_at_n": 96.0,
    }


def test_intervals_come_from_the_sums_of_each_problem() -> None:
    found = evaluate(recorded(), aggregator=Aggregator.LAST)
    methods = list(found.average)
    metrics = method_metrics(methods) | difference_metrics(methods, baselines=["majority"])
    values = intervals(list(found.sums().values()), metrics, num_resamples=200)
    assert {name: values[name].estimate for name in methods} == pytest.approx(dict(found.average))
    gain = values["best_of_n - majority"]
    assert gain.estimate == pytest.approx(1.0)
    assert gain.low <= 1.0 <= gain.high
