"""Who serves the model now, and does each replica do?  Reads the endpoint source, checks, polls.

A replica gets nothing before its check (`vllm_check`), nor while it drains, is gone from the
endpoint source, hangs (`liveness`) or fails request after request; then it is checked again, and
only a check that passes brings requests back.  How much it gets is `concurrency`'s to say.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import structlog

from rprm.engines.concurrency import step
from rprm.engines.endpoints import EndpointSource, Replica
from rprm.engines.http_faults import Fault
from rprm.engines.http_gate import Clock
from rprm.engines.liveness import Breaker, Circuit, LivenessRules, Pulse, watch
from rprm.engines.openai_http import ApiUnavailable
from rprm.engines.vllm_calls import Calls
from rprm.engines.vllm_check import Expected, Served, Unfit, check
from rprm.engines.vllm_lines import Lines
from rprm.engines.vllm_metrics import MetricsUnreadable, ReplicaMetrics, read_metrics
from rprm.engines.vllm_server import Server, new_server
from rprm.errors import BadInput

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Watching:
    """How often the fleet is looked at, and how long one waits for it."""

    poll_s: float = 2.0
    """Between looks at a replica's metrics."""
    poll_deadline_s: float = 5.0
    refresh_s: float = 1.0
    """Between readings of the endpoint source."""
    patience_s: float = 900.0
    """Without any usable replica: a large model takes minutes to load."""
    liveness: LivenessRules = field(default_factory=LivenessRules)


class Fleet:
    """Lives in one event loop, between `open` and `close`."""

    def __init__(
        self,
        source: EndpointSource,
        calls: Calls,
        expected: Expected,
        watching: Watching,
        *,
        clock: Clock = time.monotonic,
    ) -> None:
        self.lines = Lines(clock=clock)
        self._source, self._calls, self._expected = source, calls, expected
        self._watching, self._clock = watching, clock
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._usable_at_s = clock()

    @property
    def servers(self) -> dict[str, Server]:
        return self.lines.servers

    async def open(self) -> None:
        every_s = self._watching.refresh_s
        self._tasks[""] = self._looking(self._refresh, every_s)

    async def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        for server in self.servers.values():
            server.meter.leave()

    async def served(self) -> list[Served]:
        """By the usable replicas, of which there is at least one.

        Raises BadInput where no replica will ever do, ApiUnavailable after too long without one."""
        while True:
            found = [one.served for one in self.lines.usable() if one.served is not None]
            if found:
                return found
            await self.lines.change()

    async def _refresh(self) -> None:
        found = {one.name: one for one in await self._source.read()}
        for name, replica in found.items():
            self._meet(name, replica)
        for name, server in self.servers.items():
            server.gone = name not in found
        self.lines.settle()
        for name in [name for name, one in self.servers.items() if one.gone and not one.running]:
            self.servers.pop(name).meter.leave()
            self._tasks.pop(name).cancel()
        self._despair()

    def _meet(self, name: str, replica: Replica) -> None:
        server = self.servers.get(name)
        if server is not None and server.replica.url == replica.url:
            server.replica = replica
            return
        if server is not None:  # the name lives on at another address
            server.take_away("it is gone")
            server.meter.leave()
            self._tasks.pop(name).cancel()
        self.servers[name] = fresh = new_server(replica)
        self._tasks[name] = self._looking(lambda: self._look_at(fresh), self._watching.poll_s)

    def _looking(
        self, look: Callable[[], Coroutine[Any, Any, None]], every_s: float
    ) -> asyncio.Task[None]:
        task = asyncio.create_task(_forever(look, every_s))
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Looking ends by being cancelled; by anything else, whoever waits would wait for ever."""
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self.lines.fail(error)

    def _despair(self) -> None:
        """Fails whoever waits, where waiting does not help."""
        if self.lines.usable():
            self._usable_at_s = self._clock()
            return
        servers = list(self.servers.values())
        told = "; ".join(f"{one.name}: {one.problem or 'not asked yet'}" for one in servers)
        if servers and all(one.fix for one in servers):
            self.lines.fail(BadInput(f"No replica fits.  {told}.", fix=servers[0].fix))
        elif self._clock() - self._usable_at_s > self._watching.patience_s:
            why = told or self._source.problem or "the endpoint source names none"
            self.lines.fail(ApiUnavailable(f"no replica has been usable for too long: {why}"))

    async def _look_at(self, server: Server) -> None:
        breaker = server.breaker
        broken = breaker.circuit is Circuit.OPEN and breaker.admits(self._clock())
        if server.served is None or (broken and not server.gone):
            await self._check(server)
        if server.served is not None:
            self._pace(server, await self._metrics(server))
        self.lines.tell(server)

    async def _check(self, server: Server) -> None:
        server.breaker = server.breaker.sent(self._clock())
        generation = server.breaker.generation
        found = await check(self._calls, server.replica, self._expected)
        if isinstance(found, Served):
            again = server.breaker.succeeded(generation)
            server.breaker = Breaker() if server.served is None else again
            server.served, server.problem, server.fix = found, "", ""
            log.info("replica_joined", replica=server.name, model=found.model)
            self.lines.settle()
            return
        server.problem = found.what if isinstance(found, Unfit) else found.detail
        server.fix = found.fix if isinstance(found, Unfit) else ""
        server.breaker = server.breaker.failed(generation, self._clock())

    async def _metrics(self, server: Server) -> ReplicaMetrics | None:
        url = f"{server.replica.url}/metrics"
        said = await self._calls.text(url, deadline_s=self._watching.poll_deadline_s)
        if isinstance(said, Fault):
            return None
        try:
            return read_metrics(said)
        except MetricsUnreadable:
            return None

    def _pace(self, server: Server, metrics: ReplicaMetrics | None) -> None:
        now_s, in_flight, finished = self._clock(), server.in_flight, server.finished
        server.liveness, pulse = watch(
            server.liveness,
            metrics,
            in_flight=in_flight,
            finished=finished,
            now_s=now_s,
            rules=self._watching.liveness,
        )
        if pulse is Pulse.HUNG:
            self._give_up(server)
            return
        stepped = step(server.limit, metrics, in_flight=in_flight, finished=finished, now_s=now_s)
        server.limit = stepped.limit
        if stepped.reason:
            log.info("replica_limit", replica=server.name, why=stepped.reason)
        if stepped.cancel:
            server.take_away("its KV cache is full", sequences=stepped.cancel)
        self.lines.pump()

    def _give_up(self, server: Server) -> None:
        server.problem = "no token came from it for too long"
        log.warning("replica_hangs", replica=server.name, in_flight=server.in_flight)
        server.breaker = server.breaker.tripped(self._clock())
        server.meter.hung()
        self.lines.settle()
        server.take_away("it hangs")


async def _forever(look: Callable[[], Coroutine[Any, Any, None]], every_s: float) -> None:
    while True:
        await look()
        await asyncio.sleep(every_s)
