"""Which steps does a search keep, and how are the engines asked?"""

from __future__ import annotations

from dataclasses import replace

import pytest

from rprm.benchmarks.best_of_n import Aggregator
from rprm.benchmarks.guided_search import SearchParams, StopCause, guided_search
from rprm.engines.base import Request, Sample
from tests.unit.rprm.scripted_engines import text_sample
from tests.unit.rprm.searches import (
    judge_of,
    policy_of,
    policy_saying,
    problems,
    rounds,
    said_before,
    search,
)


def test_the_candidate_believed_most_is_kept_and_the_last_step_is_the_answer() -> None:
    found = search(
        policy_of({(): ["a", "b", "c"], ("b",): ["d.", "e."]}),
        judge_of({"a": 0.2, "b": 0.9, "c": 0.4, "d.": 0.3, "e.": 0.6}),
        candidates=3,
    )
    assert (found.steps, found.scores_S) == (("b", "e."), (0.9, 0.6))
    assert (found.answer, found.finished, found.stop) == ("e.", True, StopCause.FINISHED)


def test_the_first_of_equals_is_kept() -> None:
    beliefs = {"a.": 0.25, "b.": 0.75, "c.": 0.75 + 1e-7}
    assert search(policy_of({(): ["a.", "b.", "c."]}), judge_of(beliefs)).steps == ("b.",)


def test_equal_candidates_are_judged_once_also_where_only_one_of_them_ends_the_solution() -> None:
    def script(request: Request, k: int) -> Sample:
        return text_sample("ab"[k % 2], finished=k > 3)

    judge = judge_of({"a": 0.1, "b": 0.9}, num_critiques=3)
    found = search(policy_saying(script), judge, max_steps=1)
    assert found.spent.samples == 8
    assert found.spent.candidates == 4
    assert found.spent.critiques == 2 * 3
    assert (found.steps, found.finished) == (("b",), False)


def test_the_published_trace_of_candidates_can_be_read() -> None:
    found = search(
        policy_of({(): ["a", "b", "b."], ("b",): ["d."]}),
        judge_of({"a": 0.25, "b": 0.75, "d.": 1.0}),
        candidates=3,
    )
    assert found.trace.splitlines() == [
        "step 1: 3 samples, 3 candidates",
        "  0.250  a",
        "> 0.750  b",
        "  none  *b.",
        "step 2: 3 samples, 1 candidates",
        "> 1.000 *d.",
    ]


def test_a_text_that_is_empty_and_ends_says_that_the_solution_is_complete() -> None:
    def script(request: Request, k: int) -> Sample:
        known = len(said_before(request)) > 1
        return text_sample("", finished=True) if known else text_sample("a")

    found = search(policy_saying(script), judge_of({"a": 0.5}))
    assert (found.steps, found.answer, found.stop) == (("a",), "a", StopCause.FINISHED)


def test_a_lone_candidate_is_judged_unless_told_not_to() -> None:
    tree = {(): ["a"], ("a",): ["b."]}
    assert search(policy_of(tree), judge_of({"a": 0.5, "b.": 0.5})).spent.critiques == 2
    judge = judge_of({})
    found = search(policy_of(tree), judge, judge_lone=False)
    assert (found.steps, found.scores_S) == (("a", "b."), (None, None))
    assert found.spent.critiques == found.spent.judge_tokens == 0


TRAP = {
    (): ["good", "fair"],
    ("good",): ["bad.", "worse."],
    ("fair",): ["right.", "fine."],
}
TRUST = {"good": 0.9, "fair": 0.8, "bad.": 0.2, "worse.": 0.1, "right.": 0.7, "fine.": 0.6}


def test_two_beams_find_what_greedy_search_walks_past() -> None:
    greedy = search(policy_of(TRAP), judge_of(TRUST), candidates=4)
    beam = search(policy_of(TRAP), judge_of(TRUST), candidates=4, beams=2)
    assert greedy.steps == ("good", "bad.")
    assert beam.steps == ("fair", "right.")


def test_a_finished_beam_leaves_the_pool_and_its_place() -> None:
    tree = {(): ["short.", "long"], ("long",): ["x", "y"], ("long", "x"): ["z."]}
    beliefs = {"short.": 0.6, "long": 0.9, "x": 0.8, "y": 0.7, "z.": 0.9}
    policy = policy_of(tree)
    found = search(policy, judge_of(beliefs), candidates=4, beams=2)
    assert found.steps == ("long", "x", "z.")
    asked = [said_before(one)[1:] for call in rounds(policy) for one in call]
    assert asked == [(), ("long",), ("long", "x")]


@pytest.mark.parametrize(
    ("aggregator", "expected"),
    [
        (Aggregator.LAST, ("low", "top.")),
        (Aggregator.MIN, ("even", "even.")),
        (Aggregator.PRODUCT, ("even", "even.")),  # 0.5 * 0.5 against 0.2 * 0.9
        (Aggregator.MEAN, ("low", "top.")),  # 0.5 against 0.55
    ],
)
def test_beams_are_ranked_by_the_aggregator(
    aggregator: Aggregator, expected: tuple[str, ...]
) -> None:
    tree = {(): ["low", "even"], ("low",): ["top."], ("even",): ["even."]}
    beliefs = {"low": 0.2, "even": 0.5, "top.": 0.9, "even.": 0.5}
    found = search(policy_of(tree), judge_of(beliefs), candidates=2, beams=2, aggregator=aggregator)
    assert found.steps == expected


@pytest.mark.parametrize(("expansion", "expected"), [(None, [6, 3, 3]), (2, [6, 2, 2])])
def test_candidates_are_shared_by_the_beams_or_counted_for_each(
    expansion: int | None, expected: list[int]
) -> None:
    policy = policy_of({(): ["a", "b"], ("a",): ["c."], ("b",): ["d."]})
    beliefs = dict.fromkeys(["a", "b", "c.", "d."], 0.5)
    search(policy, judge_of(beliefs), candidates=6, beams=2, expansion=expansion)
    assert [one.n for call in rounds(policy) for one in call] == expected


# --- how the engines are asked -----------------------------------------------------------------


@pytest.mark.parametrize("beams", [1, 2])
def test_all_beams_of_all_problems_share_their_calls(beams: int) -> None:
    policy, judge = policy_of(TRAP), judge_of(TRUST)
    params = SearchParams(candidates=4, beams=beams)
    list(guided_search(problems(7), policy=policy, judge=judge, params=params))
    assert [len(call) for call in rounds(policy)] == [7, 7 * beams]
    assert [len(call) for call in rounds(judge)] == [14, 14 * beams]


def test_the_candidates_of_a_step_are_samples_of_one_growing_prompt() -> None:
    policy = policy_of(TRAP)
    search(policy, judge_of(TRUST), candidates=4)
    first, second = (one for call in rounds(policy) for one in call)
    assert (first.n, second.n) == (4, 4)
    assert second.prompt_T[: len(first.prompt_T)] == first.prompt_T


def test_all_critiques_are_drawn_also_where_the_judge_would_stop_early() -> None:
    judge = judge_of({"a.": 0.99}, num_critiques=5)
    early = replace(judge, params=replace(judge.params, early_stop=True))
    assert search(policy_of({(): ["a."]}), early).spent.critiques == 5
