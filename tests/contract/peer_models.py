"""Which tiny models stand for the published process reward models?

Random weights, but the architecture, the files, the tokens and the chat template of the real ones.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from torch import nn
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2Model,
)

from rprm.schema import Solution
from rprm.stages.io import StageIO
from rprm.stages.params import StageParams

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA3 = (
    "{{ bos_token }}<|start_header_id|>system<|end_header_id|>\n\n"
    "Cutting Knowledge Date: December 2023\n"
    "Today Date: {{ date_string if date_string is defined else '26 Jul 2024' }}\n\n<|eot_id|>"
    "{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content | trim }}<|eot_id|>{% endfor %}"
)
BYTE_MERGES = [
    ("Ċ", "Ċ"),
    (".", "Ċ"),
    ("Ġ", "+"),
    ("t", "h"),
    ("th", "e"),
    ("Ġ", "the"),
    ("+", "+"),
]
"""Newlines melt into what stands before them, as in Qwen's and Llama's vocabularies."""
PIECE_MERGES = [
    ("▁", "▁"),
    ("к", "и"),
    ("▁", "ки"),
    ("▁", "+"),
    ("▁", "-"),
    ("t", "h"),
    ("▁", "th"),
]
"""Spaces melt before words do, as in Mistral's vocabulary."""


def byte_level(template: str | None = None, **options: Any) -> PreTrainedTokenizerFast:
    """Byte-level BPE under NFC, like Qwen2's."""
    tokens = sorted(pre_tokenizers.ByteLevel.alphabet()) + [a + b for a, b in BYTE_MERGES]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=BYTE_MERGES))
    core.normalizer = normalizers.NFC()
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, **options)
    if template:
        tokenizer.chat_template = template
    return tokenizer


def pieces() -> PreTrainedTokenizerFast:
    """A BPE over text with ▁ for spaces, a BOS in front and bytes for what it does not know."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "к", "и"]
    tokens += [chr(code) for code in range(33, 127)] + [a + b for a, b in PIECE_MERGES]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    core = Tokenizer(
        models.BPE(vocab=vocabulary, merges=PIECE_MERGES, unk_token="<unk>", byte_fallback=True)
    )
    core.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def sizes(tokenizer: PreTrainedTokenizerFast, *, hidden: int = 32) -> dict[str, Any]:
    torch.manual_seed(0)
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": hidden,
        "intermediate_size": 2 * hidden,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "initializer_range": 0.3 * (32 / hidden) ** 0.5,
        "max_position_embeddings": 4096,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def math_shepherd(folder: Path) -> Path:
    """Its sliding window is far shorter than the inputs, so that it must be kept under padding."""
    tokenizer = pieces()
    config = MistralConfig(**sizes(tokenizer), sliding_window=48)
    MistralForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def rlhflow(folder: Path) -> Path:
    tokenizer = byte_level(
        LLAMA3,
        bos_token="<|begin_of_text|>",
        eos_token="<|eot_id|>",
        additional_special_tokens=["<|start_header_id|>", "<|end_header_id|>"],
    )
    LlamaForCausalLM(LlamaConfig(**sizes(tokenizer))).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def skywork(folder: Path) -> Path:
    """A causal model's weights and `v_head.summary`, in one file."""
    tokenizer = byte_level(bos_token="<|endoftext|>", eos_token="<|im_end|>")
    model = Qwen2ForCausalLM(Qwen2Config(**sizes(tokenizer), tie_word_embeddings=False))
    head = nn.Linear(32, 1)
    weights = dict(model.state_dict())
    weights |= {f"v_head.summary.{name}": value for name, value in head.state_dict().items()}
    return publish(folder, model.config, weights, tokenizer, architecture="Qwen2ForPrmModel")


def qwen_prm(folder: Path, *, scale: float = 5.0, hidden: int = 32) -> Path:
    """`model.*` and `score.*`; a large scale drives probabilities to exactly 0 and 1."""
    tokenizer = byte_level(
        CHATML,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>", "<extra_0>"],
    )
    model = Qwen2Model(Qwen2Config(**sizes(tokenizer, hidden=hidden)))
    score = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 2))
    weights = {f"model.{name}": value for name, value in model.state_dict().items()}
    weights |= {f"score.{name}": value for name, value in score.state_dict().items()}
    weights["score.2.weight"] = weights["score.2.weight"] * scale
    return publish(folder, model.config, weights, tokenizer, "Qwen2ForProcessRewardModel")


