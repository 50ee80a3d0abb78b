"""What is a critic told, word for word?  Conversations kept as data, each with its hash."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib import resources
from typing import Literal

import yaml

from rprm.engines.chat import Message

PromptName = Literal["processbench_critique", "prmbench_judge"]
_SLOT = re.compile(r"{(problem|solution)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class CriticPrompt:
    name: str
    turns: tuple[Message, ...]
    sha256: str
    """Of the file's bytes; part of every artifact that depends on the prompt."""

    def messages(self, *, problem: str, solution: str) -> tuple[Message, ...]:
        """Both go into the last turn; what looks like a slot in them is left as it is."""
        values = {"problem": problem, "solution": solution}
        *before, last = self.turns
        text = _SLOT.sub(lambda slot: values[slot[1]], last.text)
        return (*before, Message(role=last.role, text=text))


def load_prompt(name: PromptName) -> CriticPrompt:
    data = (resources.files("rprm.peers") / "prompts" / f"{name}.yaml").read_bytes()
    turns = yaml.safe_load(data)["turns"]
    return CriticPrompt(
        name=name,
        turns=tuple(Message(role=turn["role"], text=turn["text"]) for turn in turns),
        sha256=hashlib.sha256(data).hexdigest(),
    )
