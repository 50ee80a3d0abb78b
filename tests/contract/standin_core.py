"""When is each sequence of the stand-in done, and what do its metrics say meanwhile?

A scheduler in the manner of vLLM's: steps of at most so many tokens, running sequences first, a
waiting queue, blocks of KV cache, a prefix cache over full blocks, preemption of the youngest when
blocks run out.  What a step takes is a matter of arithmetic, not of a model.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """The sizes and the speed of a replica."""

    max_num_seqs: int = 128
    kv_blocks: int = 4096
    block_size: int = 16
    """vLLM's on GPUs; its CPU build takes 128."""
    max_batched_tokens: int = 2048
    step_s: float = 0.0
    """What a step takes however little it does; with `token_s` 0 too, nothing takes time."""
    token_s: float = 0.0
    """What every token in a step adds."""

    @property
    def instant(self) -> bool:
        return self.step_s == self.token_s == 0


@dataclass(eq=False)
class Sample:
    """One sample under way."""

    prompt: tuple[int, ...]
    output: tuple[int, ...]
    ended: Callable[[], None]
    """Called once, when its last token is there."""
    blocks: list[int] = field(default_factory=list)
    """Hashes of the full blocks of the prompt."""
    computed: int = 0
    """Prompt tokens (after a preemption also output tokens) in the KV cache."""
    written: int = 0
    cached: int = 0
    """Prompt tokens found in the prefix cache when it first began."""
    begun: bool = False

    @property
    def to_compute(self) -> int:
        return len(self.prompt) + self.written


@dataclass
class Counters:
    """As vLLM's counters of the same names."""

    prompt_tokens: int = 0
    generation_tokens: int = 0
    prefix_cache_queries: int = 0
    prefix_cache_hits: int = 0
    preemptions: int = 0
    finished: int = 0


class Core:
    """`await core.finish(sequences)` takes as long as the replica would need for them."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.counters = Counters()
        self.hung = False
        """Takes everything in and does nothing, with every HTTP route still answering."""
        self.running: list[Sample] = []
        self.waiting: deque[Sample] = deque()
        self._held: dict[int, int] = {}  # full blocks in use, and by how many
        self._cached: OrderedDict[int, None] = OrderedDict()  # full blocks nobody uses now
        self._wake = asyncio.Event()

    @property
    def kv_use(self) -> float:
        return self._used() / self.pace.kv_blocks

    async def finish(self, outputs: Sequence[tuple[int, ...]], prompt: tuple[int, ...]) -> int:
        """Returns how many tokens of the prompt the last sequence found in the cache.

        Cancelling it takes the sequences out, as vLLM does when a client goes away."""
        left = len(outputs)
        all_ended = asyncio.Event()

        def ended() -> None:
            nonlocal left
            left -= 1
            if not left:
                all_ended.set()

        made = self.submit(outputs, prompt, ended)
        self._wake.set()
        try:
            await all_ended.wait()
        finally:
            self._remove(made)
        return made[-1].cached

    def submit(
        self,
        outputs: Sequence[tuple[int, ...]],
        prompt: tuple[int, ...],
        ended: Callable[[], None],
    ) -> list[Sample]:
        """Puts the samples of a prompt into the queue; `ended` is called for each of them."""
        blocks = block_hashes(prompt, self.pace.block_size)
        made = [Sample(prompt=prompt, output=one, ended=ended, blocks=blocks) for one in outputs]
        self.waiting.extend(made)
        return made

    async def run(self) -> None:
        """Steps for ever; cancel it to stop."""
        due_s = time.monotonic()
        while True:
            if self.hung or not (self.running or self.waiting):
                self._wake.clear()
                await self._wake.wait()
                due_s = time.monotonic()
                continue
            tokens = self.step()
            due_s += self.pace.step_s + tokens * self.pace.token_s
            # A sleep is coarser than a step: it is made up for by steps without one.
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))

    def resume(self) -> None:
        self.hung = False
        self._wake.set()

    def step(self) -> int:
        """One step of the engine.  Returns how many tokens it worked on."""
        budget = self.pace.max_batched_tokens
        preempted = self._preempt()
        for sequence in list(self.running):
            budget -= self._advance(sequence, budget)
        while not preempted and self.waiting and budget > 0:
            if len(self.running) >= self.pace.max_num_seqs or not self._fits(self.waiting[0]):
                break
            sequence = self.waiting.popleft()
            self._begin(sequence)
            budget -= self._advance(sequence, budget)
        return self.pace.max_batched_tokens - budget

    def _begin(self, sequence: Sample) -> None:
        hit = 0
        for block in sequence.blocks:
            if block not in self._held and block not in self._cached:
                break
            hit += self.pace.block_size
        # The last token must be computed anew: its logits are what comes next.
        most = (len(sequence.prompt) - 1) // self.pace.block_size * self.pace.block_size
        hit = min(hit, most)
        if not sequence.begun:
            sequence.cached = hit
            self.counters.prefix_cache_queries += len(sequence.prompt)
            self.counters.prefix_cache_hits += hit
        sequence.begun, sequence.computed = True, hit
        for block in sequence.blocks:
            self._cached.pop(block, None)
            self._held[block] = self._held.get(block, 0) + 1
        self.running.append(sequence)

    def _advance(self, sequence: Sample, budget: int) -> int:
        """Returns the tokens used."""
        if budget <= 0:
            return 0
        chunk = min(budget, sequence.to_compute - sequence.computed)
        first = sequence.written == 0
        sequence.computed += chunk
        if sequence.computed < sequence.to_compute:
            return chunk
        more = len(sequence.output) - sequence.written if self.pace.instant else 1
        sequence.written += more
        self.counters.generation_tokens += more
        if first:
            self.counters.prompt_tokens += len(sequence.prompt)
        if sequence.written >= len(sequence.output):
            self._end(sequence)
        return chunk

    def _end(self, sequence: Sample) -> None:
        self.counters.finished += 1
        self._let_go(sequence)
        whole = sequence.prompt + sequence.output[:-1]
        self._keep(block_hashes(whole, self.pace.block_size))
        sequence.ended()

    def _let_go(self, sequence: Sample) -> None:
        self.running.remove(sequence)
        for block in sequence.blocks:
            self._held[block] -= 1
            if not self._held[block]:
                del self._held[block]
        computed = sequence.computed // self.pace.block_size
        self._keep(sequence.blocks[:computed])

    def _keep(self, blocks: Sequence[int]) -> None:
        for block in blocks:
            if block not in self._held:
                self._cached[block] = None
                self._cached.move_to_end(block)
        while self._cached and self._used() + len(self._cached) > self.pace.kv_blocks:
            self._cached.popitem(last=False)

    def _remove(self, sequences: Sequence[Sample]) -> None:
        for sequence in sequences:
            if sequence in self.running:
                self._let_go(sequence)
            elif sequence in self.waiting:
                self.waiting.remove(sequence)

    def _preempt(self) -> bool:
        found = False
        while self._used() > self.pace.kv_blocks and len(self.running) > 1:
            youngest = self.running[-1]
            self._let_go(youngest)
            self.waiting.appendleft(youngest)
            self.counters.preemptions += 1
            found = True
        return found

    def _used(self) -> int:
        return len(self._held) + sum(self._own_blocks(sequence) for sequence in self.running)

    def _own_blocks(self, sequence: Sample) -> int:
        """Blocks beyond the full ones of the prompt."""
        return -(-(sequence.to_compute + 1) // self.pace.block_size) - len(sequence.blocks)

    def _fits(self, sequence: Sample) -> bool:
        new = sum(block not in self._held for block in sequence.blocks)
        need = new + self._own_blocks(sequence)
        return not self.running or self._used() + need <= self.pace.kv_blocks


def block_hashes(token_ids: tuple[int, ...], size: int) -> list[int]:
    """One for each full block; equal where everything up to the block's end is equal."""
    hashes: list[int] = []
    last = 0
    for start in range(0, len(token_ids) - size + 1, size):
        last = hash((last, token_ids[start : start + size]))
        hashes.append(last)
    return hashes


