"""Who may send now?  Coroutines wait here for a free slot of the limit."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from rprm.engines.http_limit import Limit

Sleep = Callable[[float], Awaitable[None]]
Clock = Callable[[], float]


class Gate:
    """Holds at most `limit.slots` at once, and nobody before `limit.open_at_s`."""

    def __init__(self, limit: Limit, *, clock: Clock, sleep: Sleep) -> None:
        self.limit = limit
        self.in_flight = 0
        self._clock = clock
        self._sleep = sleep
        self._waiting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[int]:
        """A place in flight; gives the limit's generation at the time of sending."""
        await self._turn()
        try:
            while (wait_s := self.limit.wait_s(self._clock())) > 0:
                await self._sleep(wait_s)
            yield self.limit.generation
        finally:
            self._leave()

    def answered(self) -> None:
        self.limit = self.limit.answered(self.in_flight)
        self._wake()

    def refused_for_load(self, generation: int) -> None:
        self.limit = self.limit.refused_for_load(generation)

    def hold(self, wait_s: float) -> None:
        if wait_s > 0:
            self.limit = self.limit.held_until(self._clock() + wait_s)

    async def _turn(self) -> None:
        """First come, first served; who is woken has its place already."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._wake()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
            raise

    def _leave(self) -> None:
        self.in_flight -= 1
        self._wake()

    def _wake(self) -> None:
        while self._waiting and self.in_flight < self.limit.slots:
            turn = self._waiting.popleft()
            if not turn.done():
                self.in_flight += 1
                turn.set_result(None)
