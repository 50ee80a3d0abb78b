"""How does a synchronous stage read answers that arrive asynchronously?

In order, with the next ones already under way: coroutines live on while the stage writes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from typing import Any, TypeVar

from rprm.errors import Drained

T = TypeVar("T")
A = TypeVar("A")

LOOK_EVERY_S = 0.5
"""How often a wait looks up to see whether the worker was asked to leave."""
_END: Any = object()


async def in_order(
    items: Iterable[A], work: Callable[[A], Coroutine[Any, Any, T]], *, ahead: int
) -> AsyncIterator[T]:
    """The results of `work` in the order of the items; at most `ahead` are begun at once."""
    tasks: deque[asyncio.Task[T]] = deque()
    try:
        for item in items:
            tasks.append(asyncio.create_task(work(item)))
            if len(tasks) >= ahead:
                yield await tasks[0]
                tasks.popleft()
        while tasks:
            yield await tasks[0]
            tasks.popleft()
    finally:
        await _end(tasks)


async def all_of(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All results; the first error ends the rest."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        await _end(tasks)


async def _end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def iterate(stream: Callable[[], AsyncIterator[T]], *, leave: Callable[[], bool]) -> Iterator[T]:
    """The stream's items.  Raises Drained once `leave` says so, and ends all that is under way."""
    with asyncio.Runner() as runner:
        items = stream()
        try:
            while (item := runner.run(_next(items, leave))) is not _END:
                yield item
        finally:
            runner.run(_close(items))


async def _next(items: AsyncIterator[T], leave: Callable[[], bool]) -> T:
    coming: asyncio.Task[T] = asyncio.ensure_future(_anext(items))
    while True:
        done, _ = await asyncio.wait({coming}, timeout=LOOK_EVERY_S)
        if done:
            return coming.result()
        if leave():
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
            raise Drained("asked to leave; the shard starts again elsewhere")


async def _anext(items: AsyncIterator[T]) -> T:
    async for item in items:
        return item
    end: T = _END
    return end


async def _close(items: AsyncIterator[Any]) -> None:
    close = getattr(items, "aclose", None)
    if close is not None:
        await close()
