"""How does synchronous code run coroutines that live on between its calls?

One event loop in a thread of its own: answers arrive, metrics are polled and the next requests are
sent while the caller is busy with what it has.  It is uvloop's where there is one.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

T = TypeVar("T")

Put = Callable[[T], None]
_END: Any = object()


class LoopThread:
    """`close` ends it, and what still runs in it is cancelled."""

    def __init__(self, name: str) -> None:
        self._loop = _new_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, which runs in the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def stream(self, work: Callable[[Put[T]], Coroutine[Any, Any, None]]) -> Iterator[T]:
        """What `work` puts, as it comes; `work` is cancelled when nobody reads on."""
        found: queue.SimpleQueue[T] = queue.SimpleQueue()
        running = asyncio.run_coroutine_threadsafe(work(found.put), self._loop)
        running.add_done_callback(lambda _: found.put(_END))
        try:
            while (item := found.get()) is not _END:
                yield item
            running.result()
        finally:
            running.cancel()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        from uvloop import new_event_loop
    except ImportError:  # Windows has none
        return asyncio.new_event_loop()
    return new_event_loop()
