"""How is one training run set up, resumed and finished, whatever its loss?"""

from __future__ import annotations

import importlib.resources
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import torch
import transformers
from accelerate.utils import broadcast_object_list

from rprm.errors import BadInput, Drained
from rprm.stages.io import StageIO
from rprm.training.checkpoints import Candidate
from rprm.training.loading import Start
from rprm.training.params import TrainParams


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainResult:
    """The checkpoint with the lowest validation loss."""

    best_step: int
    best_uri: str
    metrics: Mapping[str, float]
    """Its evaluation; the same however often training was interrupted."""
    weights: Path
    """A model folder below the scratch folder; read it before the stage ends.  Rank 0 only."""


def accumulation_steps(params: TrainParams, world_size: int) -> int:
    """Forward passes per optimizer step, so that the global batch is exactly `batch_size`."""
    per_device = params.per_device_batch_size or params.batch_size // world_size
    steps, rest = divmod(params.batch_size, max(per_device, 1) * world_size)
    if rest or steps == 0:
        raise BadInput(
            f"batch_size={params.batch_size} is not a multiple of per_device_batch_size="
            f"{per_device} times {world_size} processes.",
            fix="choose batch_size = per_device_batch_size * accumulation steps * processes.",
        )
    return steps


def training_arguments(params: TrainParams, io: StageIO) -> dict[str, Any]:
    """What SFTConfig and DPOConfig share.  One code path from a CPU to many GPUs."""
    world_size = _world_size(io)
    accumulation = accumulation_steps(params, world_size)
    per_device = params.batch_size // accumulation // world_size
    return {
        "output_dir": str(io.scratch / "trainer"),
        "learning_rate": params.learning_rate,
        "num_train_epochs": params.epochs,
        "per_device_train_batch_size": per_device,
        "per_device_eval_batch_size": 2 * per_device,  # no gradients are kept
        "gradient_accumulation_steps": accumulation,
        "warmup_steps": params.warmup,
        "lr_scheduler_type": params.scheduler,
        "weight_decay": params.weight_decay,
        "max_grad_norm": params.max_grad_norm,
        "max_length": None,  # lengths are checked beforehand; TRL would cut or drop
        "bf16": params.dtype == "bfloat16",
        "activation_checkpointing": params.gradient_checkpointing,
        "deepspeed": deepspeed_config(params.deepspeed),
        "use_cpu": io.gpus == 0,
        "ddp_backend": "gloo" if io.gpus == 0 and world_size > 1 else None,
        "ddp_find_unused_parameters": False,  # every parameter has a gradient at every step
        "seed": params.seed,
        "data_seed": params.seed,
        "logging_steps": params.logging_every,
        "eval_strategy": "no",  # evaluations and checkpoints are asked for by Steering
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "log_level": "error",
        "log_level_replica": "error",
        "remove_unused_columns": False,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": io.gpus > 0,
    }


def _world_size(io: StageIO) -> int:
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    if launched != io.world_size:
        raise BadInput(
            f"The stage runs as {io.world_size} processes but WORLD_SIZE says {launched}.",
            fix="let the backend set RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT.",
        )
    return launched


def deepspeed_config(name: str | None) -> str | None:
    """The path of a shipped DeepSpeed configuration, or of the caller's own."""
    if name is None:
        return None
    shipped = importlib.resources.files("rprm.training") / "deepspeed" / f"{name}.json"
    path = Path(str(shipped)) if shipped.is_file() else Path(name)
    if not path.is_file():
        raise BadInput(
            f"There is no DeepSpeed configuration {name!r}.",
            fix='use "zero2", "zero3" or the path of a JSON file.',
        )
    return str(path)


def run(trainer: Any, start: Start, params: TrainParams, io: StageIO) -> TrainResult:
    """Train from the newest committed checkpoint to the end; Drained if asked to leave."""
    restored = start.restored
    trainer.steer(io, params, start)
    if restored is None or restored.step < restored.total_steps:
        trainer.train(resume_from_checkpoint=str(restored.merged) if restored else None)
    if trainer.steering.drained:
        raise Drained("Asked to leave; the last finished step is committed.")
    best = _same_on_all_ranks(trainer.committer.best if io.rank == 0 else None, io)
    return TrainResult(
        best_step=best.step,
        best_uri=best.uri,
        metrics=best.metrics,
        weights=trainer.committer.best_weights,
    )


def _same_on_all_ranks(best: Candidate | None, io: StageIO) -> Candidate:
    shared = [best]
    if io.world_size > 1:
        broadcast_object_list(shared, from_process=0)
    assert shared[0] is not None
    return shared[0]


@contextmanager
def session(io: StageIO) -> Iterator[None]:
    """Threads as granted; no progress bars and no advice that a campaign's user cannot act on."""
    threads, verbosity = torch.get_num_threads(), transformers.logging.get_verbosity()
    torch.set_num_threads(io.cpus)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    try:
        with warnings.catch_warnings():
            # TRL 1.16 asks for it under the name that transformers 5.23 is about to drop.
            warnings.filterwarnings("ignore", ".*is_gradient_checkpointing", FutureWarning)
            yield
    finally:
        torch.set_num_threads(threads)
        transformers.logging.set_verbosity(verbosity)
