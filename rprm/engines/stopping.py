"""Where does a text first contain a string, and after which token was it complete?

Looking at the text after every token would cost more than a tiny model's forward pass.  A mask
over the vocabulary says which tokens can complete a string at all; only those are looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rprm.engines.tokenizers import Tokenizer, decode

REPLACEMENT = "\ufffd"
"""What a token that holds only part of a character decodes to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The first occurrence of a string in a sampled text."""

    num_tokens: int
    """The string is complete after this many tokens, and not before."""
    end: int
    """Characters of the text up to and including the string."""
    flush: bool
    """The last of those tokens ends where the string ends."""


def token_texts(tokenizer: Tokenizer, size: int) -> list[str]:
    """Every token decoded alone; ids beyond the tokenizer decode to nothing."""
    known = min(size, len(tokenizer))
    texts = [decode(tokenizer, [token]) for token in range(known)]
    return texts + [""] * (size - known)


def ending_mask(texts_V: Sequence[str], strings: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which tokens can complete one of `strings`?  Errs on the side of yes.

    A token alone may decode to nothing or to a replacement character (part of a character, a
    special token), and decoders may put or drop a space before a token; those are all kept.
    """
    mask_V = np.zeros(len(texts_V), dtype=np.bool_)
    for string in strings:
        last = string[-1]
        for token, text in enumerate(texts_V):
            if last == " " or not text or last in text or REPLACEMENT in text:
                mask_V[token] = True
    return mask_V


def first_of(tokenizer: Tokenizer, token_ids: Sequence[int], strings: Sequence[str]) -> int | None:
    """End of whichever string is complete first in the whole text, in characters."""
    text = decode(tokenizer, list(token_ids))
    ends = [text.index(string) + len(string) for string in strings if string in text]
    return min(ends, default=None)


def tail_contains(tokenizer: Tokenizer, token_ids: Sequence[int], strings: Sequence[str]) -> bool:
    """Does one of `strings` end in the last token?  Decodes only as much as it needs.

    The first token of a cut text may decode differently, so two spare tokens are taken.
    """
    longest = max(len(string) for string in strings)
    width = 8
    while True:
        tail = decode(tokenizer, list(token_ids[-width:]))
        spare = decode(tokenizer, list(token_ids[-width : -width + 2])) if width > 2 else ""
        if any(string in tail for string in strings):
            return True
        if width >= len(token_ids) or len(tail) - len(spare) > longest + len(spare) + 1:
            return False
        width *= 2


def find_first(
    tokenizer: Tokenizer,
    token_ids: Sequence[int],
    string: str,
    mask_V: npt.NDArray[np.bool_],
) -> Found | None:
    """Find the first occurrence by bisection over the tokens that can complete the string."""
    ids = list(token_ids)
    if string not in decode(tokenizer, ids):
        return None
    places = [place for place in range(len(ids)) if mask_V[ids[place]]]
    low, high = 0, len(places) - 1
    while low < high:
        middle = (low + high) // 2
        if string in decode(tokenizer, ids[: places[middle] + 1]):
            high = middle
        else:
            low = middle + 1
    text = decode(tokenizer, ids[: places[low] + 1])
    end = text.index(string) + len(string)
    return Found(num_tokens=places[low] + 1, end=end, flush=end == len(text))
