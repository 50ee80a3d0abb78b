"""What is the judgement of each case?  Draws critiques from an engine and scores them.

The k-th critique of a case depends on the engine, the prompt and (seed, case id, k) alone: not on
the wave that drew it, nor on the cases beside it.

With `early_stop` a case draws only until its label is certain.  Its score is then the mean of
what was drawn: the label is that of all K critiques, the score need not be.  Curves over K need
`early_stop=False`.

With `stop_at_first_error` the steps of a solution are judged in order, and those after the first
step that is wrong, refused or without a score yield nothing: no metric that looks for the first
error reads them (`scoring.first_error`).
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from rprm.engines.base import (
    Completion,
    Engine,
    Refused,
    Request,
    Sample,
    SamplingParams,
    VerdictFormat,
)
from rprm.errors import BadInput, RprmError
from rprm.prompting import Renderer, Template
from rprm.sampling import next_wave
from rprm.schema import Case, Critique, Judgement, Unparsed
from rprm.scoring import THRESHOLD, Aggregate, beliefs, is_error, score
from rprm.verdicts import Cause, Parsed, parse


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgeParams:
    """How to judge; the defaults are the method's."""

    num_critiques: int = 10
    """K, the most critiques of a case."""
    sampling: SamplingParams = field(default_factory=SamplingParams)
    """Its verdict format and, where it has none, its stop strings come from the template."""
    seed: int = 0
    aggregate: Aggregate = Aggregate.SOFT
    threshold: float = THRESHOLD
    early_stop: bool = False
    min_wave: int = 1
    """Critiques a wave draws at least; more means fewer rounds and more tokens."""
    stop_at_first_error: bool = False
    lookahead: int = 1
    """Steps of one solution judged at once under `stop_at_first_error`; changes no result."""

    def __post_init__(self) -> None:
        if min(self.num_critiques, self.min_wave, self.lookahead) < 1:
            raise BadInput("num_critiques, min_wave and lookahead must be at least 1.")
        if not 0 <= self.threshold <= 1:
            raise BadInput(f"threshold is {self.threshold}, but scores lie in 0..1.")


