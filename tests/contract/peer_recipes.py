"""What do the published recipes give?  Straight from their sources, once more and on their own.

One solution at a time, no padding, the library's model classes, and whole passes with full heads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import (
    LlamaForCausalLM,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2Model,
    Qwen2Tokenizer,
)

from rprm.data.problem_tables import StepScores
from rprm.engines.base import Refused
from rprm.peers.base import PeerOptions
from rprm.peers.factory import make_peer
from rprm.schema import Solution

Scores = list[float]


@cache
def tokenizer_of(folder: Path) -> Any:
    declared = (folder / "tokenizer_config.json").read_text()
    is_qwen = "Qwen2Tokenizer" in declared
    return (Qwen2Tokenizer if is_qwen else PreTrainedTokenizerFast).from_pretrained(str(folder))


@cache
def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    shards = [load_file(file) for file in sorted(folder.glob("*.safetensors"))]
    return {name: tensor for shard in shards for name, tensor in shard.items()}


@cache
def loaded(model_class: Any, folder: Path) -> Any:
    return model_class.from_pretrained(folder).eval()


def recipe_math_shepherd(folder: Path, one: Solution) -> Scores:
    """The card's, cut after each tag in turn: the score of a step is that of the last token."""
    tokenizer, model = tokenizer_of(folder), loaded(MistralForCausalLM, folder)
    candidates = tokenizer.encode("+ -")[1:]
    tag = tokenizer.encode("ки")[-1]
    text, found = one.problem, []
    for number, step in enumerate(one.steps, start=1):
        step = step.strip()
        text += " " if number == 1 else "\n"
        text += step if re.match(r"Step \d+\s*:", step) else f"Step {number}: {step}"
        text += " ки"
        ids = tokenizer.encode(text)
        assert ids[-1] == tag
        logits = model(torch.tensor([ids])).logits[:, :, candidates]
        found.append(float(logits.softmax(dim=-1)[0, -1, 0]))
    return found


def recipe_skywork(folder: Path, one: Solution) -> Scores:
    tokenizer, weights = tokenizer_of(folder), weights_of(folder)
    config = Qwen2Config.from_pretrained(folder)
    model = Qwen2ForCausalLM(config).eval()
    model.load_state_dict({k: v for k, v in weights.items() if not k.startswith("v_head")})
    ids = tokenizer.encode(tokenizer.bos_token + one.problem + "\n")
    flags = [0] * len(ids)
    for step in one.steps:
        while step.endswith("\n"):
            step = step[:-1]
        piece = [*tokenizer.encode(" ".join(step.split("\n"))), tokenizer.encode("\n")[-1]]
        ids += piece
        flags += [0] * (len(piece) - 1) + [1]
    hidden = model(torch.tensor([ids]), output_hidden_states=True).hidden_states[-1][0]
    values = hidden @ weights["v_head.summary.weight"][0] + weights["v_head.summary.bias"]
    return [float(torch.sigmoid(value)) for value, flag in zip(values, flags, strict=True) if flag]


def recipe_qwen(folder: Path, one: Solution, dtype: torch.dtype = torch.float32) -> Scores:
    """The card's, one conversation per step: a step's score is that of the last <extra_0>."""
    tokenizer, weights = tokenizer_of(folder), weights_of(folder)
    model = Qwen2Model(Qwen2Config.from_pretrained(folder)).eval()
    inner = {k.removeprefix("model."): v for k, v in weights.items() if k.startswith("model.")}
    model.load_state_dict(inner)
    model = model.to(dtype)
    head = {k: v.to(dtype) for k, v in weights.items()}
    separator = tokenizer.encode("<extra_0>")[0]
    found = []
    for number in range(1, len(one.steps) + 1):
        system = "Please reason step by step, and put your final answer within \\boxed{}."
        messages = [
            {"role": "system", "content": system},
            {"role": "user", "content": one.problem},
            {"role": "assistant", "content": "<extra_0>".join(one.steps[:number]) + "<extra_0>"},
        ]
        ids = tokenizer.encode(
            tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=False)
        )
        hidden = model(torch.tensor([ids])).last_hidden_state[0]
        inner_states = torch.relu(hidden @ head["score.0.weight"].T + head["score.0.bias"])
        logits = inner_states @ head["score.2.weight"].T + head["score.2.bias"]
        last = max(place for place, token in enumerate(ids) if token == separator)
        found.append(float(logits.softmax(dim=-1)[last, 1]))
    return found


def recipe_rlhflow(folder: Path, one: Solution, joint: str = "\n\n") -> Scores:
    tokenizer, model = tokenizer_of(folder), loaded(LlamaForCausalLM, folder)
    candidates = [tokenizer.encode("+")[-1], tokenizer.encode("-")[-1]]
    conversation: list[dict[str, str]] = []
    found = []
    for number, step in enumerate(one.steps):
        content = one.problem + joint + step if number == 0 else step
        conversation.append({"content": content, "role": "user"})
        conversation.append({"content": "+", "role": "assistant"})
        text = tokenizer.apply_chat_template(conversation, tokenize=False)
        ids = tokenizer.encode(text, add_special_tokens=False)
        logits = model(torch.tensor([ids])).logits[:, -3, candidates]
        found.append(float(logits.softmax(dim=-1)[0, 0]))
    return found


RECIPES: dict[str, Callable[[Path, Solution], Scores]] = {
    "math-shepherd-7b": recipe_math_shepherd,
    "skywork-prm-7b": recipe_skywork,
    "qwen2.5-math-prm-7b": recipe_qwen,
    "rlhflow-mistral-8b": recipe_rlhflow,
}


def scores_of(
    name: str, folder: Path, solutions: Sequence[Solution], **options: Any
) -> list[StepScores | Refused]:
    scorer = make_peer(name, model=folder, options=PeerOptions(**options))
    return list(scorer.score(solutions))


def numbers(answer: StepScores | Refused) -> list[Any]:
    assert isinstance(answer, StepScores), answer
    assert answer.scores_S is not None
    return list(answer.scores_S)
