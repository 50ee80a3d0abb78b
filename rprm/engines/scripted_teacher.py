"""Who writes the first analyses in the small world?  A script that makes mistakes, not a model.

It reads the case back from the ids of a prompt of the templates `chain` and `chain_direct` and
checks it digit by digit, with slips.  For `chain_direct` it keeps the analysis to itself and writes
only the verdict.  It never sees a label.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from rprm.data.chain_analysis import VERDICT, Check, Noise, analyse, check_of
from rprm.data.chains import stream
from rprm.engines.base import Completion, Refused, Request, Sample, SamplingParams
from rprm.errors import BadInput

PROMPT: Final = re.compile(r"question : (.+) previous : (.+) now : #\d (.+) (check|judge) :")
NO_STEPS: Final = "none"
NUMBERED: Final = re.compile(r" ?#\d ")
BETWEEN_DIGITS: Final = re.compile(r"(?<=\d)(?<!#\d) (?=\d)")


class ScriptedTeacher:
    """An Engine.  Sample k of a request depends on its prompt, its seed and k alone."""

    def __init__(self, tokenizer: Any, *, noise: Noise | None = None) -> None:
        self.tokenizer = tokenizer
        self.noise = noise or Noise()

    @property
    def name(self) -> str:
        n = self.noise
        return f"scripted-teacher(slip={n.slip},carry_slip={n.carry_slip},misread={n.misread})"

    def sample(
        self, requests: Sequence[Request], params: SamplingParams
    ) -> Iterator[Completion | Refused]:
        for request in requests:
            try:
                check, silent = read_prompt(self.tokenizer.decode(list(request.prompt_T)))
            except BadInput as problem:
                yield Refused(id=request.id, cause="unreadable-prompt", detail=str(problem))
                continue
            numbers = range(request.first_sample, request.first_sample + request.n)
            yield Completion(
                id=request.id,
                samples=tuple(
                    self._write(check, silent, request, number, params.max_tokens)
                    for number in numbers
                ),
            )

    def _write(
        self, check: Check, silent: bool, request: Request, number: int, max_tokens: int
    ) -> Sample:
        rng = stream("scripted-teacher", request.prompt_T, request.seed, number)
        text = analyse(check, noise=self.noise, rng=rng)
        if silent:
            text = text[text.index(VERDICT) :]
        ids = [*self.tokenizer(text, add_special_tokens=False)["input_ids"]]
        ids.append(self.tokenizer.eos_token_id)
        if len(ids) <= max_tokens:
            return Sample(text=text, token_ids=tuple(ids), finish="eos")
        kept = ids[:max_tokens]
        return Sample(text=self.tokenizer.decode(kept), token_ids=tuple(kept), finish="length")


def read_prompt(text: str) -> tuple[Check, bool]:
    """The case of a decoded prompt, and whether only the verdict is asked for."""
    found = PROMPT.fullmatch(BETWEEN_DIGITS.sub("", text))
    if found is None:
        raise BadInput(
            f"the scripted teacher cannot read the prompt {text[:200]!r}.",
            fix="use the template chain or chain_direct with the tokenizer of the small world",
        )
    question, previous, now, kind = found.groups()
    steps = () if previous == NO_STEPS else tuple(NUMBERED.split(previous)[1:])
    return check_of(question, steps, now), kind == "judge"
