"""How does a model learn to write critiques?  From those that agree with the label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trl import SFTConfig

from rprm.stages.io import StageIO
from rprm.training import runs
from rprm.training.batches import ExampleBatches, example_rows
from rprm.training.collate import Example, short_first
from rprm.training.loading import load_start
from rprm.training.params import SftParams
from rprm.training.runs import TrainResult
from rprm.training.trainers import SftTrainer


def train_sft(
    model: Path | str,
    train: Sequence[Example],
    validation: Sequence[Example],
    params: SftParams,
    io: StageIO,
) -> TrainResult:
    """Fine-tune `model` on the completions of `train`, from the newest committed checkpoint on.

    Raises BadInput before training if anything in the data or the configuration is wrong, and
    Drained, with a checkpoint committed, soon after the worker was asked to leave."""
    with runs.session(io):
        args = SFTConfig(**runs.training_arguments(params, io))
        start = load_start(model, train, validation, params, io)
        trainer = SftTrainer(
            model=start.policy,
            args=args,
            data_collator=ExampleBatches(start.tokenizer.pad_token_id),
            train_dataset=example_rows(train),
            eval_dataset=example_rows(short_first(validation)) if validation else None,
            processing_class=start.tokenizer,
        )
        return runs.run(trainer, start, params, io)
