"""Does an interrupted training end with the very bytes of an undisturbed one?"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM

from rprm.errors import BadInput, Drained, TruncationError
from rprm.training.dpo import train_dpo
from rprm.training.params import DpoParams, SftParams
from rprm.training.runs import TrainResult
from rprm.training.sft import train_sft
from tests.contract.fake_training_stage import FakeTrainingStage, KilledError
from tests.contract.training_workload import NewAttempt, attempts_below, build_init, examples, pairs

Attempt = Callable[..., TrainResult]


@pytest.fixture(scope="session")
def init(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "init"
    build_init(folder)
    return folder


SHARED: dict[str, Any] = {
    "learning_rate": 3e-3,
    "batch_size": 8,
    "epochs": 2,
    "save_every": 3,
    "logging_every": 2,
}
TOTAL_STEPS = 14  # 2 epochs of ceil(52 / 8)


def sft(init: Path, io: FakeTrainingStage, **params: Any) -> TrainResult:
    return train_sft(init, examples(52, 1), examples(10, 2), SftParams(**SHARED | params), io)


def dpo(init: Path, io: FakeTrainingStage, **params: Any) -> TrainResult:
    chosen = DpoParams(**SHARED | {"nll_weight": 1.0} | params)
    return train_dpo(init, pairs(52, 1), pairs(10, 2), chosen, io)


@pytest.fixture(params=[sft, dpo], ids=["sft", "dpo"], scope="session")
def attempt(request: pytest.FixtureRequest) -> Attempt:
    made: Attempt = request.param
    return made


@pytest.fixture
def new_attempt(tmp_path: Path) -> NewAttempt:
    return attempts_below(tmp_path)


@dataclass(frozen=True, kw_only=True)
class Undisturbed:
    result: TrainResult
    io: FakeTrainingStage


@pytest.fixture(scope="session")
def undisturbed(
    attempt: Attempt, init: Path, tmp_path_factory: pytest.TempPathFactory
) -> Undisturbed:
    io = attempts_below(tmp_path_factory.mktemp("undisturbed"))()
    return Undisturbed(result=attempt(init, io), io=io)


def digest(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def without_timings(io: FakeTrainingStage) -> dict[int, dict[str, float]]:
    return {
        step: {k: v for k, v in metrics.items() if k != "train/tokens_per_second"}
        for step, metrics in io.logged.items()
    }


def assert_same_result(result: TrainResult, undisturbed: TrainResult) -> None:
    assert digest(result.weights) == digest(undisturbed.weights)
    assert (result.best_step, result.metrics) == (undisturbed.best_step, undisturbed.metrics)


def test_training_twice_gives_the_same_bytes(
    attempt: Attempt, init: Path, new_attempt: NewAttempt, undisturbed: Undisturbed
) -> None:
    assert_same_result(attempt(init, new_attempt()), undisturbed.result)


@pytest.mark.parametrize(
    "kills",
    [
        (4,),  # one step after a checkpoint
        (3,),  # in the step whose checkpoint is not yet committed: from the beginning again
        (8, 8, 11),  # in the second epoch, twice at the same place
        (TOTAL_STEPS,),  # when only the last checkpoint is missing
    ],
)
def test_a_killed_training_ends_with_the_bytes_of_an_undisturbed_one(
    attempt: Attempt,
    init: Path,
    new_attempt: NewAttempt,
    undisturbed: Undisturbed,
    kills: tuple[int, ...],
) -> None:
    for kill_after in kills:
        with pytest.raises(KilledError):
            attempt(init, new_attempt(kill_after=kill_after))
    io = new_attempt()
    assert_same_result(attempt(init, io), undisturbed.result)
    first_step = io.progressed[0][0]
    assert kills[-1] - first_step < SHARED["save_every"], "more than one interval was lost"


@pytest.mark.parametrize(
    "drains",
    [
        (4,),  # between two checkpoints
        (6,),  # at a step that is committed anyway
        (2, 5, 7, 13),  # again and again, also at the end of an epoch
    ],
)
def test_a_drained_training_leaves_at_once_and_ends_with_the_same_bytes_and_log(
    attempt: Attempt,
    init: Path,
    new_attempt: NewAttempt,
    undisturbed: Undisturbed,
    drains: tuple[int, ...],
) -> None:
    log: dict[int, dict[str, float]] = {}
    for drain_at in drains:
        io = new_attempt(drain_at=drain_at)
        with pytest.raises(Drained):
            attempt(init, io)
        assert io.committed[-1][0] == drain_at
        log |= without_timings(io)
    io = new_attempt()
    assert_same_result(attempt(init, io), undisturbed.result)
    assert log | without_timings(io) == without_timings(undisturbed.io)


def test_a_finished_training_is_not_repeated(
    attempt: Attempt, init: Path, new_attempt: NewAttempt
) -> None:
    first = attempt(init, new_attempt())
    again = new_attempt()
    assert_same_result(attempt(init, again), first)
    assert again.progressed == []


def test_a_best_checkpoint_older_than_the_resumable_ones_survives_a_kill(
    attempt: Attempt, init: Path, new_attempt: NewAttempt
) -> None:
    """At this learning rate weights only grow, so the first checkpoint stays the best by far.  What
    a smaller one does to them depends on the machine's rounding."""
    params = {"learning_rate": 8.0, "save_every": 2, "scheduler": "constant", "warmup": 0}
    with pytest.raises(KilledError):
        attempt(init, new_attempt(kill_after=11), **params)
    io = new_attempt()
    result = attempt(init, io, **params)
    losses = {step: metrics["eval/loss"] for step, metrics, _ in io.committed}
    assert result.best_step < min(losses), "the test wants the best one to be from before the kill"
    assert result.metrics["eval/loss"] < min(losses.values())
    committed = io.store / f"{result.best_step:010}" / "weights"
    assert digest(result.weights) == digest(committed)


