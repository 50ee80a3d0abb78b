"""What may the method ask of a text generator?

An engine gets token ids, never strings: the renderer is the only place that makes prompts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class VerdictFormat:
    """How a judge of one prompt template writes its verdict."""

    marker: str
    """The text right before the verdict word, such as "Is the step correct (Yes/No)?"."""
    yes: str
    """The verdict word as it follows the marker, with its leading space, such as " Yes"."""
    no: str
    prefix: str = ""
    """What stands before the marker on the verdict line, such as "Verification: "."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplingParams:
    """How to sample; the defaults are the method's (temperature and top_p of the paper)."""

    temperature: float = 0.95
    """0 means greedy."""
    top_p: float = 0.95
    max_tokens: int = 4096
    stop: tuple[str, ...] = ()
    """Generation of a sample ends once its text contains one of these; the string is kept."""
    verdict: VerdictFormat | None = None
    """When given, each sample carries P(Yes) read at its first verdict token."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One prompt and how many samples of it to draw."""

    id: str
    prompt_T: tuple[int, ...]
    n: int
    seed: int
    """Sample k of this request depends on (seed, k) alone, whatever is batched beside it."""
    first_sample: int = 0
    """Index of the first sample: a later wave of the same request draws samples first..first+n."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    text: str
    token_ids: tuple[int, ...]
    finish: Literal["stop", "eos", "length"]
    p_yes: float | None = None
    """P(Yes)/(P(Yes)+P(No)) at temperature 1 at the token after the marker; None if unseen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """The samples of one request, in order of their index."""

    id: str
    samples: tuple[Sample, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """A request that this engine can never answer, such as a prompt that is too long."""

    id: str
    cause: str
    detail: str


class Engine(Protocol):
    @property
    def name(self) -> str:
        """What wrote the text: a model id or path; goes into every row."""
        ...

    def sample(
        self, requests: Sequence[Request], params: SamplingParams
    ) -> Iterator[Completion | Refused]:
        """Answer every request once, in any order."""
        ...


def in_request_order(
    requests: Sequence[Request], answers: Iterable[Completion | Refused]
) -> list[Completion | Refused]:
    """Sort answers back into the order of their requests.  Raises KeyError if one is missing."""
    by_id = {answer.id: answer for answer in answers}
    return [by_id[request.id] for request in requests]
