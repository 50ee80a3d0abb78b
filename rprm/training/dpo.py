"""How does a model learn to prefer critiques that agree with the label over those that do not?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trl import DPOConfig

from rprm.errors import BadInput
from rprm.stages.io import StageIO
from rprm.training import runs
from rprm.training.batches import PairBatches, pair_rows
from rprm.training.collate import Pair, short_first
from rprm.training.loading import load_policy, load_start
from rprm.training.params import DpoParams
from rprm.training.runs import TrainResult
from rprm.training.trainers import DpoTrainer, read_reference


def train_dpo(
    model: Path | str,
    train: Sequence[Pair],
    validation: Sequence[Pair],
    params: DpoParams,
    io: StageIO,
) -> TrainResult:
    """Prefer chosen over rejected, held to `model` itself as the reference; see `train_sft`."""
    with runs.session(io):
        shared = runs.training_arguments(params, io)
        args = DPOConfig(**shared, **preference_arguments(params))
        start = load_start(model, train, validation, params, io)
        precomputed = params.precompute_reference
        trainer = DpoTrainer(
            io=io,
            reference=read_reference(start.restored),
            model=start.policy,
            ref_model=None if precomputed else load_policy(start.folder, params),
            args=args,
            data_collator=PairBatches(start.tokenizer.pad_token_id),
            train_dataset=pair_rows(train),
            eval_dataset=pair_rows(short_first(validation)) if validation else None,
            processing_class=start.tokenizer,
        )
        return runs.run(trainer, start, params, io)


def preference_arguments(params: DpoParams) -> dict[str, Any]:
    """What only DPOConfig knows."""
    weights = {"sigmoid": params.preference_weight, "sft": params.nll_weight}
    used = {loss: weight for loss, weight in weights.items() if weight > 0}
    if not used:
        raise BadInput(
            "preference_weight and nll_weight are both 0.", fix="give one of them a weight."
        )
    return {
        "beta": params.beta,
        "loss_type": list(used),
        "loss_weights": list(used.values()),
        "precompute_ref_log_probs": params.precompute_reference,
        "precompute_ref_batch_size": None,
    }
