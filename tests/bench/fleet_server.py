"""How does one simulated replica work through its rows?

All running rows share its speed, which saturates: half full gives five sixths.  So all of them
advance alike, and one clock, in tokens that each has got, tells when every row ends.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterator

from jobs.plan.fleet import Load, Phase, Replica

TOKENS_PER_S = 6400.0
"""Of one full replica: an 8B model on an H100 under vLLM's own benchmark."""

SEQS_PER_ROW = 8
"""Critiques of one case: one request with n=8, so 8 sequences."""

MAX_NUM_SEQS = 256
ROW_SLOTS = MAX_NUM_SEQS // SEQS_PER_ROW
CLIENT_SLOTS = math.ceil(1.1 * ROW_SLOTS)
ROW_TOKENS = 600 * SEQS_PER_ROW
"""So a full replica finishes four rows every three seconds, each after about 24 s."""

HALF_SPEED_ROWS = 8.0
EPSILON = 1e-6


class Server:
    """One replica: every running row advances at the same speed, so one clock serves all."""

    __slots__ = ("clock", "clock_at", "ordinal", "phase", "running", "since", "start_s",
                 "started_at", "tokens", "version", "waiting")  # fmt: skip

    def __init__(self, ordinal: int, now: float) -> None:
        self.ordinal = ordinal
        self.phase = Phase.STARTING
        self.since = self.started_at = now
        self.start_s: float | None = None
        self.running: list[tuple[float, int, float]] = []
        """When on this clock each row ends, its shard, its tokens."""
        self.waiting: deque[tuple[int, float]] = deque()
        self.clock = 0.0
        """Tokens that a row has got that was running all the time."""
        self.clock_at = now
        self.tokens = 0.0
        self.version = 0

    @property
    def name(self) -> str:
        return f"judge-{self.ordinal}"

    @property
    def in_flight(self) -> int:
        return len(self.running) + len(self.waiting)

    def advance(self, now: float) -> None:
        count = len(self.running)
        if count:
            gained = SPEEDS[count] * (now - self.clock_at)
            self.clock += gained
            self.tokens += gained * count
        self.clock_at = now

    def give(self, shard: int, tokens: float) -> None:
        """To an advanced server."""
        if len(self.running) < ROW_SLOTS:
            heapq.heappush(self.running, (self.clock + tokens, shard, tokens))
        else:
            self.waiting.append((shard, tokens))

    def take_finished(self) -> Iterator[tuple[int, float]]:
        while self.running and self.running[0][0] <= self.clock + EPSILON:
            _, shard, tokens = heapq.heappop(self.running)
            if self.waiting:
                self.give(*self.waiting.popleft())
            yield shard, tokens

    def next_end(self) -> float:
        left = max(0.0, self.running[0][0] - self.clock)
        return self.clock_at + left / SPEEDS[len(self.running)]

    def view(self, load: Load | None) -> Replica:
        return Replica(
            name=self.name, phase=self.phase, since=self.since, load=load, start_s=self.start_s
        )


def _speed(rows: int) -> float:
    """Tokens per second that each of so many rows gets."""
    full = ROW_SLOTS / (ROW_SLOTS + HALF_SPEED_ROWS)
    return TOKENS_PER_S / full / (rows + HALF_SPEED_ROWS)


SPEEDS = [0.0, *(_speed(rows) for rows in range(1, ROW_SLOTS + 1))]
