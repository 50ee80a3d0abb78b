"""How does a language model behind an API judge solutions, many at once?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence

from rprm.data.problem_tables import StepScores
from rprm.engines.base import Refused
from rprm.engines.chat import Usage
from rprm.engines.endpoint import Endpoint
from rprm.engines.openai_http import ChatClient, Pace
from rprm.engines.streaming import in_order, iterate
from rprm.peers.critic_protocols import CriticProtocol, Critiqued
from rprm.schema import Solution

AHEAD = 4
"""Solutions begun per request in flight: a slow one holds up the order, not the others."""
MAX_ASKS = 5
"""How often the protocol asks again for a reply that it cannot use."""


class Critic:
    """A StepScorer over an OpenAI-compatible API."""

    def __init__(
        self,
        name: str,
        protocol: CriticProtocol,
        endpoint: Endpoint,
        *,
        pace: Pace | None = None,
        leave: Callable[[], bool] = lambda: False,
    ) -> None:
        self.name = name
        self.protocol = protocol
        self.endpoint = endpoint
        self.pace = pace or Pace()
        self._leave = leave

    def score(self, solutions: Sequence[Solution]) -> Iterator[StepScores | Refused]:
        for answer in self.critique(solutions):
            yield answer if isinstance(answer, Refused) else answer.step_scores(self.name)

    def critique(self, solutions: Sequence[Solution]) -> Iterator[Critiqued | Refused]:
        """In the order of the solutions.  Raises Drained once the worker was asked to leave."""
        return iterate(lambda: self._stream(solutions), leave=self._leave)

    async def _stream(self, solutions: Sequence[Solution]) -> AsyncIterator[Critiqued | Refused]:
        async with ChatClient(self.endpoint, self.pace) as client:

            async def judge(solution: Solution) -> Critiqued | Refused:
                return await self._judge(client, solution)

            ahead = AHEAD * self.pace.max_in_flight
            async for answer in in_order(solutions, judge, ahead=ahead):
                yield answer

    async def _judge(self, client: ChatClient, solution: Solution) -> Critiqued | Refused:
        request = self.protocol.request(solution)
        spent, asked = Usage(), 0
        while True:
            reply = await client.ask(request)
            if isinstance(reply, Refused):
                return reply
            spent, asked = spent + reply.usage, asked + 1
            reading = self.protocol.read(reply.texts_K)
            if reading.ask_again and asked < MAX_ASKS:
                continue
            return Critiqued(
                solution_id=solution.id,
                texts_K=reply.texts_K,
                reading=reading,
                truncated=reply.finishes_K.count("length"),
                usage=spent,
            )