def request_seed(seed: int, case_id: str) -> int:
    """The same on every machine and in every process, unlike `hash`; fits a signed 64-bit."""
    digest = hashlib.blake2b(f"{seed}\0{case_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def sampling_params(params: SamplingParams, template: Template) -> SamplingParams:
    """With the template's verdict format, and its stop strings unless others are asked for."""
    return replace(params, verdict=template.verdict, stop=params.stop or template.stop)


def critique_of(sample: Sample, fmt: VerdictFormat) -> Critique | Unparsed:
    found = parse(sample.text, fmt)
    num_tokens = len(sample.token_ids)
    if isinstance(found, Parsed):
        return Critique(
            text=sample.text, verdict=found.verdict, p_yes=sample.p_yes, num_tokens=num_tokens
        )
    open_ended = found.cause is Cause.NO_MARKER or sample.text.endswith(fmt.marker)
    cause = Cause.CUT_OFF if sample.finish == "length" and open_ended else found.cause
    return Unparsed(text=sample.text, cause=cause.value, num_tokens=num_tokens)


def judge(
    cases: Sequence[Case], *, engine: Engine, renderer: Renderer, params: JudgeParams
) -> Iterator[Judgement | Refused]:
    """Answers in the order of the cases, each as soon as it and those before it are settled."""
    progress = _progress(cases, renderer)
    tracks = _tracks(progress.values(), together=params.stop_at_first_error)
    track_of = {one.case.id: track for track in tracks for one in track.steps}
    sampling = sampling_params(params.sampling, renderer.template)
    unsaid = deque(progress.values())
    while tracks:
        requests = [_request(one, params) for track in tracks for one in track.frontier(params)]
        answered = 0
        for answer in engine.sample(requests, sampling):
            _note(progress[answer.id], answer, renderer.template.verdict, params)
            track_of[answer.id].advance()
            answered += 1
            yield from _answers(unsaid)
        if answered != len(requests):
            raise RprmError(f"{engine.name} answered {answered} of {len(requests)} requests.")
        tracks = [track for track in tracks if not track.done]


@dataclass(kw_only=True, slots=True)
class _Progress:
    """What is known of one case so far."""

    case: Case
    prompt_T: tuple[int, ...]
    critiques: list[Critique | Unparsed] = field(default_factory=list)
    refused: Refused | None = None
    score: float | None = None
    finished: bool = False
    stops: bool = False
    """Finished, and later steps of the solution need no judging."""
    settled: bool = False
    """Its answer can be given, or will never be."""
    skipped: bool = False

    def wave(self, params: JudgeParams) -> int:
        remaining = params.num_critiques - len(self.critiques)
        if not params.early_stop:
            return remaining
        return next_wave(
            beliefs(self.critiques, params.aggregate),
            remaining=remaining,
            threshold=params.threshold,
            min_wave=params.min_wave,
        )


@dataclass(kw_only=True, slots=True)
class _Track:
    """Steps of one solution that wait for each other, in order; or a single case."""

    steps: list[_Progress]
    at: int = 0
    """The first step that is not settled."""

    @property
    def done(self) -> bool:
        return self.at == len(self.steps)

    def frontier(self, params: JudgeParams) -> list[_Progress]:
        ahead = self.steps[self.at : self.at + params.lookahead]
        return [one for one in ahead if not one.finished]

    def advance(self) -> None:
        while not self.done and self.steps[self.at].finished:
            one = self.steps[self.at]
            one.settled = True
            self.at += 1
            if one.stops:
                for later in self.steps[self.at :]:
                    later.settled = later.skipped = True
                self.at = len(self.steps)


def _progress(cases: Sequence[Case], renderer: Renderer) -> dict[str, _Progress]:
    prompts = renderer.prompts(cases)
    made = {
        case.id: _Progress(case=case, prompt_T=prompt_T)
        for case, prompt_T in zip(cases, prompts, strict=True)
    }
    if len(made) != len(cases):
        raise BadInput("two cases share an id.", fix="make case ids unique")
    return made


def _tracks(progress: Iterable[_Progress], *, together: bool) -> list[_Track]:
    if not together:
        return [_Track(steps=[one]) for one in progress]
    solutions: dict[str, list[_Progress]] = {}
    for one in progress:
        solutions.setdefault(one.case.solution_id, []).append(one)
    return [
        _Track(steps=sorted(steps, key=lambda one: one.case.step)) for steps in solutions.values()
    ]


def _request(one: _Progress, params: JudgeParams) -> Request:
    return Request(
        id=one.case.id,
        prompt_T=one.prompt_T,
        n=one.wave(params),
        seed=request_seed(params.seed, one.case.id),
        first_sample=len(one.critiques),
    )


def _note(
    one: _Progress, answer: Completion | Refused, fmt: VerdictFormat, params: JudgeParams
) -> None:
    if isinstance(answer, Refused):
        one.refused = answer
        one.finished = one.stops = True
        return
    one.critiques += [critique_of(sample, fmt) for sample in answer.samples]
    if not answer.samples or len(one.critiques) > params.num_critiques:
        raise RprmError(f"{one.case.id}: the engine gave {len(answer.samples)} samples.")
    one.finished = one.wave(params) == 0
    if one.finished:
        one.score = score(one.critiques, params.aggregate)
        one.stops = one.score is None or is_error(one.score, params.threshold)


def _answers(unsaid: deque[_Progress]) -> Iterator[Judgement | Refused]:
    while unsaid and unsaid[0].settled:
        one = unsaid.popleft()
        if one.skipped:
            continue
        yield one.refused or Judgement(
            case_id=one.case.id, critiques_K=tuple(one.critiques), score=one.score
        )
