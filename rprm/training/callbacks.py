"""When does training evaluate, commit, log and stop?"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
import torch
from transformers import TrainerCallback

from rprm.stages.io import StageIO
from rprm.training.params import TrainParams

log = structlog.get_logger()

WINDOW = "window.json"
UNTRACKED = ("runtime", "samples_per_second", "steps_per_second", "flos", "epoch", "step")
"""Endings of Trainer's log keys that are timings or restate the step."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """What is due after an optimizer step."""

    evaluate: bool
    save: bool
    scheduled: bool
    """Would an undisturbed training commit here too?  Only then it may become the result."""
    stop: bool


def due(step: int, total_steps: int, params: TrainParams, *, draining: bool) -> Moment:
    """A scheduled checkpoint always has an evaluation; one made while draining never has: leaving
    is urgent, and what is measured must not depend on when a worker was asked to leave."""
    last = step >= total_steps
    scheduled = last or step % params.save_every == 0
    evaluation_due = params.eval_every is not None and step % params.eval_every == 0
    return Moment(
        evaluate=scheduled or (evaluation_due and not draining),
        save=scheduled or draining,
        scheduled=scheduled,
        stop=last or draining,
    )


class Steering(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Drives Trainer's control flags and passes its log on to the stage."""

    def __init__(self, io: StageIO, params: TrainParams, trainer: Any) -> None:
        self.io = io
        self.params = params
        self.trainer = trainer
        self.drained = False
        self.scheduled = False
        self.evaluation: dict[str, float] = {}
        """Of the current step; empty when it was not evaluated."""
        self.window: Mapping[str, Any] | None = None
        """The running means to go on from after a restore."""
        self._tokens_at = (0, time.monotonic())

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.window is not None:
            restore_window(self.trainer, self.window)
        self._tokens_at = (self.trainer._total_train_tokens, time.monotonic())
        log.info("training_starts", step=state.global_step, total=state.max_steps)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        step, total = state.global_step, state.max_steps
        draining = self.trainer.any_rank(self.io.draining)
        moment = due(step, total, self.params, draining=draining)
        self.drained = draining and step < total
        self.scheduled = moment.scheduled
        self.evaluation = {}
        control.should_log = control.should_log or step == total
        control.should_evaluate = moment.evaluate and self.trainer.eval_dataset is not None
        control.should_save = moment.save
        control.should_training_stop = moment.stop
        if self.io.rank == 0:
            self.io.progress(step, total, "steps")

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.evaluation = tracked(kwargs["metrics"])

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        logs: dict[str, float] = kwargs["logs"]
        is_summary_of_attempt = "train_loss" in logs
        if self.io.rank == 0 and not is_summary_of_attempt:
            self.io.log({**tracked(logs), **self._speed(logs)}, step=state.global_step)

    def _speed(self, logs: Mapping[str, float]) -> dict[str, float]:
        if "loss" not in logs:
            return {}
        (tokens, at), now = self._tokens_at, time.monotonic()
        self._tokens_at = (self.trainer._total_train_tokens, now)
        return {"train/tokens_per_second": (self._tokens_at[0] - tokens) / max(now - at, 1e-9)}


def tracked(logs: Mapping[str, float]) -> dict[str, float]:
    """Trainer's log with our names: "eval_loss" is "eval/loss", "rewards/margins" is "train/…"."""
    return {_name(key): float(value) for key, value in logs.items() if not key.endswith(UNTRACKED)}


def _name(key: str) -> str:
    return f"eval/{key.removeprefix('eval_')}" if key.startswith("eval_") else f"train/{key}"


def save_window(trainer: Any, folder: Path) -> None:
    """Keep the running means, so that a resumed training logs what an undisturbed one would."""
    window = {
        "loss": trainer._tr_loss.item(),
        "total_loss": trainer._total_loss_scalar,
        "logged_at": trainer._globalstep_last_logged,
        "metrics": dict(trainer._metrics["train"]),
        "tokens": trainer._total_train_tokens,
    }
    (folder / WINDOW).write_text(json.dumps(window))


def restore_window(trainer: Any, window: Mapping[str, Any]) -> None:
    trainer._tr_loss += torch.tensor(window["loss"], device=trainer._tr_loss.device)
    trainer._total_loss_scalar = window["total_loss"]
    trainer._globalstep_last_logged = window["logged_at"]
    trainer._metrics["train"].update(window["metrics"])
    trainer._total_train_tokens = window["tokens"]
