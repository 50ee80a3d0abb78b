"""Which token ids is the model trained on, and would any of them be cut or ill-formed?

Ids come from the renderer that also makes the prompts of sampling and evaluation; nothing here
tokenises.  T tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rprm.errors import BadInput, TruncationError

NUM_SHOWN = 5
"""Ids named in a message; the count says how many there are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One prompt and the critique to learn."""

    id: str
    prompt_T: tuple[int, ...]
    completion_T: tuple[int, ...]
    """Ends with the end-of-text token, or the model never learns to stop."""

    @property
    def num_tokens(self) -> int:
        return len(self.prompt_T) + len(self.completion_T)

    @property
    def completions(self) -> tuple[tuple[int, ...], ...]:
        return (self.completion_T,)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """One prompt with a critique that agrees with the label and one that does not."""

    id: str
    prompt_T: tuple[int, ...]
    chosen_T: tuple[int, ...]
    rejected_T: tuple[int, ...]

    @property
    def num_tokens(self) -> int:
        """Of the longer of its two sequences."""
        return len(self.prompt_T) + max(len(self.chosen_T), len(self.rejected_T))

    @property
    def completions(self) -> tuple[tuple[int, ...], ...]:
        return (self.chosen_T, self.rejected_T)


Trainable = Example | Pair


Kind = TypeVar("Kind", Example, Pair)


def short_first(examples: Sequence[Kind]) -> list[Kind]:
    """Evaluation may go by length: batches then need little padding."""
    return sorted(examples, key=lambda example: (example.num_tokens, example.id))


def check_lengths(examples: Sequence[Trainable], max_length: int) -> None:
    """Raise TruncationError if any example is longer than `max_length`."""
    too_long = sorted(
        (e for e in examples if e.num_tokens > max_length), key=lambda e: (-e.num_tokens, e.id)
    )
    if not too_long:
        return
    worst = ", ".join(f"{e.id} ({e.num_tokens} tokens)" for e in too_long[:NUM_SHOWN])
    raise TruncationError(
        f"{len(too_long)} of {len(examples)} examples are longer than max_length={max_length}, so "
        f"their verdicts would be cut off. The longest: {worst}.",
        fix=f"set max_length to at least {too_long[0].num_tokens}, or drop these examples.",
    )


def check_tokens(examples: Sequence[Trainable], *, eos_id: int, vocab_size: int) -> None:
    """Raise BadInput for empty prompts or completions, a missing end token or foreign ids."""
    complaints = [
        f"{example.id}: {complaint}"
        for example in examples
        for complaint in _complaints(example, eos_id=eos_id, vocab_size=vocab_size)
    ]
    if complaints:
        shown = "; ".join(complaints[:NUM_SHOWN])
        raise BadInput(
            f"{len(complaints)} problems in {len(examples)} training examples: {shown}.",
            fix="render the examples with the tokenizer of the model that is trained.",
        )


def _complaints(example: Trainable, *, eos_id: int, vocab_size: int) -> Iterator[str]:
    if not example.prompt_T:
        yield "empty prompt"
    for completion_T in example.completions:
        if not completion_T:
            yield "empty completion"
        elif completion_T[-1] != eos_id:
            yield f"completion ends with token {completion_T[-1]}, not end-of-text ({eos_id})"
    ids = {*example.prompt_T, *(i for completion_T in example.completions for i in completion_T)}
    foreign = sorted(i for i in ids if not 0 <= i < vocab_size)
    if foreign:
        yield f"token {foreign[0]} is not in the model's vocabulary of {vocab_size}"
