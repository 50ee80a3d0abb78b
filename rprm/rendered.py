"""What exactly does a judge read for each step?  For people who look for a fault in a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rprm.engines.tokenizers import Tokenizer
from rprm.prompting import Renderer, Template, messages, render_text
from rprm.schema import Case


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendered:
    case: Case
    text: str
    token_ids: tuple[int, ...] | None
    """None without a tokenizer."""


def rendered(
    cases: Sequence[Case], template: Template, renderer: Renderer | None
) -> list[Rendered]:
    """Without a renderer a chat is shown turn by turn, because only a tokenizer has its marks."""
    if renderer is None:
        return [Rendered(case=case, text=_turns(template, case), token_ids=None) for case in cases]
    found = []
    for case, ids in zip(cases, renderer.prompts(cases), strict=True):
        text = _decoded(renderer.tokenizer, ids) if template.chat else render_text(template, case)
        found.append(Rendered(case=case, text=text, token_ids=ids))
    return found


def _turns(template: Template, case: Case) -> str:
    if not template.chat:
        return render_text(template, case)
    return "\n\n".join(f"[{turn['role']}]\n{turn['content']}" for turn in messages(template, case))


def _decoded(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    """The chat template's marks are tokens, so the ids are what says which text was read."""
    text: Any = tokenizer.decode(
        list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
    )
    return str(text)


def as_dict(one: Rendered) -> dict[str, Any]:
    return {
        "id": one.case.id,
        "step": one.case.step,
        "text": one.text,
        "num_tokens": None if one.token_ids is None else len(one.token_ids),
        "token_ids": one.token_ids,
    }
