"""Engines that say what a test wants, sample by sample.  No model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from rprm.engines.base import Completion, Refused, Request, Sample, SamplingParams
from rprm.prompting import Renderer

Script = Callable[[Request, int], Sample | Refused]


@dataclass
class ScriptedEngine:
    """Sample k of a request is `script(request, k)`; answers come in reverse order."""

    script: Script
    name: str = "scripted"
    rounds: list[list[Request]] = field(default_factory=list)
    """What was asked, call by call."""

    def sample(
        self, requests: Sequence[Request], params: SamplingParams
    ) -> Iterator[Completion | Refused]:
        self.rounds.append(list(requests))
        for request in reversed(requests):
            yield self._answer(request)

    def _answer(self, request: Request) -> Completion | Refused:
        indices = range(request.first_sample, request.first_sample + request.n)
        samples: list[Sample] = []
        for k in indices:
            said = self.script(request, k)
            if isinstance(said, Refused):
                return said
            samples.append(said)
        return Completion(id=request.id, samples=tuple(samples))


def text_sample(text: str, *, finished: bool = False) -> Sample:
    """One token per character."""
    return Sample(
        text=text, token_ids=tuple(range(len(text))), finish="eos" if finished else "stop"
    )


def verdict_sample(renderer: Renderer, p_yes: float) -> Sample:
    """A critique that ends in a verdict with this belief; three tokens."""
    fmt = renderer.template.verdict
    word = fmt.yes if p_yes >= 0.5 else fmt.no
    return Sample(
        text=f"{fmt.prefix}{fmt.marker}{word}", token_ids=(1, 2, 3), finish="eos", p_yes=p_yes
    )


def unparsable_sample() -> Sample:
    return Sample(text="I cannot say.", token_ids=(1, 2), finish="eos")
