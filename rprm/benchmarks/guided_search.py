"""Guided search: does a judge that chooses every step lead a policy to right answers?

Data      problems with a reference answer, a policy and a judge
Greedy    N candidates for each step, K critiques of each, the mean of P(Yes); the best one is kept
Beam      B partial solutions side by side; of all their candidates the best B are kept, by the
          min, last, product or mean of their step scores; finished ones leave the pool
Expect    R-PRM-7B-DPO 49.4 on average of six sets, greedy, N=8, K=10 (R-PRM paper, guided search)

Candidates  unusable texts are left out and equal ones judged once; where none is left the step is
            tried again with other samples, which uses one of the rounds
Scores      mean over the critiques that could be parsed; a candidate without any comes last
Ties        the candidate sampled first; scores that differ by less than an engine's rounding tie
Budgets     rounds and tokens of a problem; no round starts once one is spent, and what ended the
            search is told
Refusals    of a prompt, such as one that is too long, end that beam; the problem goes on with the
            others

The result of a problem does not depend on the problems and beams beside it: samples depend on
problem, steps so far and attempt.  All searches that wait are answered by one call of each engine.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence

from rprm.errors import BadInput
from rprm.schema import MathProblem
from rprm.search.gathering import Gatherer
from rprm.search.params import JudgeSide, PolicySide, SearchParams
from rprm.search.results import SearchResult, Spent, StopCause
from rprm.search.searching import Search

__all__ = [
    "JudgeSide",
    "PolicySide",
    "SearchParams",
    "SearchResult",
    "Spent",
    "StopCause",
    "guided_search",
]


def guided_search(
    problems: Sequence[MathProblem],
    *,
    policy: PolicySide,
    judge: JudgeSide,
    params: SearchParams | None = None,
) -> Iterator[SearchResult]:
    """Results in the order of the problems, each as soon as it and those before it are settled."""
    if len({one.id for one in problems}) < len(problems):
        raise BadInput("two problems share an id.", fix="make problem ids unique")
    gatherer = Gatherer(policy, judge)
    searches = [
        Search(problem=one, params=params or SearchParams(), gatherer=gatherer) for one in problems
    ]
    loop, tasks = asyncio.new_event_loop(), list[asyncio.Task[SearchResult]]()
    try:
        tasks = loop.run_until_complete(gatherer.start([one.run() for one in searches]))
        unsaid = deque(tasks)
        while unsaid:
            loop.run_until_complete(gatherer.all_wait())
            while unsaid and unsaid[0].done():
                yield unsaid.popleft().result()
            gatherer.answer()
    finally:
        _close(loop, tasks)


def _close(loop: asyncio.AbstractEventLoop, tasks: Sequence[asyncio.Task[SearchResult]]) -> None:
    """Also when the caller stops early, or an engine failed: searches still wait then."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left or tasks:
        loop.run_until_complete(asyncio.gather(*left, *tasks, return_exceptions=True))
    loop.close()
