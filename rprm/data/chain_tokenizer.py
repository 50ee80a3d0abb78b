"""How is the text of the small world cut into tokens?  Words, signs and single digits.

Digits are tokens of their own, and so are the numbers of steps (`#2`): a model that sees whole
numbers learns to copy the claimed one and to call it right.  Analyses are written with one space
between tokens, so decoding an encoded analysis gives the same text; in problems and steps `345`
becomes `3 4 5`.
"""

from __future__ import annotations

from typing import Any, Final

PAD: Final = "<pad>"
EOS: Final = "<eos>"
UNKNOWN: Final = "<unk>"
VOCABULARY: Final = (
    *(PAD, EOS, UNKNOWN),
    *"0123456789",
    *("+", "-", "=", ":", "?", "."),
    *("#1", "#2", "#3", "#4"),
    *("question", "previous", "now", "none", "check", "judge", "columns"),
    *("value", "term", "units", "tens", "hundreds", "carry", "ok", "bad"),
    *("correct", "yes", "no"),
    *("solve", "step", "so", "far", "answer"),  # for a policy that writes solutions
)


def chain_tokenizer() -> Any:
    """A PreTrainedTokenizerFast with an EOS, a padding token and no BOS."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {word: number for number, word in enumerate(VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Split(Regex(r"#\d|[^a-z]"), behavior="isolated"),
        ]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=EOS,
        pad_token=PAD,
        unk_token=UNKNOWN,
        clean_up_tokenization_spaces=False,
    )
