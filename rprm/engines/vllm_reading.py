"""What did a server's token ids say: which text, why did it end, and where is the verdict?

Texts are decoded here, by the tokenizer that made the prompts: a server may have read another class
of tokenizer from the same folder.  Stop strings are looked for again for the same reason; what a
server wrote after one is cut off, so that samples are those of the engine in process.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rprm.engines.base import Sample, SamplingParams
from rprm.engines.stopping import Found
from rprm.engines.tokenizers import Tokenizer, decode
from rprm.engines.vllm_protocol import Drawn

Decode = Callable[[Sequence[int]], str]
_SPARE = 2
"""Tokens at the start of a cut text that may decode differently there."""
_FIRST_WINDOW = 32


class StoppedTooSoon(Exception):
    """The server ended a text that has no stop string: its tokenizer is another one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unread:
    """A belief that has to be asked for: the token ids after the prompt, up to the verdict."""

    ids_T: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reader:
    """Reads the samples of one model."""

    tokenizer: Tokenizer
    decode: Decode
    eos: frozenset[int]

    def sample(self, drawn: Drawn, params: SamplingParams) -> tuple[Sample, Unread | None]:
        """The sample, and what is still to be asked for its belief.  Raises StoppedTooSoon."""
        ids, text = drawn.token_ids, self.decode(drawn.token_ids)
        stop = self._stop(ids, text, params.stop)
        if stop is not None:
            sample = Sample(text=text[: stop.end], token_ids=ids[: stop.num_tokens], finish="stop")
        elif ids[-1] in self.eos:
            sample = Sample(text=text, token_ids=ids, finish="eos")
        elif drawn.cut:
            sample = Sample(text=text, token_ids=ids, finish="length")
        else:
            raise StoppedTooSoon(text[-80:])
        return self._with_belief(sample, drawn, params)

    def _stop(self, ids: Sequence[int], text: str, stops: Sequence[str]) -> Found | None:
        """Of whichever stop string is complete first."""
        found = [self.locate(ids, text, stop) for stop in stops if stop in text]
        return min(
            (one for one in found if one is not None),
            key=lambda one: (one.num_tokens, one.end),
            default=None,
        )

    def _with_belief(
        self, sample: Sample, drawn: Drawn, params: SamplingParams
    ) -> tuple[Sample, Unread | None]:
        verdict, ids = params.verdict, sample.token_ids
        if verdict is None or verdict.marker not in sample.text:
            return sample, None
        found = self.locate(ids, sample.text, verdict.marker)
        if found is None:
            return sample, None
        if not found.flush:
            # Inside a token there is no sampled position to read: cut, and tokenize anew.
            text = sample.text[: found.end]
            cut = tuple(self.tokenizer.encode(text, add_special_tokens=False))
            return sample, Unread(ids_T=cut)
        if drawn.beliefs is not None and found.num_tokens < len(drawn.token_ids):
            return _believing(sample, drawn.beliefs[found.num_tokens]), None
        return sample, Unread(ids_T=tuple(ids[: found.num_tokens]))

    def locate(self, ids: Sequence[int], text: str, string: str) -> Found | None:
        """The first occurrence of `string` in the text of `ids`, and its last token.

        It is mostly near the end, where decoding a short tail is enough to find it."""
        if string not in text:
            return None
        start, width = 0, _FIRST_WINDOW
        if text.find(string) == text.rfind(string):
            while width < len(ids):
                if self._holds(ids[-width:], string):
                    start = len(ids) - width
                    break
                width *= 4
        tail = ids[start:]
        count = _first(lambda n: string in self.decode(tail[:n]), len(tail))
        written = self.decode(tail[:count])
        return Found(
            num_tokens=start + count,
            end=text.index(string) + len(string),
            flush=written.index(string) + len(string) == len(written),
        )

    def _holds(self, tail: Sequence[int], string: str) -> bool:
        """Whole, and not in the tokens that a cut may change?"""
        return self.decode(tail).find(string) >= len(self.decode(tail[:_SPARE])) + 1


def reader_of(tokenizer: Tokenizer, folder: Path | str | None) -> Reader:
    """With the EOS of the tokenizer and those that the model's folder declares."""
    eos = {tokenizer.eos_token_id} | (set() if folder is None else _declared_eos(Path(folder)))
    return Reader(tokenizer=tokenizer, decode=_decoder(tokenizer), eos=frozenset(eos))


def _decoder(tokenizer: Tokenizer) -> Decode:
    """`decode` without its detour through tensors, where the tokenizer is a fast one."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return lambda ids: decode(tokenizer, list(ids))
    return lambda ids: str(backend.decode(list(ids), skip_special_tokens=True))


def _declared_eos(folder: Path) -> set[int]:
    for name in ("generation_config.json", "config.json"):
        path = folder / name
        if path.is_file():
            declared = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id")
            if declared is not None:
                return set(declared) if isinstance(declared, list) else {declared}
    return set()


def _first(holds: Callable[[int], bool], most: int) -> int:
    """The smallest n in 1..most for which it holds, found from the end; it holds for `most`."""
    low, high, step = 0, most, 1
    while high - step > 0:
        if not holds(high - step):
            low = high - step
            break
        high -= step
        step *= 2
    while high - low > 1:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle
    return high


def _believing(sample: Sample, p_yes: float | None) -> Sample:
    return Sample(text=sample.text, token_ids=sample.token_ids, finish=sample.finish, p_yes=p_yes)
