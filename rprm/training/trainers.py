"""What do we change in TRL's trainers?

Rows come tokenised, checkpoints go through the stage's commit protocol, nothing is sent or
written anywhere else, and no time is spent on numbers that nobody reads.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list
from datasets import Dataset
from torch.utils.data import DataLoader
from transformers.trainer_callback import PrinterCallback
from trl import DPOTrainer, SFTTrainer
from trl.models import prepare_deepspeed

from rprm.errors import BadInput, Drained
from rprm.stages.io import StageIO
from rprm.training.callbacks import WINDOW, Steering, save_window
from rprm.training.checkpoints import RESUME, WEIGHTS, Committer, Restored
from rprm.training.loading import Start
from rprm.training.ordering import EpochSampler
from rprm.training.params import TrainParams

REFERENCE = "reference.json"
"""Log-likelihoods of the pairs under the reference model, by data set."""

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
)

Reference = dict[str, tuple[list[float], list[float]]]
"""Data set -> (chosen, rejected)."""


class Committing:
    """Mixed into a TRL trainer: checkpoints are committed instead of left on local disk."""

    stage: StageIO
    committer: Committer
    steering: Steering

    tokenizer_folder: Path
    sampler: EpochSampler

    def _get_train_sampler(self, train_dataset: Any = None) -> EpochSampler:
        return self.sampler

    def steer(self, io: StageIO, params: TrainParams, start: Start) -> None:
        """Attach the stage; must be called before `train`."""
        trainer: Any = self
        restored = start.restored
        self.stage = io
        self.tokenizer_folder = start.folder
        self.sampler = start.sampler
        self.committer = Committer(io, restored)
        self.steering = Steering(io, params, trainer)
        if restored is not None:
            self.steering.window = json.loads((restored.resume / WINDOW).read_text())
        trainer.model.config.use_cache = True  # TRL turns it off, but checkpoints are for sampling
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(self.steering)

    def any_rank(self, flag: bool) -> bool:
        """True on every rank if it is true on one: all of them must stop at the same step."""
        trainer: Any = self
        if trainer.args.world_size == 1:
            return flag
        flags = torch.tensor([int(flag)], device=trainer.args.device)
        return bool(trainer.accelerator.gather(flags).any())

    def save_extra(self, resume: Path) -> None:
        """Write what else a trainer needs to go on."""

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        trainer: Any = self
        folder = self._shared_folder(trainer.state.global_step)
        trainer.save_model(str(folder / WEIGHTS), _internal_call=True)
        self._save_resume(folder / RESUME)
        trainer.accelerator.wait_for_everyone()
        if self.stage.rank == 0:
            self._commit(folder)
        trainer.accelerator.wait_for_everyone()

    def _shared_folder(self, step: int) -> Path:
        """Rank 0's folder, which every rank writes its random state (and optimizer shard) to."""
        trainer: Any = self
        shared = [str(self.stage.scratch / f"checkpoint-{step}")]
        if trainer.args.world_size > 1:
            broadcast_object_list(shared, from_process=0)
        folder = Path(shared[0])
        if self.stage.rank == 0:
            shutil.rmtree(folder, ignore_errors=True)
            (folder / WEIGHTS).mkdir(parents=True)
            (folder / RESUME).mkdir()
        trainer.accelerator.wait_for_everyone()
        if not folder.is_dir():
            raise BadInput(
                f"Rank {self.stage.rank} does not see rank 0's scratch folder {folder}.",
                fix="put the workers' scratch folders on a file system that all nodes share.",
            )
        return folder

    def _save(self, output_dir: str, state_dict: Any = None) -> None:
        """Trainer's own also pickles its arguments and rewrites the tokenizer's files."""
        trainer: Any = self
        if trainer.args.should_save:
            trainer.model.save_pretrained(output_dir, state_dict=state_dict)
            for name in TOKENIZER_FILES:
                if (self.tokenizer_folder / name).is_file():
                    shutil.copyfile(self.tokenizer_folder / name, Path(output_dir) / name)

    def _save_resume(self, folder: Path) -> None:
        trainer: Any = self
        trainer._save_optimizer_and_scheduler(str(folder))
        trainer._save_scaler(str(folder))
        trainer._save_rng_state(str(folder))
        if self.stage.rank == 0:
            trainer.state.save_to_json(str(folder / "trainer_state.json"))
            save_window(trainer, folder)
            self.save_extra(folder)

    def _commit(self, folder: Path) -> None:
        trainer: Any = self
        evaluation = self.steering.evaluation if self.steering.scheduled else None
        facts = {
            "total_steps": trainer.state.max_steps,
            "tokens": trainer._total_train_tokens,
            "world_size": self.stage.world_size,
        }
        step = trainer.state.global_step
        self.committer.commit(folder, step=step, evaluation=evaluation, facts=facts)

    def _send_telemetry(self) -> None:
        """TRL reports its use to its makers; we do not."""

    def floating_point_ops(self, inputs: Any) -> int:
        """Trainer walks over all parameters at every step for a number that we do not log."""
        return 0


class SftTrainer(Committing, SFTTrainer):  # type: ignore[misc]  # TRL is untyped
    """TRL's supervised trainer on rows of token ids."""

    def _prepare_dataset(self, dataset: Dataset, *args: Any, **kwargs: Any) -> Dataset:
        return dataset


class DpoTrainer(Committing, DPOTrainer):  # type: ignore[misc]  # TRL is untyped
    """TRL's preference trainer on rows of token ids.

    The reference model's scores are kept with the checkpoints, so that a resumed training neither
    needs the time nor can get other numbers."""

    def __init__(self, *, io: StageIO, reference: Reference, **kwargs: Any) -> None:
        self.stage = io
        self.reference = dict(reference)
        super().__init__(**kwargs)

    def _prepare_dataset(self, dataset: Dataset, *args: Any, **kwargs: Any) -> Dataset:
        return dataset

    def _precompute_ref_logps(self, dataset: Dataset, name: str, batch_size: int) -> Dataset:
        """TRL's own writes to the user's cache folder and draws a progress bar."""
        if name not in self.reference:
            self.reference[name] = self._score(dataset, batch_size)
        chosen, rejected = self.reference[name]
        dataset = dataset.add_column("ref_chosen_logps", chosen)
        return dataset.add_column("ref_rejected_logps", rejected)

    def _score(self, dataset: Dataset, batch_size: int) -> tuple[list[float], list[float]]:
        chosen: list[float] = []
        rejected: list[float] = []
        model = self.model
        if self.is_deepspeed_enabled:  # parameters are sharded or not yet placed before training
            model = prepare_deepspeed(model, self.accelerator)
        loader = DataLoader(dataset, batch_size=batch_size, collate_fn=self.data_collator)
        for batch in self.accelerator.prepare(loader):
            if self.any_rank(self.stage.draining):
                raise Drained("Asked to leave while the reference model scored the pairs.")
            scores = self.compute_ref_log_probs(model, batch)
            chosen_B, rejected_B = self.accelerator.gather_for_metrics(scores)
            chosen += chosen_B.tolist()
            rejected += rejected_B.tolist()
        return chosen, rejected

    def save_extra(self, resume: Path) -> None:
        (resume / REFERENCE).write_text(json.dumps(self.reference))


def read_reference(restored: Restored | None) -> Reference:
    """The scores a restored checkpoint brought along; empty at the beginning."""
    if restored is None or not (restored.resume / REFERENCE).exists():
        return {}
    scores: Mapping[str, tuple[list[float], list[float]]] = json.loads(
        (restored.resume / REFERENCE).read_text()
    )
    return dict(scores)
