"""RLHFlow's PRMs: which tokens do they read, and where are their scores?

Models    RLHFlow/Llama3.1-8B-PRM-Mistral-Data and …-Deepseek-Data, Llama 3.1 causal models
Input     a chat: the user says a step, the assistant says "+"; the first turn also holds the
          problem, two newlines before the step in ProcessBench's script (RLHFlow's own Best-of-N
          script writes a space: option `joint`)
Score     softmax over the words + and - at the token before each of the assistant's "+": P(+)
Label     right where P(+) > 0.5

The published scripts ask turn by turn; a causal model gives all turns in one pass.  The history
always says "+", whatever the score.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rprm.engines.base import Refused
from rprm.engines.tokenizers import Tokenizer
from rprm.peers.base import TAG_LOST, LaidOut, PeerOptions
from rprm.peers.batched import BatchedScorer
from rprm.peers.causal import load_causal
from rprm.peers.loading import require_weights
from rprm.peers.tagging import chat_tokenizer, encode, fill, marker_for, one_token, render
from rprm.schema import Solution

GOOD, BAD = "+", "-"
JOINT = "\n\n"
DATE = "26 Jul 2024"
"""What Llama 3.1's template says where none is given; later ones would say today's date."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RlhflowLayout:
    tokenizer: Tokenizer
    good: int
    joint: str = JOINT

    def __call__(self, solution: Solution) -> LaidOut | Refused:
        steps = solution.steps
        said = [f"{solution.problem}{self.joint}{steps[0]}", *steps[1:]] if steps else []
        marker = marker_for(said)
        messages = [
            {"role": role, "content": content}
            for step in said
            for role, content in (("user", step), ("assistant", marker))
        ]
        rendered = render(self.tokenizer, messages, date_string=DATE) if messages else ""
        text, ends_S = fill(rendered, marker=marker, tag=GOOD, count=len(steps))
        tokens_T, found_S = encode(self.tokenizer, text, ends_S, special=False)
        before_S = [t - 1 for t in found_S if t is not None and tokens_T[t] == self.good]
        if len(before_S) < len(steps):
            lost = f"{len(steps) - len(before_S)} of {len(steps)} turns"
            return Refused(id=solution.id, cause=TAG_LOST, detail=f"{lost} are no token {GOOD!r}")
        return LaidOut(id=solution.id, tokens_T=tokens_T, positions_S=tuple(before_S))


def load(folder: Path, name: str, options: PeerOptions) -> BatchedScorer:
    require_weights(folder)
    tokenizer = chat_tokenizer(folder)
    good, bad = (one_token(tokenizer, word, where=str(folder)) for word in (GOOD, BAD))
    joint = JOINT if options.joint is None else options.joint
    layout = RlhflowLayout(tokenizer=tokenizer, good=good, joint=joint)
    network = load_causal(folder, good=good, bad=bad, options=options)
    return BatchedScorer(name, layout, network, options)
