"""Which tokenizer reads any text without a download?  One token per byte, id = byte value.

A real `tokenizers` model: 256 bytes, <eos> and <pad>, no BOS, no merges, no normalisation.
Every text comes back unchanged, also one that spells "<eos>".
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

EOS, PAD = "<eos>", "<pad>"
NUM_BYTES = 256
VOCAB_SIZE = NUM_BYTES + 2

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
"""So that the paper's prompt, which is a chat, can be rendered without a chat model."""


def build_byte_tokenizer() -> Any:
    """A transformers PreTrainedTokenizerFast."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE(vocab=byte_vocabulary(), merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(EOS, special=True), AddedToken(PAD, special=True)])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token=EOS,
        pad_token=PAD,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        split_special_tokens=True,  # data that spells "<eos>" is text, not the end of it
    )


def save_byte_tokenizer(folder: Path) -> None:
    """Write tokenizer.json and tokenizer_config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    build_byte_tokenizer().save_pretrained(str(folder))


def byte_vocabulary() -> dict[str, int]:
    """GPT-2's printable stand-in of each byte: itself if printable, else the next from U+0100."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(NUM_BYTES) if byte not in printable]
    signs = {byte: chr(byte) for byte in printable}
    signs |= {byte: chr(NUM_BYTES + place) for place, byte in enumerate(others)}
    return {signs[byte]: byte for byte in range(NUM_BYTES)}
