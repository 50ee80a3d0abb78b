"""What does a search do where texts, budgets or engines give out?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rprm.benchmarks.guided_search import (
    PolicySide,
    SearchParams,
    StopCause,
    guided_search,
)
from rprm.engines.base import Refused, Request, Sample
from rprm.errors import BadInput
from tests.unit.rprm.scripted_engines import text_sample, unparsable_sample, verdict_sample
from tests.unit.rprm.searches import (
    RENDERER,
    UNUSABLE,
    judge_of,
    judge_saying,
    judged_step,
    policy_of,
    policy_saying,
    problems,
    rounds,
    said_before,
    search,
)


def test_critiques_that_cannot_be_parsed_are_left_out_of_the_mean_and_counted() -> None:
    def script(request: Request, k: int) -> Sample:
        return unparsable_sample() if k == 1 else verdict_sample(RENDERER, 0.25 * (1 + k))

    found = search(policy_of({(): ["a."]}), judge_saying(script, num_critiques=3))
    assert found.scores_S == (0.5,)
    assert (found.spent.critiques, found.spent.unparsed, found.spent.unscored) == (3, 1, 0)


def test_a_candidate_without_a_score_comes_last() -> None:
    found = search(policy_of({(): ["a.", "b."]}), judge_of({"b.": 0.01}))
    assert found.steps == ("b.",)
    assert found.spent.unscored == 1


def test_the_first_candidate_is_kept_where_none_has_a_score() -> None:
    found = search(policy_of({(): ["a", "b"], ("a",): ["c.", "d."]}), judge_of({}), beams=1)
    assert (found.steps, found.scores_S) == (("a", "c."), (None, None))
    assert found.spent.unscored == 4
    assert found.stop is StopCause.FINISHED


def usable_from(attempt: int) -> PolicySide:
    def script(request: Request, k: int) -> Sample:
        ready = int(request.id.rpartition(":")[2]) >= attempt
        return text_sample("a.", finished=True) if ready else text_sample(UNUSABLE)

    return policy_saying(script)


def test_a_step_without_a_usable_candidate_is_tried_again_with_other_samples() -> None:
    policy = usable_from(2)
    found = search(policy, judge_of({"a.": 0.5}))
    assert (found.steps, found.spent.retries) == (("a.",), 2)
    assert len({one.seed for call in rounds(policy) for one in call}) == 3


def test_trying_again_uses_a_round() -> None:
    found = search(usable_from(4), judge_of({}), max_steps=3)
    assert (found.steps, found.answer, found.stop) == ((), None, StopCause.STUCK)
    assert found.spent.retries == 3


def test_a_policy_that_would_write_the_same_again_is_not_asked_again() -> None:
    found = search(policy_of({(): [UNUSABLE]}, temperature=0.0), judge_of({}))
    assert (found.stop, found.spent.retries) == (StopCause.STUCK, 1)


def endless(request: Request, k: int) -> Sample:
    return text_sample("on")


def test_the_step_budget_ends_a_search_and_an_unfinished_solution_has_no_answer() -> None:
    found = search(policy_saying(endless), judge_of({"on": 0.5}), max_steps=4)
    assert (found.steps, found.stop) == (("on",) * 4, StopCause.STEPS)
    assert (found.finished, found.answer) == (False, None)


def test_no_step_starts_once_the_token_budget_is_spent() -> None:
    # A step costs 8 samples of 2 tokens and one critique of 3.
    found = search(policy_saying(endless), judge_of({"on": 0.5}), token_budget=39)
    assert (len(found.steps), found.stop) == (3, StopCause.TOKENS)
    assert (found.spent.policy_tokens, found.spent.judge_tokens) == (48, 9)


def refuse(request: Request) -> Refused:
    return Refused(id=request.id, cause="prompt_too_long", detail="9 > 8")


def test_a_prompt_that_grows_too_long_ends_its_problem_and_no_other() -> None:
    def script(request: Request, k: int) -> Sample | Refused:
        question, *steps = said_before(request)
        if question == "question 1" and steps:
            return refuse(request)
        return text_sample("b." if steps else "a", finished=bool(steps))

    found = list(
        guided_search(
            problems(3), policy=policy_saying(script), judge=judge_of({"a": 0.5, "b.": 0.5})
        )
    )
    assert [one.stop.value for one in found] == ["finished", "refused", "finished"]
    assert found[1].steps == ("a",)
    assert found[1].answer is None
    assert found[1].refused is not None
    assert found[1].refused.cause == "prompt_too_long"


def test_a_refused_first_prompt_leaves_no_step() -> None:
    found = search(policy_saying(lambda request, k: refuse(request)), judge_of({}))
    assert (found.steps, found.stop) == ((), StopCause.REFUSED)


def test_a_beam_that_is_refused_leaves_the_others_alone() -> None:
    def script(request: Request, k: int) -> Sample | Refused:
        steps = said_before(request)[1:]
        if steps == ("a",):
            return refuse(request)
        return text_sample("c.", finished=True) if steps else text_sample("ab"[k % 2])

    beliefs = {"a": 0.9, "b": 0.5, "c.": 0.5}
    found = search(policy_saying(script), judge_of(beliefs), beams=2)
    assert (found.steps, found.stop) == (("b", "c."), StopCause.FINISHED)
    assert found.spent.refused == 1


def test_a_candidate_that_the_judge_refuses_is_not_chosen() -> None:
    def script(request: Request, k: int) -> Sample | Refused:
        text = judged_step(request)
        return refuse(request) if text.startswith("long") else verdict_sample(RENDERER, 0.25)

    some = search(policy_of({(): ["long.", "b."]}), judge_saying(script))
    none = search(policy_of({(): ["long.", "longer."]}), judge_saying(script))
    assert (some.steps, some.spent.refused) == (("b.",), 1)
    assert (none.steps, none.stop, none.spent.refused) == ((), StopCause.REFUSED, 2)


def test_results_come_as_soon_as_they_and_those_before_them_are_settled() -> None:
    def script(request: Request, k: int) -> Sample:
        question, *steps = said_before(request)
        return text_sample("a", finished=question == "question 0" or len(steps) == 3)

    policy = policy_saying(script)
    found = guided_search(problems(3), policy=policy, judge=judge_of({"a": 0.5}))
    assert next(found).problem_id == "p0"
    assert len(rounds(policy)) == 1
    found.close()  # type: ignore[attr-defined]  # a generator; nothing may be left running


def test_what_an_engine_raises_reaches_the_caller() -> None:
    def script(request: Request, k: int) -> Sample:
        raise BadInput("the engine broke.")

    with pytest.raises(BadInput, match="the engine broke"):
        search(policy_saying(script), judge_of({}))


def test_no_problems_no_results() -> None:
    assert list(guided_search([], policy=policy_of({}), judge=judge_of({}))) == []


@pytest.mark.parametrize(
    "make",
    [
        lambda: SearchParams(beams=9),
        lambda: SearchParams(max_steps=0),
        lambda: SearchParams(expansion=0),
        lambda: SearchParams(token_budget=0),
        lambda: list(guided_search(problems(1) * 2, policy=policy_of({}), judge=judge_of({}))),
    ],
)
def test_what_makes_no_sense_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(BadInput):
        make()
