"""How do searches that know nothing of each other share the engines?

Every search is a coroutine that waits for samples or judgements.  Once all coroutines that are
alive wait, what they wait for is asked of each engine in one call, so critiques are batched across
beams and problems.  What is asked under one id is asked once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from rprm.engines.base import Completion, Refused, Request
from rprm.errors import RprmError
from rprm.judge import judge
from rprm.schema import Case, Judgement
from rprm.search.params import JudgeSide, PolicySide

T = TypeVar("T")


@dataclass(kw_only=True, slots=True)
class Round:
    """What is asked together, and what the engines said, by id."""

    requests: dict[str, Request] = field(default_factory=dict)
    cases: dict[str, Case] = field(default_factory=dict)
    completions: dict[str, Completion | Refused] = field(default_factory=dict)
    judgements: dict[str, Judgement | Refused] = field(default_factory=dict)
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    num_waiting: int = 0


class Gatherer:
    """Lives in one event loop.  Outside of it, `answer` asks whenever `all_wait` has returned."""

    def __init__(self, policy: PolicySide, judge: JudgeSide) -> None:
        self.policy, self.judge = policy, judge
        self._round = Round()
        self._all_wait = asyncio.Event()
        self._num_alive = 0

    async def start(self, works: Sequence[Coroutine[Any, Any, T]]) -> list[asyncio.Task[T]]:
        """Rounds wait for these coroutines, each until it ends."""
        self._num_alive += len(works)
        return [asyncio.create_task(self._counted(work)) for work in works]

    async def together(self, parts: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
        """Run parts of a coroutine side by side; while they run, they are counted in its place."""
        num_left = len(parts)

        async def counted(part: Coroutine[Any, Any, T]) -> T:
            nonlocal num_left
            try:
                return await part
            finally:
                num_left -= 1
                if num_left:  # the whole goes on in place of the last one
                    self._end()

        self._num_alive += num_left - 1
        return await asyncio.gather(*map(counted, parts))

    async def sample(self, request: Request) -> Completion | Refused:
        current = self._round
        current.requests.setdefault(request.id, request)
        await self._answered(current)
        return current.completions[request.id]

    async def judgements(self, cases: Sequence[Case]) -> list[Judgement | Refused]:
        current = self._round
        for case in cases:
            current.cases.setdefault(case.id, case)
        await self._answered(current)
        return [current.judgements[case.id] for case in cases]

    async def all_wait(self) -> None:
        """Return once every coroutine waits for the engines or has ended."""
        await self._all_wait.wait()

    def answer(self) -> None:
        """Ask the engines what is waited for.  Raises what they raise."""
        current, self._round = self._round, Round()
        if current.requests:
            said = self.policy.engine.sample(list(current.requests.values()), self.policy.sampling)
            current.completions = {one.id: one for one in said}
        if current.completions.keys() != current.requests.keys():
            name, num = self.policy.engine.name, len(current.completions)
            raise RprmError(f"{name} answered {num} of {len(current.requests)} requests.")
        if current.cases:
            side, cases = self.judge, list(current.cases.values())
            found = judge(cases, engine=side.engine, renderer=side.renderer, params=side.judging)
            current.judgements = {_id(one): one for one in found}
        self._all_wait.clear()
        current.answered.set()

    async def _counted(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return await work
        finally:
            self._end()

    def _end(self) -> None:
        self._num_alive -= 1
        self._tell_if_all_wait()

    async def _answered(self, current: Round) -> None:
        current.num_waiting += 1
        self._tell_if_all_wait()
        await current.answered.wait()

    def _tell_if_all_wait(self) -> None:
        if self._round.num_waiting >= self._num_alive:
            self._all_wait.set()


def _id(answer: Judgement | Refused) -> str:
    return answer.id if isinstance(answer, Refused) else answer.case_id
