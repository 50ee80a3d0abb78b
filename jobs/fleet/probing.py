"""What do the replicas say of themselves?  Asks all of them every few seconds, in a thread.

A replica that does not answer holds up nobody: each is asked by a coroutine of its own.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from jobs.plan.pulse import Sight

POLL_S = 2.0
DEADLINE_S = 5.0

_SERIES: Mapping[str, tuple[str, Callable[[list[float]], float]]] = {
    "vllm:num_requests_running": ("running", sum),
    "vllm:num_requests_waiting": ("waiting", sum),
    "vllm:kv_cache_usage_perc": ("kv_use", max),
    "vllm:num_preemptions_total": ("preemptions", sum),
    "vllm:prompt_tokens_total": ("prompt_tokens", sum),
    "vllm:generation_tokens_total": ("generation_tokens", sum),
    "vllm:prefix_cache_queries_total": ("prefix_queries", sum),
    "vllm:prefix_cache_hits_total": ("prefix_hits", sum),
}
"""Of vLLM 0.32; a server with several engines repeats every series per engine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerMetrics:
    """Of one replica; counters count from its start."""

    running: int
    waiting: int
    kv_use: float
    generation_tokens: float
    prompt_tokens: float
    preemptions: int = 0
    prefix_queries: float = 0.0
    prefix_hits: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """The last look that was answered."""

    at: float
    metrics: ServerMetrics | None = None

    @property
    def sight(self) -> Sight:
        said = self.metrics
        if said is None:
            return Sight(at=self.at, healthy=True)
        return Sight(
            at=self.at,
            healthy=True,
            in_flight=said.running + said.waiting,
            tokens=said.generation_tokens + said.prompt_tokens,
        )


def read_metrics(text: str) -> ServerMetrics | None:
    """None where the text is not what a vLLM server writes at /metrics."""
    lines = [line for line in text.splitlines() if line.startswith(tuple(_SERIES))]
    found: dict[str, list[float]] = {}
    try:
        for family in text_string_to_metric_families("\n".join(lines) + "\n"):
            for sample in family.samples:
                found.setdefault(sample.name, []).append(float(sample.value))
        values = {
            name: fold(found[series]) for series, (name, fold) in _SERIES.items() if series in found
        }
        return ServerMetrics(
            running=int(values.pop("running")),
            waiting=int(values.pop("waiting")),
            preemptions=int(values.pop("preemptions", 0.0)),
            **values,
        )
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


class Prober:
    """`watch` says who is asked; `seen` what they answered last."""

    def __init__(
        self,
        *,
        poll_s: float = POLL_S,
        deadline_s: float = DEADLINE_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._poll_s, self._deadline_s, self._clock = poll_s, deadline_s, clock
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._urls: dict[str, str] = {}
        self._seen: dict[str, Seen] = {}
        self._session: aiohttp.ClientSession | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="prober", daemon=True)
        self._thread.start()

    def watch(self, urls: Mapping[str, str]) -> None:
        """Replica to the URL of its server's root; those that are not named are forgotten."""
        if urls != self._urls:
            self._urls = dict(urls)
            self._call(self._follow(dict(urls)))

    def seen(self, name: str) -> Seen | None:
        """None until it was ready."""
        return self._seen.get(name)

    def close(self) -> None:
        if self._loop.is_closed():
            return
        self._call(self._leave())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _follow(self, urls: Mapping[str, str]) -> None:
        for name in self._asking.keys() - urls.keys():
            self._asking.pop(name).cancel()
            self._seen.pop(name, None)
        for name in urls.keys() - self._asking.keys():
            self._asking[name] = asyncio.create_task(self._ask(name, urls[name]))

    async def _leave(self) -> None:
        await self._follow({})
        if self._session is not None:
            await self._session.close()

    async def _ask(self, name: str, url: str) -> None:
        while True:
            found = await self._look(name, url)
            if found is not None:
                self._seen[name] = found
            await asyncio.sleep(self._poll_s)

    async def _look(self, name: str, url: str) -> Seen | None:
        """/health until it is ready, and /metrics from then on."""
        if name not in self._seen and await self._text(f"{url}/health") is None:
            return None
        text = await self._text(f"{url}/metrics")
        if text is None:
            return None if name in self._seen else Seen(at=self._clock())
        metrics = read_metrics(text)
        return Seen(at=self._clock(), metrics=metrics)

    async def _text(self, url: str) -> str | None:
        """None without a good answer in time."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._deadline_s),
                connector=aiohttp.TCPConnector(limit=0, force_close=True),
            )
        try:
            async with self._session.get(url, allow_redirects=False) as answer:
                return await answer.text(errors="replace") if answer.status == 200 else None
        except (TimeoutError, aiohttp.ClientError, OSError):
            return None
