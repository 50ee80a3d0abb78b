"""When may a request go out, and to which replica?  Coroutines wait here for their turn; no I/O."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from rprm.engines.client_metrics import TAKEN_AWAY, Seen
from rprm.engines.dispatching import Dispatcher
from rprm.engines.http_faults import Fault
from rprm.engines.http_gate import Clock
from rprm.engines.liveness import Circuit
from rprm.engines.vllm_server import Server, Turn

LONGEST_PAUSE_S = 60.0
"""A replica that asks for more is checked again meanwhile."""
AHEAD = 2.0
"""How much waits in the queues, beside what may be in flight: enough to keep the steps of solutions
together, and few enough coroutines for any number of requests."""


class Lines:
    def __init__(self, *, clock: Clock) -> None:
        self.servers: dict[str, Server] = {}
        self._clock = clock
        self._dispatcher: Dispatcher[Turn] = Dispatcher()
        self._waiting = 0
        """Sequences that have no replica yet."""
        self._moved = asyncio.Event()
        self._failure: Exception | None = None

    @asynccontextmanager
    async def turn(
        self, key: str, *, cost: int, sequences: int, avoid: Iterable[str] = ()
    ) -> AsyncIterator[tuple[Server, Turn]]:
        """A place on a replica; tell with `ended` how it went.  Raises what `fail` was given."""
        if self._failure is not None:
            raise self._failure
        turn = Turn(sequences=sequences, start=asyncio.get_running_loop().create_future())
        self._waiting += sequences
        self._dispatcher.put(turn, key=key, cost=cost, avoid=avoid)
        self.pump()
        try:
            server = await turn.start
            turn.task = asyncio.current_task()
            yield server, turn
        finally:
            self._leave(turn)

    def ended(self, server: Server, turn: Turn, fault: Fault | None) -> None:
        """How the try went, as far as it speaks for or against the replica."""
        if turn.taken_away is not None:
            server.meter.failed(TAKEN_AWAY)
            return
        if fault is None:
            server.meter.answered(self._clock() - turn.sent_s)
            server.finished += turn.sequences
            server.breaker = server.breaker.succeeded(turn.generation)
            return
        server.meter.failed(fault.cause.value)
        now_s = self._clock()
        if fault.cause.from_load:
            pause_s = min(fault.wait_s or 1.0, LONGEST_PAUSE_S)
            server.open_at_s = max(server.open_at_s, now_s + pause_s)
        server.breaker = server.breaker.failed(turn.generation, now_s)
        if server.breaker.circuit is not Circuit.CLOSED:
            server.problem = fault.detail
            self.settle()

    def tell(self, server: Server) -> None:
        """To Prometheus, with every look at the replica."""
        dispatcher, name = self._dispatcher, server.name
        server.meter.tell(
            Seen(
                in_flight=len(server.running),
                waiting=dispatcher.waiting_for(name),
                sequences=server.in_flight,
                limit=server.limit.slots if server.usable else 0,
                circuit=server.breaker.circuit,
                rerouted=dispatcher.router.rerouted.pop(name, 0),
                taken_over=dispatcher.taken_over.pop(name, 0),
            )
        )

    def usable(self) -> list[Server]:
        return [one for one in self.servers.values() if one.usable]

    async def room_ahead(self) -> None:
        """Returns once it is worth routing another request.  Raises what `fail` was given."""
        while self._waiting >= AHEAD * sum(one.limit.slots for one in self.usable()):
            await self.change()

    async def change(self) -> None:
        """Returns after anything has happened.  Raises what `fail` was given."""
        if self._failure is not None:
            raise self._failure
        self._moved.clear()
        await self._moved.wait()
        if self._failure is not None:
            raise self._failure

    def settle(self) -> None:
        """After anything changed about who is usable: queues of those who are not go elsewhere."""
        self._dispatcher.update([one.candidate for one in self.servers.values()])
        if self.usable():
            self._failure = None
        self.pump()

    def fail(self, error: Exception) -> None:
        """Nobody waits any longer, until a replica is usable again."""
        self._failure = error
        for turn in self._dispatcher.drop():
            if not turn.start.done():
                turn.start.set_exception(error)
        self._moved.set()

    def pump(self) -> None:
        """Send what can be sent; every replica takes of its own queue before any takes over."""
        self._pump(over=False)
        self._pump(over=True)
        self._moved.set()

    def _pump(self, *, over: bool) -> None:
        now_s = self._clock()
        for server in self.servers.values():
            while server.usable and server.has_room(now_s):
                ticket = self._dispatcher.take(server.name, over=over)
                if ticket is None:
                    break
                if ticket.item.start.done():
                    ticket.release()  # whoever waited has left
                    continue
                ticket.item.ticket = ticket
                self._waiting -= ticket.item.sequences
                server.begin(ticket.item, now_s)

    def _leave(self, turn: Turn) -> None:
        if turn.ticket is not None:
            turn.ticket.release()
            turn.start.result().end(turn)
        else:
            self._waiting -= turn.sequences
            if not turn.start.cancel() and not turn.start.cancelled():
                turn.start.exception()  # looked at, though whoever waited may be gone
        self.pump()
