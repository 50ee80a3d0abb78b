"""Is a search the same alone and beside others, and is one beam the published greedy search?"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from rprm.benchmarks.best_of_n import Aggregator
from rprm.benchmarks.guided_search import (
    SearchParams,
    SearchResult,
    StopCause,
    guided_search,
)
from rprm.engines.base import Refused, Request, Sample
from rprm.judge import judge, request_seed
from rprm.schema import Case, Judgement, MathProblem
from rprm.search.expanding import digest
from tests.unit.rprm.scripted_engines import text_sample, unparsable_sample, verdict_sample
from tests.unit.rprm.searches import (
    RENDERER,
    UNUSABLE,
    judge_saying,
    policy_saying,
    problems,
)


def drawn(*parts: object) -> int:
    return hashlib.sha256(repr(parts).encode()).digest()[0]


def any_policy(request: Request, k: int) -> Sample | Refused:
    number = drawn(request.prompt_T, request.seed, k)
    if drawn(request.prompt_T) < 6:
        return Refused(id=request.id, cause="prompt_too_long", detail="")
    if number < 80:
        return text_sample(UNUSABLE)
    return text_sample(f"s{number % 5}", finished=number > 220)


def any_judge(request: Request, k: int) -> Sample | Refused:
    number = drawn(request.prompt_T, request.seed, k)
    if drawn(request.prompt_T) < 6:
        return Refused(id=request.id, cause="prompt_too_long", detail="")
    return unparsable_sample() if number < 60 else verdict_sample(RENDERER, number / 255)


def run_any(few: Sequence[MathProblem], params: SearchParams) -> list[SearchResult]:
    return list(
        guided_search(
            few,
            policy=policy_saying(any_policy),
            judge=judge_saying(any_judge, num_critiques=2),
            params=params,
        )
    )


PARAMS = st.builds(
    SearchParams,
    candidates=st.integers(4, 8),
    beams=st.integers(1, 4),
    expansion=st.none() | st.integers(1, 3),
    aggregator=st.sampled_from(Aggregator),
    max_steps=st.integers(1, 8),
    token_budget=st.none() | st.integers(1, 400),
    judge_lone=st.booleans(),
    seed=st.integers(0, 5),
)


@settings(max_examples=30, deadline=None)
@given(params=PARAMS)
def test_a_result_does_not_depend_on_the_problems_beside_it(params: SearchParams) -> None:
    few = problems(5)
    together = run_any(few, params)
    assert [one.problem_id for one in together] == [one.id for one in few]
    assert together == [run_any([one], params)[0] for one in few]


def test_the_property_above_meets_every_cause_of_stopping() -> None:
    causes = {
        one.stop
        for budget in (None, 40)
        for beams in (1, 3)
        for one in run_any(
            problems(30),
            SearchParams(candidates=4, beams=beams, max_steps=4, token_budget=budget),
        )
    }
    assert causes >= {*StopCause} - {StopCause.STUCK}


def straight_greedy(problem: MathProblem, params: SearchParams) -> tuple[str, ...]:
    """The published search, one step after the other."""
    steps: tuple[str, ...] = ()
    tries = 0
    for _ in range(params.max_steps):
        candidates = straight_candidates(problem, steps, tries, params)
        if candidates is None:
            return steps
        if not candidates:
            tries += 1
            continue
        scores = [-1.0 if one[2] is None else one[2] for one in candidates]
        text, finished, _ = candidates[scores.index(max(scores))]
        steps, tries = (*steps, text), 0
        if finished:
            return steps
    return steps


def straight_candidates(
    problem: MathProblem, steps: tuple[str, ...], tries: int, params: SearchParams
) -> list[tuple[str, bool, float | None]] | None:
    """Text, whether it ends the solution, and score; None where all that there is was refused."""
    policy = policy_saying(any_policy)
    name = f"{problem.id}/{digest(steps)}:{len(steps)}:{tries}"
    request = Request(
        id=name,
        prompt_T=policy.format.prompt(problem.problem, steps),
        n=params.candidates,
        seed=request_seed(params.seed, name),
    )
    (said,) = policy.engine.sample([request], policy.sampling)
    if isinstance(said, Refused):
        return None
    found: dict[tuple[str, bool], Judgement | Refused] = {}
    for sample in said.samples:
        key = (sample.text, sample.finish == "eos")
        if sample.text != UNUSABLE and key not in found:
            found[key] = straight_judgement(problem, steps, sample.text)
    scored = [
        (text, finished, answer.score)
        for (text, finished), answer in found.items()
        if isinstance(answer, Judgement)
    ]
    return None if found and not scored else scored


def straight_judgement(
    problem: MathProblem, steps: tuple[str, ...], text: str
) -> Judgement | Refused:
    path = f"{problem.id}/{digest((*steps, text))}"
    case = Case(
        id=f"{path}:{len(steps)}",
        solution_id=path,
        problem_id=problem.id,
        step=len(steps),
        question=problem.problem,
        previous_steps=steps,
        now_step=text,
    )
    side = judge_saying(any_judge, num_critiques=2)
    (answer,) = judge([case], engine=side.engine, renderer=side.renderer, params=side.judging)
    return answer


@settings(max_examples=20, deadline=None)
@given(aggregator=st.sampled_from(Aggregator), seed=st.integers(0, 50))
def test_one_beam_is_the_greedy_search_whatever_the_aggregator(
    aggregator: Aggregator, seed: int
) -> None:
    params = SearchParams(candidates=6, beams=1, aggregator=aggregator, max_steps=6, seed=seed)
    few = problems(3)
    expected = [straight_greedy(one, params) for one in few]
    assert [one.steps for one in run_any(few, params)] == expected


def never_refusing(request: Request, k: int) -> Sample:
    number = drawn(request.prompt_T, request.seed, k)
    return unparsable_sample() if number < 60 else verdict_sample(RENDERER, number / 255)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 50), candidates=st.integers(1, 6))
def test_leaving_lone_candidates_unjudged_changes_no_choice(seed: int, candidates: int) -> None:
    few = problems(3)
    found = [
        list(
            guided_search(
                few,
                policy=policy_saying(any_policy),
                judge=judge_saying(never_refusing, num_critiques=2),
                params=SearchParams(candidates=candidates, seed=seed, judge_lone=judge_lone),
            )
        )
        for judge_lone in (True, False)
    ]
    assert [one.steps for one in found[0]] == [one.steps for one in found[1]]
    cost = [sum(one.spent.judge_tokens for one in results) for results in found]
    assert cost[1] <= cost[0]
