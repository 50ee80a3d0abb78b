"""At which token does each step's tag stand, when the whole text is tokenised at once?

Published scripts look for the tag's id anywhere, so a step that quotes the tag gets scores of its
own.  Here a tag counts where we wrote it: its place in the text is known, and the tokenizer says
which token covers it.

Axes: S steps, T tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from rprm.engines.tokenizers import Tokenizer, load_tokenizer
from rprm.errors import BadInput

Message = Mapping[str, str]


def marker_for(texts: Iterable[str]) -> str:
    """Stands for the tag while a chat template runs: private characters no text contains."""
    joined = "\n".join(texts)
    number = 0
    while f"\ue000{number}\ue001" in joined:
        number += 1
    return f"\ue000{number}\ue001"


def render(tokenizer: Tokenizer, messages: Sequence[Message], **values: str) -> str:
    """`values` are what the template reads beside the messages."""
    turns = [dict(one) for one in messages]
    text: str = tokenizer.apply_chat_template(turns, tokenize=False, **values)
    return text


def fill(rendered: str, *, marker: str, tag: str, count: int) -> tuple[str, list[int]]:
    """Put the tags in; the text, and the offset at which each tag ends."""
    pieces = rendered.split(marker)
    if len(pieces) != count + 1:
        raise BadInput(
            f"The chat template shows {len(pieces) - 1} of {count} step tags.",
            fix="use the tokenizer that comes with the model.",
        )
    ends_S = list(accumulate(len(piece) + len(tag) for piece in pieces[:-1]))
    return tag.join(pieces), ends_S


def encode(
    tokenizer: Tokenizer, text: str, ends_S: Sequence[int], *, special: bool
) -> tuple[tuple[int, ...], list[int | None]]:
    """Token ids, and for each offset the last token that ends there.

    `special` lets the tokenizer add its BOS, where the text does not hold it already.
    """
    encoded: Any = tokenizer(
        text, add_special_tokens=special, return_offsets_mapping=True, verbose=False
    )
    by_end = {end: t for t, (start, end) in enumerate(encoded["offset_mapping"]) if start < end}
    return tuple(encoded["input_ids"]), [by_end.get(end) for end in ends_S]


def require_fast(tokenizer: Tokenizer, *, where: str) -> None:
    if not getattr(tokenizer, "is_fast", False):
        raise BadInput(
            f"The tokenizer in {where} does not say which characters a token covers.",
            fix="save it once more as a fast tokenizer, with a tokenizer.json.",
        )


def chat_tokenizer(folder: Path) -> Tokenizer:
    """One that has a chat template, and says where its tokens stand."""
    tokenizer = load_tokenizer(folder)
    require_fast(tokenizer, where=str(folder))
    if not tokenizer.chat_template:
        raise BadInput(
            f"The tokenizer in {folder} has no chat template.",
            fix="use the one that comes with the model (chat_template.jinja, or in its config).",
        )
    return tokenizer


def one_token(tokenizer: Tokenizer, text: str, *, where: str) -> int:
    """The id of a text that must be a single token; special tokens aside."""
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
    if len(ids) != 1:
        raise BadInput(
            f"The tokenizer in {where} splits {text!r} into {len(ids)} tokens.",
            fix="use the tokenizer that comes with the model.",
        )
    return ids[0]