def publish(
    folder: Path,
    config: Any,
    weights: dict[str, torch.Tensor],
    tokenizer: PreTrainedTokenizerFast,
    architecture: str,
) -> Path:
    """As on the Hub: two shards with an index, a config that names code, and Qwen2's tokenizer."""
    config.save_pretrained(folder)
    said = json.loads((folder / "config.json").read_text())
    said |= {"architectures": [architecture]}
    said |= {"auto_map": {"AutoModel": f"modeling_qwen2_rm.{architecture}"}}
    (folder / "config.json").write_text(json.dumps(said))
    names = sorted(weights)
    shards = {"model-00001-of-00002.safetensors": names[::2]}
    shards["model-00002-of-00002.safetensors"] = names[1::2]
    for file, kept in shards.items():
        tensors = {name: weights[name].contiguous().clone() for name in kept}
        save_file(tensors, folder / file, metadata={"format": "pt"})
    index = {name: file for file, kept in shards.items() for name in kept}
    total = sum(weight.nbytes for weight in weights.values())
    text = json.dumps({"metadata": {"total_size": total}, "weight_map": index})
    (folder / "model.safetensors.index.json").write_text(text)
    tokenizer.save_pretrained(folder)
    declared = json.loads((folder / "tokenizer_config.json").read_text())
    declared["tokenizer_class"] = "Qwen2Tokenizer"
    (folder / "tokenizer_config.json").write_text(json.dumps(declared))
    return folder


PEER_FOLDERS: dict[str, Callable[[Path], Path]] = {
    "math-shepherd-7b": math_shepherd,
    "skywork-prm-7b": skywork,
    "qwen2.5-math-prm-7b": qwen_prm,
    "rlhflow-mistral-8b": rlhflow,
}


class TinyPeer:
    """A stage that publishes a tiny peer, as a training stage publishes its model."""

    kind: ClassVar[str] = "single"
    version: ClassVar[str] = "1"
    preload: ClassVar[tuple[str, ...]] = ()

    class Params(StageParams):
        pass

    def __init__(self, params: Params) -> None:
        self.params = params

    def digests(self) -> Mapping[str, str]:
        """Copies of inputs outlive a test, under the address: another model needs another one."""
        return {"code": hashlib.sha256(Path(__file__).read_bytes()).hexdigest()}

    def run(self, io: StageIO) -> None:
        io.publish(qwen_prm(io.scratch / "peer"), "model")


def solution(name: str, *steps: str, problem: str = "What is 2 + 2?") -> Solution:
    return Solution(
        id=name,
        problem_id=name,
        subset="gsm8k",
        generator="",
        problem=problem,
        steps=steps,
        label=-1,
    )


MANY = 30
SOLUTIONS = (
    solution("plain", "Add two and two.", "That makes 4.", "The answer is 4."),
    solution("one", "It is 4."),
    solution("many", *(f"Add {n} to {n + 1}: {2 * n + 1}." for n in range(MANY))),
    solution("numbered", "Step 1: take 2.", "Step 2: add 2.", "So 4.", "Step 9 : done."),
    solution("newlines", "First\nthen this.\n", "\\[\nx = 4.\n\\]\n\nso 4", "4\n\n"),
    solution("tags", "a ки b", "x<extra_0>y", "+", "-", "ки", "<extra_0>", "2 + + 2 <|eot_id|>?"),
    solution("tagged problem", "It is ки.", "4", problem="Is ки <extra_0> + or -?"),
    solution("spaces", "trailing   ", "  leading", "in  the  middle", "tab\t"),
    solution("unicode", "√2 ≈ 1.41…", "e\u0301 and é", "学 🙂 \u2028", "руки ки", "\ue0000\ue001"),
    solution("long", *(f"Take the {'very ' * n}long sum {n}." for n in range(12))),
)