def test_grouping_by_length_resumes_exactly_too(init: Path, new_attempt: NewAttempt) -> None:
    with pytest.raises(KilledError):
        sft(init, new_attempt(kill_after=11), group_by_length=True)
    resumed = sft(init, new_attempt(), group_by_length=True)
    (new_attempt().scratch.parent / "store").rename(new_attempt().scratch.parent / "first")
    assert_same_result(resumed, sft(init, new_attempt(), group_by_length=True))


def test_accumulated_steps_resume_exactly_too(
    attempt: Attempt, init: Path, new_attempt: NewAttempt
) -> None:
    with pytest.raises(KilledError):
        attempt(init, new_attempt(kill_after=5), per_device_batch_size=2)
    resumed = attempt(init, new_attempt(), per_device_batch_size=2)
    (new_attempt().scratch.parent / "store").rename(new_attempt().scratch.parent / "first")
    assert_same_result(resumed, attempt(init, new_attempt(), per_device_batch_size=2))


def test_a_reference_model_in_memory_gives_the_same_training_as_precomputed_scores(
    init: Path, new_attempt: NewAttempt, tmp_path: Path
) -> None:
    calm = tmp_path / "without-dropout"  # two ways to the same numbers draw other random ones
    build_init(calm, attention_dropout=0.0)
    precomputed = new_attempt()
    dpo(calm, precomputed)
    (tmp_path / "store").rename(tmp_path / "first")
    in_memory = new_attempt()
    dpo(calm, in_memory, precompute_reference=False)
    margins = [io.logged[TOTAL_STEPS]["eval/rewards/margins"] for io in (precomputed, in_memory)]
    assert margins[0] == pytest.approx(margins[1], abs=1e-4)


def test_a_checkpoint_holds_a_model_folder_that_loads_and_no_pickle(
    undisturbed: Undisturbed, init: Path
) -> None:
    names = {path.name for path in undisturbed.result.weights.iterdir()}
    assert names == {path.name for path in init.iterdir()}
    for name in ("tokenizer.json", "tokenizer_config.json"):
        trained = (undisturbed.result.weights / name).read_bytes()
        assert trained == (init / name).read_bytes()
    model = AutoModelForCausalLM.from_pretrained(str(undisturbed.result.weights))
    assert model.config.use_cache


def test_every_checkpoint_is_evaluated_and_the_lowest_loss_is_the_result(
    undisturbed: Undisturbed,
) -> None:
    losses = {step: metrics["eval/loss"] for step, metrics, _ in undisturbed.io.committed}
    assert list(losses) == [3, 6, 9, 12, TOTAL_STEPS]
    assert undisturbed.result.best_step == min(losses, key=lambda step: losses[step])


def test_the_log_has_what_people_look_at(undisturbed: Undisturbed, attempt: Attempt) -> None:
    wanted = {"train/loss", "train/learning_rate", "train/num_tokens", "train/grad_norm"}
    if attempt is dpo:
        wanted |= {f"train/rewards/{name}" for name in ("margins", "accuracies", "chosen")}
        wanted |= {"train/logps/chosen"}
    assert wanted <= undisturbed.io.logged[2].keys()
    assert undisturbed.io.progressed[-1] == (TOTAL_STEPS, TOTAL_STEPS, "steps")


def test_without_validation_examples_the_last_checkpoint_is_the_result(
    init: Path, new_attempt: NewAttempt
) -> None:
    result = train_sft(init, examples(20, 1), [], SftParams(**SHARED), new_attempt())
    assert result.best_step == 6
    assert result.metrics == {}


def test_data_that_cannot_be_trained_on_stops_before_training(
    attempt: Attempt, init: Path, new_attempt: NewAttempt
) -> None:
    io = new_attempt()
    with pytest.raises(TruncationError, match="longer than max_length=5"):
        attempt(init, io, max_length=5)
    with pytest.raises(BadInput, match="no training examples"):
        train_sft(init, [], [], SftParams(**SHARED), io)
    with pytest.raises(BadInput, match="not a multiple"):
        attempt(init, io, per_device_batch_size=3)
    assert io.progressed == []


def test_a_missing_model_says_what_to_give(new_attempt: NewAttempt, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="No tokenizer"):
        sft(tmp_path / "empty", new_attempt())
    with pytest.raises(BadInput, match="There is no model folder"):
        sft(tmp_path / "nowhere", new_attempt())
