"""Math-Shepherd: which tokens does it read, and where are its scores?

Model     peiyi9979/math-shepherd-mistral-7b-prm, a causal language model
Input     "{problem} Step 1: {step} ки\nStep 2: {step} ки\n…" as plain text, one BOS in front
Score     softmax over the words + and - (ids 648 and 387) at each tag (id 12902): P(+)
Label     right where P(+) > 0.5

A step keeps a "Step i:" of its own.  White space around a step goes: two spaces before the tag
would be one token, and the tag another than the model was taught.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from rprm.engines.base import Refused
from rprm.engines.tokenizers import Tokenizer, load_tokenizer
from rprm.errors import BadInput
from rprm.peers.base import TAG_LOST, LaidOut, PeerOptions
from rprm.peers.batched import BatchedScorer
from rprm.peers.causal import load_causal
from rprm.peers.loading import require_weights
from rprm.peers.tagging import encode, require_fast
from rprm.schema import Solution

GOOD, BAD, TAG = "+", "-", "ки"
SPACE = "▁"
"""How the vocabulary writes a space."""

NUMBERED = re.compile(r"Step \d+\s*:")


@dataclass(frozen=True, kw_only=True, slots=True)
class MathShepherdLayout:
    tokenizer: Tokenizer
    tag: int

    def __call__(self, solution: Solution) -> LaidOut | Refused:
        text, ends_S = write(solution)
        tokens_T, found_S = encode(self.tokenizer, text, ends_S, special=True)
        positions_S = [t for t in found_S if t is not None and tokens_T[t] == self.tag]
        if len(positions_S) < len(solution.steps):
            lost = f"{len(solution.steps) - len(positions_S)} of {len(solution.steps)} tags"
            return Refused(id=solution.id, cause=TAG_LOST, detail=f"{lost} are no token {TAG!r}")
        return LaidOut(id=solution.id, tokens_T=tokens_T, positions_S=tuple(positions_S))


def write(solution: Solution) -> tuple[str, list[int]]:
    """The text, and where each of our tags ends in it."""
    text, ends_S = f"{solution.problem} ", list[int]()
    for number, step in enumerate(map(str.strip, solution.steps), start=1):
        named = step if NUMBERED.match(step) else f"Step {number}: {step}"
        text += f"{named.rstrip()} {TAG}"
        ends_S.append(len(text))
        text += "\n"
    return text, ends_S


def words_of(tokenizer: Tokenizer, *, where: str) -> tuple[int, int, int]:
    """Ids of good, bad and the tag, found as the model card finds them and then checked.

    All three begin with a space for the model.  A tokenizer that puts none in front of a text
    would give other ids, which exist too, and scores that mean nothing.
    """
    after_bos: list[int] = tokenizer.encode(f"{GOOD} {BAD}")[1:]
    tag: int = tokenizer.encode(TAG)[-1]
    ids = [*after_bos, tag]
    texts = [str(one) for one in tokenizer.convert_ids_to_tokens(ids)]
    if texts != [SPACE + GOOD, SPACE + BAD, SPACE + TAG]:
        raise BadInput(
            f"The tokenizer in {where} reads {GOOD!r}, {BAD!r} and {TAG!r} as {texts}.",
            fix="use the tokenizer that comes with the model; it puts a BOS and a space in front.",
        )
    return ids[0], ids[1], tag


def tokenizer_of(folder: Path) -> Tokenizer:
    """The published folder holds tokenizer.model alone.

    It is read as Llama's, whatever the configuration calls the model: for a Mistral, transformers
    would make a tokenizer that puts no space in front.
    """
    if (folder / "tokenizer.json").is_file() or not (folder / "tokenizer.model").is_file():
        return load_tokenizer(folder)
    if find_spec("sentencepiece") is None:
        raise BadInput(
            f"{folder} has its tokenizer as tokenizer.model, which needs the package sentencepiece"
            " once.",
            fix="pip install sentencepiece, or save a tokenizer.json beside it.",
        )
    from transformers import LlamaTokenizer

    return LlamaTokenizer.from_pretrained(str(folder), local_files_only=True)


def load(folder: Path, name: str, options: PeerOptions) -> BatchedScorer:
    require_weights(folder)
    tokenizer = tokenizer_of(folder)
    require_fast(tokenizer, where=str(folder))
    good, bad, tag = words_of(tokenizer, where=str(folder))
    layout = MathShepherdLayout(tokenizer=tokenizer, tag=tag)
    network = load_causal(folder, good=good, bad=bad, options=options)
    return BatchedScorer(name, layout, network, options)
