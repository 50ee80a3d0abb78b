"""How does an instruction-tuned policy write solutions?  As a chat answer, a blank line per step.

The prompt is the model's own chat template; the steps so far are put behind it, so the model goes
on with its answer.  Data cannot steer it: a special token that is spelled out in a problem or in a
step is encoded as ordinary text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

from rprm.engines.base import Sample
from rprm.errors import BadInput
from rprm.policy import FormatName, Proposal, Written, end_of_text
from rprm.prompting import Tokenizer

PARTING: Final = "\n\n"
PUNCTUATION: Final = frozenset("+-*/=^_'\".,:;?!(){}[]\\$%<>|&@#√∞±\u00d7÷°")
"""What a candidate of the published search may hold beside letters, digits and white space."""
SCRIPTS: Final = ("LATIN ", "GREEK ")
_PROBLEM: Final = "\ue000"
"""Stands for the problem while the chat template runs; a private character."""


class ChatFormat:
    name: FormatName = "chat"
    stop: tuple[str, ...] = (PARTING,)

    def __init__(self, tokenizer: Tokenizer, *, system: str | None) -> None:
        self.tokenizer = tokenizer
        self.eos_id = end_of_text(tokenizer)
        self._head, self._tail = _around_problem(tokenizer, system)
        specials = sorted(filter(None, tokenizer.all_special_tokens), key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, specials)) or r"(?!)")

    def prompt(self, problem: str, steps: Sequence[str]) -> tuple[int, ...]:
        written = "".join(step + PARTING for step in steps)
        return (*self._question(problem), *self._encode(written, is_data=True))

    def completion(self, steps: Sequence[str]) -> tuple[int, ...]:
        return (*self._encode(PARTING.join(steps), is_data=True), self.eos_id)

    def read_step(self, sample: Sample) -> Proposal | None:
        """As in the published search, texts with characters of other scripts are refused."""
        text = sample.text.removesuffix(PARTING).strip()
        if sample.finish == "length" or not text or has_foreign_characters(text):
            return None
        return Proposal(
            text=text, finished=sample.finish == "eos", num_tokens=len(sample.token_ids)
        )

    def read_solution(self, sample: Sample) -> Written | None:
        steps = self.split(sample.text)
        if sample.finish == "length" or not steps:
            return None
        return Written(steps=steps, answer=self.answer(steps))

    def split(self, text: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in text.split(PARTING) if part.strip())

    def answer(self, steps: Sequence[str]) -> str | None:
        from rprm.benchmarks.answers import extract_answer

        return extract_answer(PARTING.join(steps))

    def _question(self, problem: str) -> tuple[int, ...]:
        """In one piece, as a server would render it, unless the problem spells special tokens."""
        if not self._special.search(problem):
            return self._encode(self._head + problem + self._tail, is_data=False)
        return (
            *self._encode(self._head, is_data=False),
            *self._encode(problem, is_data=True),
            *self._encode(self._tail, is_data=False),
        )

    def _encode(self, text: str, *, is_data: bool) -> tuple[int, ...]:
        made = self.tokenizer([text], add_special_tokens=False, split_special_tokens=is_data)
        return tuple(made["input_ids"][0]) if text else ()


def has_foreign_characters(text: str) -> bool:
    """Any that is no Latin or Greek letter, digit, white space or punctuation of mathematics?"""
    return any(not _is_allowed(character) for character in set(text))


def _is_allowed(character: str) -> bool:
    if character in PUNCTUATION or character.isspace() or character.isdecimal():
        return True
    return character.isalpha() and unicodedata.name(character, "").startswith(SCRIPTS)


def _around_problem(tokenizer: Tokenizer, system: str | None) -> tuple[str, str]:
    """What the chat template writes before and after the problem."""
    from jinja2 import TemplateError  # what runs chat templates; not needed to plan a campaign

    turns = [{"role": "system", "content": system}] if system is not None else []
    turns.append({"role": "user", "content": _PROBLEM})
    try:
        text = str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
    except ValueError as error:  # transformers' answer to a tokenizer without a chat template
        raise BadInput(
            "the policy's tokenizer has no chat template.",
            fix='use an instruction-tuned model, or the format "chain" for the small world',
        ) from error
    except TemplateError as error:  # the template's own refusal, such as of a system turn
        raise BadInput(
            f"the policy's chat template refuses the conversation: {error}.",
            fix="set system: null for a model that takes no system turn",
        ) from error
    head, found, tail = text.partition(_PROBLEM)
    if not found:
        raise BadInput(
            "the policy's chat template loses the user's message.",
            fix="use the chat template of an instruction-tuned model",
        )
    return head, tail
