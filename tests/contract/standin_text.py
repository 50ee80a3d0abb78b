"""What does the stand-in for vLLM write?  A language model that is a table of a few rules.

The next token depends on what stands before it, and on nothing else, so that a logprob is the same
whether it is read while a text is written or by a later request that continues the text.  Most of
it is babble of the small world's words; now and then it comes to "correct ?", says yes or no with
a belief that depends on the whole text so far, and ends.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from rprm.data.chain_tokenizer import EOS, PAD, UNKNOWN, VOCABULARY

SPECIAL: Final = frozenset({PAD, EOS, UNKNOWN})
BELIEFS: Final = 32
"""So many different beliefs are there."""
_ID: Final = {word: number for number, word in enumerate(VOCABULARY)}
EOS_ID: Final = _ID[EOS]
_ASK, _MARK, _YES, _NO = (_ID[word] for word in ("correct", "?", "yes", "no"))
_SAID: Final = [number for word, number in _ID.items() if word not in SPECIAL][:35]
_WORD: Final = re.compile(r"#\d|[a-z]+|[^\sa-z]")
_LOW: Final = -20.0

State = tuple[str, int]
"""A row of the table."""
Script = Callable[[Sequence[int], int], Sequence[int]]
"""The token ids, EOS and all, that a prompt and a seed are answered with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawing:
    """How one sample is drawn; as vLLM's parameters of the same names."""

    seed: int
    temperature: float
    top_p: float
    max_tokens: int
    stop: tuple[str, ...] = ()
    include_stop: bool = False
    stop_token_ids: frozenset[int] = frozenset()
    ignore_eos: bool = False
    bias: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    token_ids: tuple[int, ...]
    text: str
    finish: Literal["stop", "length"]
    stop_reason: str | int | None = None
    """The string or token that ended it; None for EOS."""


def words(token_ids: Sequence[int]) -> list[str]:
    return [VOCABULARY[number] for number in token_ids]


def encode(text: str) -> list[int]:
    return [_ID.get(word, _ID[UNKNOWN]) for word in _WORD.findall(text)]


class Babble:
    """The model; its rows are made when they are first needed."""

    def __init__(self, script: Script | None = None) -> None:
        self._script = script
        self._logprobs: dict[State, list[float]] = {}
        self._cumulative: dict[tuple[State, float, float], list[float]] = {}

    def logprobs(self, context: Sequence[int]) -> list[float]:
        """Of every token to come next, at temperature 1 and without top_p."""
        return self._row(_state(context))

    def write(self, prompt: Sequence[int], how: Drawing) -> Written:
        """Depends on the prompt and on `how` alone."""
        scripted = None if self._script is None else self._script(prompt, how.seed)
        uniforms = _uniforms(how.seed, how.max_tokens)
        context = list(prompt)
        text = ""
        for place in range(how.max_tokens):
            if scripted is not None:
                token = scripted[place] if place < len(scripted) else EOS_ID
            else:
                token = self._draw(_state(context), how, uniforms[place])
            context.append(token)
            written = tuple(context[len(prompt) :])
            if token == EOS_ID and not how.ignore_eos:
                return Written(token_ids=written, text=text, finish="stop")
            text += _spaced(token)
            if token in how.stop_token_ids:
                kept = text if how.include_stop else text[: len(text) - len(_spaced(token))]
                return Written(token_ids=written, text=kept, finish="stop", stop_reason=token)
            if (found := _first_stop(text, how)) is not None:
                end = text.index(found) + (len(found) if how.include_stop else 0)
                return Written(token_ids=written, text=text[:end], finish="stop", stop_reason=found)
        return Written(token_ids=tuple(context[len(prompt) :]), text=text, finish="length")

    def _draw(self, state: State, how: Drawing, uniform: float) -> int:
        row = self._row(state)
        if how.bias:
            row = [value + how.bias.get(token, 0.0) for token, value in enumerate(row)]
            return bisect_right(_cumulative(row, how.temperature or 0.01, how.top_p), uniform)
        if how.temperature == 0:
            return row.index(max(row))
        place = (state, how.temperature, how.top_p)
        if place not in self._cumulative:
            self._cumulative[place] = _cumulative(row, how.temperature, how.top_p)
        return bisect_right(self._cumulative[place], uniform)

    def _row(self, state: State) -> list[float]:
        if state not in self._logprobs:
            self._logprobs[state] = _normalised(_logits(state))
        return self._logprobs[state]


def _state(context: Sequence[int]) -> State:
    last = context[-1] if context else 0
    if last == _ASK:
        return "mark", 0
    if last == _MARK and len(context) > 1 and context[-2] == _ASK:
        return "verdict", hash(tuple(context)) % BELIEFS
    if last in (_YES, _NO):
        return "end", 0
    return "word", last


def _logits(state: State) -> list[float]:
    kind, number = state
    row = [_LOW] * len(VOCABULARY)
    if kind == "mark":
        row[_MARK] = 0.0
    elif kind == "end":
        row[EOS_ID] = 0.0
    elif kind == "verdict":
        row[_YES] = 6 * (number + 0.5) / BELIEFS - 3
        row[_NO] = 0.0
    else:
        random = np.random.Generator(np.random.Philox(key=number + 1)).normal(size=len(_SAID))
        for token, logit in zip(_SAID, random, strict=True):
            row[token] = float(logit)
        row[_ASK] = 1.5  # about one word in twelve
    return row


def _normalised(logits: Sequence[float]) -> list[float]:
    total = math.log(math.fsum(math.exp(logit) for logit in logits))
    return [logit - total for logit in logits]


def _cumulative(logprobs: Sequence[float], temperature: float, top_p: float) -> list[float]:
    weights = np.exp(np.array(logprobs) / temperature)
    weights /= weights.sum()
    order = np.argsort(-weights, kind="stable")
    before = np.cumsum(weights[order]) - weights[order]
    weights[order[(before >= top_p) & (before > 0)]] = 0.0
    sums = np.cumsum(weights / weights.sum())
    sums[np.flatnonzero(weights)[-1] :] = 1.0  # rounding must not reach beyond the last one
    return [float(value) for value in sums]


def _uniforms(seed: int, count: int) -> list[float]:
    bits = np.random.Philox(key=seed & (2**64 - 1))
    return [float(value) for value in np.random.Generator(bits).random(count)]


def _spaced(token: int) -> str:
    """Text goes on after the prompt, so even its first word has a space before it."""
    word = VOCABULARY[token]
    return "" if word in SPECIAL else f" {word}"


def _first_stop(text: str, how: Drawing) -> str | None:
    return next((stop for stop in how.stop if stop in text), None)
