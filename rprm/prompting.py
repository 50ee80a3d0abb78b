"""Which token ids does a judge read and write?  The one place that makes them.

Seed generation, training and evaluation all render here, so they cannot differ.

The answer is tokenised apart from the prompt.  A judge that samples continues the *ids* of the
prompt; tokenising prompt and answer as one string lets a merge cross the border, and training
would then see ids that sampling never starts from.  So the prompt is a prefix of prompt plus
completion by construction.

Data cannot steer the prompt: braces in it are plain, and a special token written out in a question
or in an answer is spelled in ordinary tokens, never taken for the end of a turn.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from rprm.errors import BadInput
from rprm.schema import Case
from rprm.templates import (
    SLOT,
    SLOTS,
    Shot,
    Template,
    conversation,
    load_template,
    messages,
    render_text,
    slot_values,
)

__all__ = [
    "Renderer",
    "Shot",
    "Template",
    "Tokenizer",
    "load_template",
    "messages",
    "render_text",
]


class Tokenizer(Protocol):
    """The part of a Hugging Face fast tokenizer that the renderer uses."""

    bos_token_id: int | None
    eos_token_id: int | None
    model_max_length: int

    @property
    def all_special_tokens(self) -> list[str]: ...

    def __call__(self, text: list[str], **options: Any) -> Mapping[str, Any]: ...

    def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> Any: ...


class Renderer:
    """Makes the token ids of one template for one tokenizer.

    The chat template runs once, here: what it puts around the data is the same for every case.
    """

    def __init__(self, template: Template, tokenizer: Tokenizer) -> None:
        self.template = template
        self.tokenizer = tokenizer
        self.eos_id = _eos(tokenizer)
        self._skeleton = _skeleton(template, tokenizer)
        specials = sorted(filter(None, tokenizer.all_special_tokens), key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, specials)) or r"(?!)")
        constant = [part for part, slot in self._skeleton if not slot]
        self._num_special = sum(len(self._special.findall(part)) for part in constant)
        self._lead = self._leading_bos()
        self._check()

    @property
    def max_length(self) -> int | None:
        """The longest sequence that the tokenizer says its model can read, if it says so."""
        length = self.tokenizer.model_max_length
        return length if length < 10**9 else None

    def prompt(self, case: Case) -> tuple[int, ...]:
        return self.prompts([case])[0]

    def prompts(self, cases: Sequence[Case]) -> list[tuple[int, ...]]:
        """`prompt` of many cases in one call of the tokenizer, which is much faster."""
        values = [slot_values(self.template, case) for case in cases]
        texts = [self._fill(one) for one in values]
        plain = [len(self._special.findall(text)) == self._num_special for text in texts]
        ids = iter(self._encode([text for text, ok in zip(texts, plain, strict=True) if ok]))
        return [
            self._lead + (next(ids) if ok else self._piecewise(one))
            for one, ok in zip(values, plain, strict=True)
        ]

    def completion(self, text: str) -> tuple[int, ...]:
        """The ids of an answer, closed by EOS: what training learns to write after a prompt."""
        return self.completions([text])[0]

    def completions(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        made = self._encode(texts, split_special_tokens=True)
        for text, ids in zip(texts, made, strict=True):
            if self.eos_id in ids:
                raise BadInput(
                    f"an answer contains the end-of-sequence token as text: {text[:200]!r}.",
                    fix="strip it when sampling; the renderer adds the one that is trained",
                )
        return [(*ids, self.eos_id) for ids in made]

    def _fill(self, values: Mapping[str, str]) -> str:
        return "".join(values[part] if slot else part for part, slot in self._skeleton)

    def _piecewise(self, values: Mapping[str, str]) -> tuple[int, ...]:
        """For data that spells a special token: constant parts and data are tokenised apart."""
        ids: tuple[int, ...] = ()
        for part, slot in self._skeleton:
            ids += self._encode([values[part] if slot else part], split_special_tokens=slot)[0]
        return ids

    def _encode(
        self, texts: Sequence[str], *, split_special_tokens: bool = False
    ) -> list[tuple[int, ...]]:
        if not texts:
            return []
        made = self.tokenizer(
            list(texts),
            add_special_tokens=False,
            split_special_tokens=split_special_tokens,
            return_attention_mask=False,
        )
        return [tuple(ids) for ids in made["input_ids"]]

    def _leading_bos(self) -> tuple[int, ...]:
        bos = self.tokenizer.bos_token_id
        if bos is None or self.template.chat:  # a chat template writes its own
            return ()
        return () if self._encode([self._skeleton[0][0]])[0][:1] == (bos,) else (bos,)

    def _check(self) -> None:
        bos = self.tokenizer.bos_token_id
        if bos is None or bos == self.eos_id:
            return
        number = self.prompt(_PROBE).count(bos)
        if number > 1:
            raise BadInput(
                f"template {self.template.name}: prompts begin with {number} BOS tokens.",
                fix="remove the BOS from the template's text; the renderer adds it where needed",
            )


_PROBE = Case(
    id="probe:0",
    solution_id="probe",
    problem_id="probe",
    step=0,
    question="What is 1 + 1?",
    previous_steps=(),
    now_step="1 + 1 = 2",
)


def _eos(tokenizer: Tokenizer) -> int:
    if tokenizer.eos_token_id is None:
        raise BadInput(
            "the tokenizer has no EOS token, so a judge could not learn to end its analysis.",
            fix='set "eos_token" in tokenizer_config.json to the token that ends an answer',
        )
    return tokenizer.eos_token_id


def _skeleton(template: Template, tokenizer: Tokenizer) -> tuple[tuple[str, bool], ...]:
    """Alternating constant text and slot names: (text, False) and (slot, True)."""
    text, slot = template.text, SLOT
    if template.chat:
        text, slot = _chat_text(template, tokenizer), _MARK
    parts = slot.split(text)
    if tuple(parts[1::2]) != SLOTS:
        raise BadInput(
            f"the tokenizer's chat template loses the message of template {template.name}.",
            fix="use the chat template of an instruction-tuned model, or set chat: false",
        )
    return tuple((part, index % 2 == 1) for index, part in enumerate(parts))


def _chat_text(template: Template, tokenizer: Tokenizer) -> str:
    """The conversation as text, with marks (private characters) where the data will stand."""
    user = SLOT.sub(lambda match: f"\ue000{match[1]}\ue001", template.text)
    turns = conversation(template, user)
    answer = {"role": "assistant", "content": "\ue002"}
    prompt = _chat(tokenizer, turns, add_generation_prompt=True)
    closed = _chat(tokenizer, [*turns, answer], add_generation_prompt=False)
    _check_turn_end(tokenizer, closed.partition("\ue002")[2])
    return prompt


def _chat(tokenizer: Tokenizer, turns: list[dict[str, str]], **options: bool) -> str:
    from jinja2 import TemplateError  # what runs chat templates; not needed to plan a campaign

    try:
        return str(tokenizer.apply_chat_template(turns, tokenize=False, **options))
    except ValueError as error:  # transformers' answer to a tokenizer without a chat template
        raise BadInput(
            "the tokenizer has no chat template, and the prompt template asks for one.",
            fix="use an instruction-tuned model's tokenizer, or a template with chat: false",
        ) from error
    except TemplateError as error:  # the template's own refusal, such as of a system turn
        raise BadInput(
            f"the tokenizer's chat template refuses the conversation: {error}.",
            fix="use a prompt template without the turns it cannot take",
        ) from error


def _check_turn_end(tokenizer: Tokenizer, tail: str) -> None:
    """A judge trained to end with another token than its chat template's would never stop."""
    if not tail.strip():
        return
    first = tokenizer([tail], add_special_tokens=False)["input_ids"][0][0]
    if first != tokenizer.eos_token_id:
        raise BadInput(
            f"the chat template ends an answer with {tail[:40]!r}, which does not begin with "
            "the tokenizer's EOS token.",
            fix='set "eos_token" in tokenizer_config.json to the token that ends a turn',
        )


_MARK = re.compile("\ue000(" + "|".join(SLOTS) + ")\ue001")
