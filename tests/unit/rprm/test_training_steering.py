"""When does training commit, which checkpoint wins, and which configurations are refused?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from rprm.errors import BadInput
from rprm.training.batches import IGNORED, ExampleBatches, PairBatches
from rprm.training.callbacks import Moment, due, tracked
from rprm.training.checkpoints import LOSS, Candidate, best_of
from rprm.training.dpo import preference_arguments
from rprm.training.params import DpoParams, SftParams
from rprm.training.runs import accumulation_steps, deepspeed_config

PARAMS = SftParams(learning_rate=1.0, save_every=10, eval_every=4)


def moment(*due_now: str) -> Moment:
    names = ("evaluate", "save", "scheduled", "stop")
    return Moment(**{name: name in due_now for name in names})


@pytest.mark.parametrize(
    ("step", "draining", "expected"),
    [
        (3, False, moment()),
        (4, False, moment("evaluate")),
        (10, False, moment("evaluate", "save", "scheduled")),  # a checkpoint has an evaluation
        (25, False, moment("evaluate", "save", "scheduled", "stop")),  # the end is committed
        (3, True, moment("save", "stop")),
        (4, True, moment("save", "stop")),  # leaving is urgent: no evaluation
        (10, True, moment("evaluate", "save", "scheduled", "stop")),  # committed anyway
    ],
)
def test_what_is_due_after_a_step(step: int, draining: bool, expected: Moment) -> None:
    assert due(step, 25, PARAMS, draining=draining) == expected


def candidate(step: int, loss: float | None) -> Candidate:
    return Candidate(step=step, uri=f"u{step}", metrics={} if loss is None else {LOSS: loss})


@pytest.mark.parametrize(
    ("losses", "best_step"),
    [
        ([3.0, 1.0, 2.0], 1),
        ([2.0, 1.0, 1.0], 1),  # the earlier one of a tie
        ([None, None, None], 2),  # the last one without validation
        ([None, 5.0], 1),  # a measured one before an unmeasured one
    ],
)
def test_the_best_checkpoint(losses: list[float | None], best_step: int) -> None:
    candidates = [candidate(step, loss) for step, loss in enumerate(losses)]
    assert best_of(candidates).step == best_step
    assert best_of(candidates[::-1]).step == best_step


def test_tracked_names_say_train_or_eval_and_leave_timings_out() -> None:
    logs = {"loss": 1, "rewards/margins": 2, "eval_loss": 3, "eval_runtime": 4, "epoch": 5}
    assert tracked(logs) == {"train/loss": 1.0, "train/rewards/margins": 2.0, "eval/loss": 3.0}


@pytest.mark.parametrize(
    ("batch", "per_device", "processes", "steps"),
    [
        (128, 4, 8, 4),
        (16, None, 1, 1),  # no accumulation unless asked for
        (16, None, 2, 1),
        (16, 16, 1, 1),
    ],
)
def test_accumulation_makes_up_the_global_batch(
    batch: int, per_device: int | None, processes: int, steps: int
) -> None:
    params = SftParams(learning_rate=1.0, batch_size=batch, per_device_batch_size=per_device)
    assert accumulation_steps(params, processes) == steps


@pytest.mark.parametrize(
    ("batch", "per_device", "processes"),
    [
        (16, 5, 1),  # does not divide
        (16, 16, 2),  # more than the global batch
        (2, None, 4),  # fewer examples than processes
    ],
)
def test_a_global_batch_that_cannot_be_made_up_is_refused(
    batch: int, per_device: int | None, processes: int
) -> None:
    params = SftParams(learning_rate=1.0, batch_size=batch, per_device_batch_size=per_device)
    with pytest.raises(BadInput, match="not a multiple"):
        accumulation_steps(params, processes)


def test_shipped_and_own_deepspeed_configurations(tmp_path: Path) -> None:
    for name, stage in (("zero2", 2), ("zero3", 3)):
        shipped = deepspeed_config(name)
        assert shipped is not None
        config = json.loads(Path(shipped).read_text())
        assert config["zero_optimization"]["stage"] == stage
    own = tmp_path / "own.json"
    own.write_text("{}")
    assert deepspeed_config(str(own)) == str(own)
    assert deepspeed_config(None) is None
    with pytest.raises(BadInput, match="no DeepSpeed configuration 'zero9'"):
        deepspeed_config("zero9")


def test_unknown_params_are_refused() -> None:
    with pytest.raises(ValidationError, match="learning_rat"):
        SftParams.model_validate({"learning_rate": 1e-5, "learning_rat": 1e-5})


def test_losses_without_weight_are_left_out() -> None:
    def losses(**weights: float) -> tuple[list[str], list[float]]:
        arguments = preference_arguments(DpoParams(learning_rate=1.0, **weights))
        return arguments["loss_type"], arguments["loss_weights"]

    assert losses() == (["sigmoid"], [1.0])
    assert losses(nll_weight=0.5) == (["sigmoid", "sft"], [1.0, 0.5])
    assert losses(preference_weight=0, nll_weight=1) == (["sft"], [1.0])  # rejection sampling
    with pytest.raises(BadInput, match="are both 0"):
        losses(preference_weight=0)


def test_the_loss_is_on_the_completion_only() -> None:
    rows = [{"prompt": [5, 6], "completion": [7, 0]}, {"prompt": [5], "completion": [0]}]
    batch = ExampleBatches(pad_id=9)(rows)
    assert batch["input_ids"].tolist() == [[5, 6, 7, 0], [5, 0, 9, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert batch["labels"].tolist() == [[IGNORED, IGNORED, 7, 0], [IGNORED, 0, IGNORED, IGNORED]]


def test_a_batch_of_pairs_has_all_chosen_before_all_rejected() -> None:
    rows = [
        {"prompt": [5], "chosen": [6, 0], "rejected": [0], "ref_chosen_logps": -1.5},
        {"prompt": [5, 5], "chosen": [0], "rejected": [7, 0], "ref_chosen_logps": -2.5},
    ]
    batch = PairBatches(pad_id=9)(rows)
    assert batch["input_ids"].tolist() == [[5, 6, 0, 9], [5, 5, 0, 9], [5, 0, 9, 9], [5, 5, 7, 0]]
    assert batch["completion_mask"].tolist() == [
        [0, 1, 1, 0],
        [0, 0, 1, 0],
        [0, 1, 0, 0],
        [0, 0, 1, 1],
    ]
    assert torch.equal(batch["ref_chosen_logps"], torch.tensor([-1.5, -2.5]))
    assert "ref_rejected_logps" not in batch
