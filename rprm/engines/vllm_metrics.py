"""What does a vLLM server say about its own load?  Reads the text of its /metrics.

The names are those of vLLM 0.32 and 0.33 (`vllm/v1/metrics/loggers.py`).  A server with several
engines (data parallelism) repeats every series per engine: counts add up, and the fullest KV cache
is the one that counts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rprm.errors import RprmError


class MetricsUnreadable(RprmError):
    """The text is not what vLLM writes at /metrics."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplicaMetrics:
    """One look at a replica.  Sequences, not requests: n samples of a prompt count n times."""

    running: int
    """Sequences in the batch."""
    waiting: int
    """Sequences that the server holds but has not begun, for whatever reason."""
    kv_use: float
    """Share of the KV cache in use, in [0, 1]; cached prefixes that nobody uses count as free."""
    preemptions: int = 0
    """Since the server started; so are all counters below."""
    prompt_tokens: int = 0
    generation_tokens: int = 0
    prefix_cache_queries: int = 0
    """Prompt tokens that were looked up in the prefix cache."""
    prefix_cache_hits: int = 0

    @property
    def tokens(self) -> int:
        """Moves while the replica does anything at all."""
        return self.prompt_tokens + self.generation_tokens


_Fold = Callable[[Iterable[float]], float]
_SERIES: dict[str, tuple[str, _Fold]] = {
    "running": ("num_requests_running", sum),
    "waiting": ("num_requests_waiting", sum),
    "kv_use": ("kv_cache_usage_perc", max),
    "preemptions": ("num_preemptions_total", sum),
    "prompt_tokens": ("prompt_tokens_total", sum),
    "generation_tokens": ("generation_tokens_total", sum),
    "prefix_cache_queries": ("prefix_cache_queries_total", sum),
    "prefix_cache_hits": ("prefix_cache_hits_total", sum),
}
_OPTIONAL = ("preemptions", "prefix_cache_queries", "prefix_cache_hits")
"""Absent where a server is started without what they count."""
_LINE = re.compile(
    rf"^vllm:({'|'.join(series for series, _ in _SERIES.values())})(?:\{{.*\}})?[ \t]+(\S+)",
    re.MULTILINE,
)
_LARGEST = 2.0**63


def read_metrics(text: str) -> ReplicaMetrics:
    """Raises MetricsUnreadable, and nothing else whatever the text."""
    found: dict[str, list[float]] = {}
    for series, value in _LINE.findall(text):
        found.setdefault(series, []).append(_number(series, value))
    values = {field: _folded(field, found) for field in _SERIES}
    kv_use = min(1.0, values.pop("kv_use"))
    counts = {field: int(value) for field, value in values.items()}
    return ReplicaMetrics(kv_use=kv_use, **counts)


def _folded(field: str, found: dict[str, list[float]]) -> float:
    series, fold = _SERIES[field]
    if series in found:
        return fold(found[series])
    if field in _OPTIONAL:
        return 0.0
    raise MetricsUnreadable(
        f"the metrics have no vllm:{series}.",
        fix="give the address of a vLLM server, and start it without --disable-log-stats",
    )


def _number(series: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < _LARGEST:
        raise MetricsUnreadable(f"vllm:{series} is {text[:40]!r}, which is no count or share.")
    return value
