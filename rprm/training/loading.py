"""What does training start from?  Checked data, a model from safetensors, maybe a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from rprm.engines.tokenizers import load_tokenizer
from rprm.errors import BadInput
from rprm.fetching import fetch_model as fetch_hub_model
from rprm.stages.io import StageIO
from rprm.training.checkpoints import Restored, restore_newest
from rprm.training.collate import Trainable, check_lengths, check_tokens
from rprm.training.ordering import EpochSampler
from rprm.training.params import TrainParams


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """Where training begins: the initial model, or a checkpoint made from it."""

    folder: Path
    """Of the initial model."""
    policy: Any
    tokenizer: Any
    """Tells TRL the end-of-text token; nothing is tokenised with it."""
    sampler: EpochSampler
    restored: Restored | None


def fetch_model(model: Path | str, params: TrainParams) -> Path:
    """A local folder: the given one, or the files of a Hub model at its revision."""
    if Path(model).is_dir():
        return Path(model)
    return fetch_hub_model(str(model), revision=params.revision)


def load_policy(folder: Path, params: TrainParams) -> Any:
    """A causal language model from safetensors; never runs code of a model repository."""
    wants_bfloat16 = params.deepspeed is not None and params.dtype == "bfloat16"
    try:
        policy = AutoModelForCausalLM.from_pretrained(
            str(folder),
            dtype=torch.bfloat16 if wants_bfloat16 else torch.float32,
            attn_implementation=params.attention,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
        )
    except (OSError, ValueError) as error:
        raise BadInput(
            f"The model in {folder} does not load: {error}",
            fix="give a model folder with config.json and weights as safetensors.",
        ) from error
    if has_causal_mask_only(policy):
        policy.register_forward_pre_hook(drop_padding_mask, with_kwargs=True)
    policy.config._name_or_path = ""  # a path of this machine does not belong in a checkpoint
    return policy


def load_start(
    model: Path | str,
    train: Sequence[Trainable],
    validation: Sequence[Trainable],
    params: TrainParams,
    io: StageIO,
) -> Start:
    """Check everything that can be wrong before time is spent on training, and load it."""
    if not train:
        raise BadInput(
            "There are no training examples.",
            fix="look at the counts of the stages upstream; their filters may be too strict.",
        )
    both = [*train, *validation]
    check_lengths(both, params.max_length)
    folder = fetch_model(model, params)
    tokenizer = load_tokenizer(folder)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    policy = load_policy(folder, params)
    check_tokens(both, eos_id=tokenizer.eos_token_id, vocab_size=policy.config.vocab_size)
    return Start(
        folder=folder,
        policy=policy,
        tokenizer=tokenizer,
        sampler=sampler_of(train, params),
        restored=restore_newest(io),
    )


def sampler_of(train: Sequence[Trainable], params: TrainParams) -> EpochSampler:
    return EpochSampler(
        [example.num_tokens for example in train],
        batch_size=params.batch_size,
        seed=params.seed,
        by_length=params.group_by_length,
    )


def has_causal_mask_only(model: Any) -> bool:
    """Padding is on the right, where no real token of a causal model looks.  Flash attention
    still wants the mask, to leave the padding out; so do routers, to leave it uncounted."""
    is_dense = not hasattr(model.config, "output_router_logits")
    return is_dense and model.config._attn_implementation in ("sdpa", "eager")


def drop_padding_mask(
    model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Attention without a mask tensor takes the faster kernels."""
    return args, {name: value for name, value in kwargs.items() if name != "attention_mask"}
