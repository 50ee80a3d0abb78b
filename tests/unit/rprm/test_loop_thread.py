"""Does synchronous code get what its coroutines find, and nothing when it stops asking?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from rprm.engines.loop_thread import LoopThread, Put


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    thread = LoopThread("test")
    yield thread
    thread.close()


async def count(put: Put[int]) -> None:
    for number in range(5):
        await asyncio.sleep(0)
        put(number)


def test_a_result_comes_back(loop: LoopThread) -> None:
    assert loop.call(asyncio.sleep(0, "done")) == "done"


def test_items_come_in_the_order_in_which_they_were_put(loop: LoopThread) -> None:
    assert list(loop.stream(count)) == [0, 1, 2, 3, 4]


def test_an_error_comes_after_the_items_before_it(loop: LoopThread) -> None:
    async def fail(put: Put[int]) -> None:
        put(1)
        raise ValueError("no more")

    items = loop.stream(fail)
    assert next(items) == 1
    with pytest.raises(ValueError, match="no more"):
        next(items)


def test_what_nobody_reads_on_is_cancelled(loop: LoopThread) -> None:
    ended = asyncio.Event()

    async def endless(put: Put[int]) -> None:
        try:
            put(1)
            await asyncio.Event().wait()
        finally:
            ended.set()

    items = loop.stream(endless)
    assert next(items) == 1
    items.close()  # type: ignore[attr-defined]

    async def wait() -> None:
        await asyncio.wait_for(ended.wait(), 5)

    loop.call(wait())


def test_closing_ends_what_still_runs() -> None:
    loop = LoopThread("test")
    seen: list[str] = []

    async def begin() -> asyncio.Task[None]:
        async def forever() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise

        task = asyncio.create_task(forever())
        await asyncio.sleep(0)
        return task

    task = loop.call(begin())
    loop.close()
    assert seen == ["cancelled"]
    assert task.cancelled()
