"""Which two tokens mean Yes and No where the verdict stands?"""

from __future__ import annotations

from dataclasses import dataclass

from rprm.engines.base import VerdictFormat
from rprm.engines.tokenizers import Tokenizer
from rprm.errors import BadInput


@dataclass(frozen=True, kw_only=True, slots=True)
class VerdictTokens:
    yes: int
    no: int


def verdict_token_ids(tokenizer: Tokenizer, fmt: VerdictFormat) -> VerdictTokens:
    """Tokenize the verdict words in their context, after prefix and marker.

    Raises BadInput unless each word is exactly one token there, and not the same one.
    """
    yes, no = (_single(tokenizer, fmt, word) for word in (fmt.yes, fmt.no))
    if yes == no:
        raise BadInput(
            f"The verdict words {fmt.yes!r} and {fmt.no!r} are the same token {yes}.",
            fix="use two words that the tokenizer tells apart.",
        )
    return VerdictTokens(yes=yes, no=no)


def _single(tokenizer: Tokenizer, fmt: VerdictFormat, word: str) -> int:
    context = fmt.prefix + fmt.marker
    before = _encode(tokenizer, context)
    after = _encode(tokenizer, context + word)
    added = after[len(before) :]
    if after[: len(before)] != before or len(added) != 1:
        tokens = tokenizer.convert_ids_to_tokens(after[-4:])
        raise BadInput(
            f"The verdict word {word!r} is not exactly one token after {context!r}: the text"
            f" ends in the tokens {tokens}.",
            fix="choose verdict words (with their leading space) that are single tokens.",
        )
    if added[0] == tokenizer.unk_token_id:
        raise BadInput(
            f"The verdict word {word!r} is not in the tokenizer's vocabulary.",
            fix="use the words the model was trained on, or add them to the tokenizer.",
        )
    return added[0]


def _encode(tokenizer: Tokenizer, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False))