def metrics_text(core: Core, model: str) -> str:
    """As vLLM 0.32 writes it, the series that a client has a use for."""
    labels = f'{{engine="0",model_name="{model}"}}'
    capacity = f'{{engine="0",model_name="{model}",reason="capacity"}}'
    deferred = f'{{engine="0",model_name="{model}",reason="deferred"}}'
    counts = core.counters
    lines = []
    for name, kind, value in (
        ("num_requests_running", "gauge", len(core.running)),
        ("num_requests_waiting", "gauge", len(core.waiting)),
        ("kv_cache_usage_perc", "gauge", core.kv_use),
        ("prefix_cache_queries_total", "counter", counts.prefix_cache_queries),
        ("prefix_cache_hits_total", "counter", counts.prefix_cache_hits),
        ("num_preemptions_total", "counter", counts.preemptions),
        ("prompt_tokens_total", "counter", counts.prompt_tokens),
        ("prompt_tokens_cached_total", "counter", counts.prefix_cache_hits),
        ("generation_tokens_total", "counter", counts.generation_tokens),
    ):
        lines += [f"# HELP vllm:{name} .", f"# TYPE vllm:{name} {kind}"]
        lines.append(f"vllm:{name}{labels} {float(value)}")
    lines.append(f"vllm:num_requests_waiting_by_reason{capacity} {float(len(core.waiting))}")
    lines.append(f"vllm:num_requests_waiting_by_reason{deferred} 0.0")
    lines.append(
        f'vllm:request_success_total{{engine="0",finished_reason="stop",model_name="{model}"}}'
        f" {float(counts.finished)}"
    )
    lines.append(
        f'vllm:cache_config_info{{block_size="{core.pace.block_size}",engine="0",'
        f'num_gpu_blocks="{core.pace.kv_blocks}"}} 1.0'
    )
    return "\n".join(lines) + "\n"
