"""Do requests wait where they should, and does no place get lost?"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest

from rprm.engines.endpoints import Replica
from rprm.engines.http_faults import Cause, Fault
from rprm.engines.liveness import Circuit
from rprm.engines.vllm_check import Served
from rprm.engines.vllm_lines import Lines
from rprm.engines.vllm_server import Server, new_server

BROKEN = Fault(cause=Cause.SERVER_ERROR, detail="HTTP 500")
BUSY = Fault(cause=Cause.OVERLOADED, detail="HTTP 503", wait_s=7.0)


class World:
    """Lines with servers that run four sequences each (so a limit of five)."""

    def __init__(self, *names: str) -> None:
        self.now_s = 0.0
        self.lines = Lines(clock=lambda: self.now_s)
        self.sent: list[str] = []
        self.failed: list[Exception] = []
        self.go = asyncio.Event()
        for name in names:
            self.lines.servers[name] = self.server(name)
        self.lines.settle()

    def server(self, name: str) -> Server:
        server = new_server(Replica(name=name, url=f"http://{name}", max_num_seqs=4))
        server.served = Served(model="judge", max_model_len=None, stops=True)
        return server

    def __getitem__(self, name: str) -> Server:
        return self.lines.servers[name]

    async def ask(
        self, key: str, *, fault: Fault | None = None, avoid: tuple[str, ...] = (), n: int = 1
    ) -> str:
        async with self.lines.turn(key, cost=10, sequences=n, avoid=avoid) as (server, turn):
            self.sent.append(server.name)
            await self.go.wait()
            self.lines.ended(server, turn, fault)
            return server.name

    async def begun(self, *work: Coroutine[Any, Any, str]) -> list[asyncio.Task[str]]:
        tasks = [asyncio.create_task(one) for one in work]
        for _ in range(5):
            await asyncio.sleep(0)
        return tasks


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_no_more_is_sent_than_the_limit_and_all_is_sent_in_the_end() -> None:
    async def work() -> None:
        world = World("a")
        tasks = await world.begun(*(world.ask("s") for _ in range(12)))
        assert (len(world.sent), world["a"].in_flight) == (5, 5)
        world.go.set()
        await asyncio.gather(*tasks)
        assert (len(world.sent), world["a"].in_flight, world["a"].finished) == (12, 0, 12)

    run(work())


def test_a_request_counts_as_many_times_as_it_has_samples() -> None:
    async def work() -> None:
        world = World("a")
        tasks = await world.begun(*(world.ask("s", n=3) for _ in range(4)))
        assert (len(world.sent), world["a"].in_flight) == (2, 6)
        world.go.set()
        await asyncio.gather(*tasks)
        assert world["a"].in_flight == 0

    run(work())


def test_solutions_spread_over_replicas_that_all_have_room() -> None:
    async def work() -> None:
        world = World("a", "b")
        tasks = await world.begun(*(world.ask(f"s{number}") for number in range(4)))
        assert sorted(world.sent) == ["a", "a", "b", "b"]
        world.go.set()
        await asyncio.gather(*tasks)

    run(work())


def test_steps_of_a_solution_stay_together_and_no_replica_idles() -> None:
    async def work() -> None:
        world = World("a", "b")
        tasks = await world.begun(*(world.ask("one solution") for _ in range(5)))
        assert set(world.sent) == {"a", "b"} or len(set(world.sent)) == 1
        more = await world.begun(*(world.ask(f"s{index}") for index in range(20)))
        assert world["a"].in_flight == world["b"].in_flight == 5
        world.go.set()
        await asyncio.gather(*tasks, *more)

    run(work())


def test_a_draining_replica_gets_nothing_new_and_its_line_goes_elsewhere() -> None:
    async def work() -> None:
        world = World("a", "b")
        tasks = await world.begun(*(world.ask(f"s{index}") for index in range(30)))
        draining = world["a"]
        draining.replica = replace(draining.replica, draining=True)
        world.lines.settle()
        world.go.set()
        await asyncio.gather(*tasks)
        assert draining.finished == 5
        assert world["b"].finished == 25

    run(work())


def test_a_failed_request_is_sent_to_another_replica_while_there_is_one() -> None:
    async def work() -> None:
        world = World("a", "b")
        world.go.set()
        for index in range(8):
            assert await world.ask(f"s{index}", avoid=("a",)) == "b"
        world["b"].gone = True
        world.lines.settle()
        assert await world.ask("s", avoid=("a",)) == "a"

    run(work())


def test_failures_in_a_row_take_a_replica_out() -> None:
    async def work() -> None:
        world = World("a")
        world.go.set()
        for _ in range(5):
            assert world["a"].usable
            await world.ask("s", fault=BROKEN)
        assert world["a"].breaker.circuit is Circuit.OPEN
        assert world["a"].problem == "HTTP 500"
        (waiting,) = await world.begun(world.ask("s"))
        assert not waiting.done()
        waiting.cancel()

    run(work())


def test_a_replica_that_asks_for_a_pause_gets_it() -> None:
    async def work() -> None:
        world = World("a")
        world.go.set()
        await world.ask("s", fault=BUSY)
        (waiting,) = await world.begun(world.ask("s"))
        assert not waiting.done()
        world.now_s = 7.0
        world.lines.pump()
        assert await waiting == "a"

    run(work())


def test_who_stops_waiting_leaves_no_trace() -> None:
    async def work() -> None:
        world = World("a")
        tasks = await world.begun(*(world.ask("s") for _ in range(9)))
        for task in (tasks[0], tasks[8], tasks[6]):
            task.cancel()
        world.go.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (world["a"].in_flight, world["a"].finished) == (0, 6)
        assert await world.ask("s") == "a"
        await asyncio.wait_for(world.lines.room_ahead(), 1)

    run(work())


def test_what_is_taken_away_is_told_why() -> None:
    async def work() -> None:
        world = World("a")
        seen: list[Fault | None] = []

        async def asked() -> str:
            async with world.lines.turn("s", cost=1, sequences=1) as (server, turn):
                try:
                    await asyncio.Event().wait()
                finally:
                    seen.append(turn.taken_away)
                    world.lines.ended(server, turn, turn.taken_away)
            return server.name

        tasks = await world.begun(*(asked() for _ in range(4)))
        world["a"].take_away("its cache is full", sequences=1)
        await asyncio.gather(tasks[3], return_exceptions=True)
        assert [one.detail for one in seen if one] == ["a: its cache is full"]
        assert (world["a"].in_flight, world["a"].usable) == (3, True)
        world["a"].take_away("it hangs")
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (world["a"].in_flight, world["a"].finished) == (0, 0)

    run(work())


def test_without_a_replica_all_wait_until_there_is_one_or_nobody_hopes() -> None:
    async def work() -> None:
        world = World()
        tasks = await world.begun(*(world.ask("s") for _ in range(3)))
        world.lines.servers["a"] = world.server("a")
        world.lines.settle()
        world.go.set()
        assert await asyncio.gather(*tasks) == ["a"] * 3
        world["a"].gone = True
        world.lines.settle()
        (waiting,) = await world.begun(world.ask("s"))
        world.lines.fail(RuntimeError("no replica"))
        with pytest.raises(RuntimeError, match="no replica"):
            await waiting
        with pytest.raises(RuntimeError, match="no replica"):
            await world.lines.room_ahead()
        world["a"].gone = False
        world.lines.settle()
        assert await world.ask("s") == "a"

    run(work())
