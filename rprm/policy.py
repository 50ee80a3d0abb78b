"""Who writes solutions, step by step, and how is its text read?

A policy is a causal language model; a format says which token ids it continues and what its text
means.  There are two:

chain   the small world's, with its working in columns; see chain_policy
chat    instruction-tuned models: their chat template, steps parted by blank lines; see chat_policy

Steps are put behind the question one after the other, each with what parts it from the next, so all
candidates of a step share their whole prompt, and the prompts of a solution share a growing prefix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, Protocol

from rprm.engines.base import Sample
from rprm.errors import BadInput
from rprm.prompting import Tokenizer

FormatName = Literal["chain", "chat"]
SYSTEM_PROMPT: Final = "Please reason step by step, and put your final answer within \\boxed{}."
"""What a chat policy is told first, unless a campaign says otherwise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """One candidate for the next step."""

    text: str
    """As judges read it, without what parts it from the next step."""
    finished: bool
    """The solution ends with this step."""
    num_tokens: int


class Written(NamedTuple):
    """A whole solution as its policy wrote it."""

    steps: tuple[str, ...]
    """At least one."""
    answer: str | None
    """None where the text gives no final answer."""


class PolicyFormat(Protocol):
    @property
    def name(self) -> FormatName: ...

    @property
    def stop(self) -> tuple[str, ...]:
        """A step ends once its text contains one of these, or with the end-of-text token.

        Whole solutions are sampled without stop strings."""
        ...

    def prompt(self, problem: str, steps: Sequence[str]) -> tuple[int, ...]:
        """Token ids to continue after these steps."""
        ...

    def completion(self, steps: Sequence[str]) -> tuple[int, ...]:
        """What training learns to write after `prompt(problem, ())`; ends with end-of-text."""
        ...

    def read_step(self, sample: Sample) -> Proposal | None:
        """A sample drawn with `stop`.  None: cut off, empty, or not the text of a step."""
        ...

    def read_solution(self, sample: Sample) -> Written | None:
        """A sample drawn without stop strings.  None: cut off, or a part is no step."""
        ...

    def split(self, text: str) -> tuple[str, ...]:
        """The parts of any text that would be steps; () where it is blank."""
        ...

    def answer(self, steps: Sequence[str]) -> str | None:
        """The final answer of a finished solution."""
        ...


def make_policy_format(
    name: FormatName, tokenizer: Tokenizer, *, system: str | None = SYSTEM_PROMPT
) -> PolicyFormat:
    """`system` is the chat policy's system turn; None leaves it out."""
    if name == "chain":
        from rprm.chain_policy import ChainFormat

        return ChainFormat(tokenizer)
    if name == "chat":
        from rprm.chat_policy import ChatFormat

        return ChatFormat(tokenizer, system=system)
    raise BadInput(f"no policy format is called {name!r}.", fix='use "chain" or "chat"')


def end_of_text(tokenizer: Tokenizer) -> int:
    if tokenizer.eos_token_id is None:
        raise BadInput(
            "the tokenizer has no EOS token, so a policy could not end its solution.",
            fix='set "eos_token" in tokenizer_config.json to the token that ends an answer',
        )
    return tokenizer.eos_token_id
