"""How do requests become completions, given a model and a tokenizer?

Prompts join longest first, every sample leaves the batch with its last token, and new prompts
refill the batch once enough rows are free.  Finished drafts become samples: where the text
stops, why, and P(Yes) at the token after the marker.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from rprm.engines.base import Completion, Request, Sample, SamplingParams
from rprm.engines.batching import Limits, Unit, next_group, places_for, shape_for, units_of
from rprm.engines.forward import prefill
from rprm.engines.rows import Draft
from rprm.engines.running import RunningBatch
from rprm.engines.stopping import ending_mask, find_first, first_of, tail_contains
from rprm.engines.tokenizers import Tokenizer, decode
from rprm.engines.verdict_tokens import VerdictTokens, verdict_token_ids

REFILL_SHARE = 4
"""Refill once a quarter of the rows is free: small prefills cost more than idle rows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judge:
    """A loaded model with what is known of its tokens."""

    model: Any
    tokenizer: Tokenizer
    eos: frozenset[int]
    texts_V: Sequence[str]
    """Every token decoded alone."""
    masks: dict[tuple[str, ...], npt.NDArray[np.bool_]] = field(default_factory=dict)
    """Ending masks made so far; a judge asks for the same strings in every call."""

    def ending(self, strings: tuple[str, ...]) -> npt.NDArray[np.bool_]:
        """Which tokens can complete one of `strings`?"""
        if strings not in self.masks:
            self.masks[strings] = ending_mask(self.texts_V, strings)
        return self.masks[strings]


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """A belief that has to be read in a pass of its own."""

    request: int
    sample: int
    ids_T: tuple[int, ...]


class SamplingLoop:
    """One call's worth of sampling."""

    def __init__(
        self, judge: Judge, requests: Sequence[Request], params: SamplingParams, limits: Limits
    ) -> None:
        self.judge, self.requests, self.params, self.limits = judge, requests, params, limits
        self.tokens: VerdictTokens | None = None
        if params.verdict is not None:
            self.tokens = verdict_token_ids(judge.tokenizer, params.verdict)
            self.marker_V = judge.ending((params.verdict.marker,))
        self.samples: list[dict[int, Sample]] = [{} for _ in requests]
        self.probes: list[Probe] = []
        self.waiting: set[int] = set()

    def run(self) -> Iterator[Completion]:
        """Yield each request's completion as soon as its last sample is done."""
        if not self.requests:
            return
        queue = deque(units_of(self.requests, places=places_for(self.requests)))
        batch = self._batch(queue)
        while queue or batch.rows:
            if not self._refill(batch, queue):
                queue.extendleft(batch.make_room(self.limits))
                batch.step()
            yield from self._finish(batch)
        yield from self._read_probes()

    def _batch(self, units: Sequence[Unit]) -> RunningBatch:
        ending_V = torch.from_numpy(self.judge.ending(self.params.stop).copy())
        ending_V[list(self.judge.eos)] = True
        shape = shape_for(units, self.params, self.limits)
        device = self.judge.model.device
        return RunningBatch(self.judge.model, self.params, self.tokens, ending_V.to(device), shape)

    def _refill(self, batch: RunningBatch, queue: deque[Unit]) -> bool:
        """Let waiting prompts join when that pays; True when some did."""
        tokens = self.limits.prefill_tokens
        if batch.room(prefill_tokens=tokens).rows * REFILL_SHARE < batch.shape.rows:
            return False
        joined = False
        while count := next_group(queue, batch.room(prefill_tokens=tokens)):
            batch.join([queue.popleft() for _ in range(count)])
            joined = True
        return joined

    def _finish(self, batch: RunningBatch) -> Iterator[Completion]:
        done: list[int] = []
        for row in batch.maybe_finished():
            draft = batch.draft(row)
            sample = self._sample(draft)
            if sample is not None:
                done.append(row)
                self.samples[draft.request][draft.sample] = sample
                yield from self._complete(draft.request)
        if done:
            batch.leave(done)

    def _sample(self, draft: Draft) -> Sample | None:
        """The finished sample, or None when the draft goes on."""
        tokenizer, stop = self.judge.tokenizer, self.params.stop
        ids = draft.token_ids
        if ids[-1] in self.judge.eos:
            return self._with_belief(draft, decode(tokenizer, ids), "eos")
        if stop and tail_contains(tokenizer, ids, stop):
            end = first_of(tokenizer, ids, stop)
            if end is not None:
                return self._with_belief(draft, decode(tokenizer, ids)[:end], "stop")
        if len(ids) >= self.params.max_tokens:
            return self._with_belief(draft, decode(tokenizer, ids), "length")
        return None

    def _with_belief(self, draft: Draft, text: str, finish: Any) -> Sample:
        sample = Sample(text=text, token_ids=tuple(draft.token_ids), finish=finish)
        verdict = self.params.verdict
        if verdict is None or verdict.marker not in text:
            return sample
        found = find_first(self.judge.tokenizer, draft.token_ids, verdict.marker, self.marker_V)
        if found is None:
            return sample
        if found.flush and found.num_tokens < len(draft.token_ids):
            return replace(sample, p_yes=draft.p_yes_T[found.num_tokens])
        self._ask_again(draft, text[: found.end], flush=found.flush)
        return sample

    def _ask_again(self, draft: Draft, text: str, *, flush: bool) -> None:
        """The marker is the last thing written, or ends inside a token: read it separately.

        Inside a token there is no sampled position to read, so the text is cut after the marker
        and tokenized anew, as the method does.
        """
        ids = draft.token_ids
        if not flush:
            ids = self.judge.tokenizer.encode(text, add_special_tokens=False)
        prompt_T = self.requests[draft.request].prompt_T
        self.probes.append(
            Probe(request=draft.request, sample=draft.sample, ids_T=(*prompt_T, *ids))
        )
        self.waiting.add(draft.request)

    def _complete(self, request: int) -> Iterator[Completion]:
        asked, samples = self.requests[request], self.samples[request]
        if len(samples) == asked.n and request not in self.waiting:
            yield Completion(
                id=asked.id, samples=tuple(samples[sample] for sample in sorted(samples))
            )
            self.samples[request] = {}

    def _read_probes(self) -> Iterator[Completion]:
        probes = sorted(self.probes, key=lambda probe: (-len(probe.ids_T), probe.request))
        while probes:
            width = len(probes[0].ids_T)
            count = max(1, self.limits.prefill_tokens // width)
            group, probes = probes[:count], probes[count:]
            for probe, p_yes in zip(group, self._beliefs(group), strict=True):
                samples = self.samples[probe.request]
                samples[probe.sample] = replace(samples[probe.sample], p_yes=p_yes)
        for request in sorted(self.waiting):
            self.waiting.discard(request)
            yield from self._complete(request)

    @torch.inference_mode()
    def _beliefs(self, probes: Sequence[Probe]) -> list[float]:
        from transformers.cache_utils import DynamicCache

        assert self.tokens is not None
        logits_UV = prefill(
            self.judge.model, [probe.ids_T for probe in probes], cache=DynamicCache()
        ).float()
        beliefs: list[float] = torch.sigmoid(
            logits_UV[:, self.tokens.yes] - logits_UV[:, self.tokens.no]
        ).tolist()
        return beliefs
