"""Does an interrupted training end with the very bytes of an undisturbed one?"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from rprm.errors import Drained
from rprm.training.collate import Example, Pair
from rprm.training.dpo import train_dpo
from rprm.training.params import DpoParams, SftParams
from rprm.training.runs import TrainResult
from rprm.training.sft import train_sft
from rprm.training.tiny_model import TinyShape, build_tiny_qwen2
from tests.contract.fake_training_stage import FakeTrainingStage, KilledError

EOS, PAD, VOCABULARY = 0, 1, 24
Attempt = Callable[..., TrainResult]


@pytest.fixture(scope="session")
def init(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with dropout in its attention, so that random states matter."""
    folder = tmp_path_factory.mktemp("model") / "init"
    words = {"<eos>": EOS, "<pad>": PAD} | {f"w{i}": i for i in range(2, VOCABULARY)}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="<pad>")),
        eos_token="<eos>",
        pad_token="<pad>",
    )
    build_tiny_qwen2(folder, tokenizer=tokenizer, shape=TinyShape(), seed=0)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"attention_dropout": 0.1}))
    return folder


def some_ids(rng: random.Random, shortest: int, longest: int) -> tuple[int, ...]:
    return tuple(rng.randrange(2, VOCABULARY) for _ in range(rng.randint(shortest, longest)))


def examples(count: int, seed: int) -> list[Example]:
    rng = random.Random(seed)
    return [
        Example(
            id=f"e{i}",
            prompt_T=some_ids(rng, 3, 9),
            completion_T=(*some_ids(rng, 2, 7), EOS),
        )
        for i in range(count)
    ]


def pairs(count: int, seed: int) -> list[Pair]:
    rng = random.Random(seed)
    return [
        Pair(
            id=f"p{i}",
            prompt_T=some_ids(rng, 3, 9),
            chosen_T=(*some_ids(rng, 2, 7), EOS),
            rejected_T=(*some_ids(rng, 2, 7), EOS),
        )
        for i in range(count)
    ]


SHARED = {"learning_rate": 3e-3, "batch_size": 8, "epochs": 2, "save_every": 3, "logging_every": 2}
TOTAL_STEPS = 14  # 2 epochs of ceil(52 / 8)


def sft(init: Path, io: FakeTrainingStage, **params: Any) -> TrainResult:
    return train_sft(init, examples(52, 1), examples(10, 2), SftParams(**SHARED | params), io)


def dpo(init: Path, io: FakeTrainingStage, **params: Any) -> TrainResult:
    chosen = DpoParams(**SHARED | {"nll_weight": 1.0} | params)
    return train_dpo(init, pairs(52, 1), pairs(10, 2), chosen, io)


@pytest.fixture(params=[sft, dpo], ids=["sft", "dpo"])
def attempt(request: pytest.FixtureRequest) -> Attempt:
    made: Attempt = request.param
    return made


@pytest.fixture
def new_attempt(tmp_path: Path) -> Iterator[Callable[..., FakeTrainingStage]]:
    """Attempts at one stage: a common store, a scratch folder each."""
    scratches = iter(range(100))

    def make(store: str = "store", **faults: Any) -> FakeTrainingStage:
        scratch = tmp_path / f"scratch-{next(scratches)}"
        scratch.mkdir()
        return FakeTrainingStage(store=tmp_path / store, scratch=scratch, **faults)

    yield make


def digest(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def without_timings(io: FakeTrainingStage) -> dict[int, dict[str, float]]:
    return {
        step: {k: v for k, v in metrics.items() if k != "train/tokens_per_second"}
        for step, metrics in io.logged.items()
    }


def test_training_twice_gives_the_same_bytes(
    attempt: Attempt, init: Path, new_attempt: Callable[..., FakeTrainingStage]
) -> None:
    first = attempt(init, new_attempt("one"))
    second = attempt(init, new_attempt("two"))
    assert digest(first.weights) == digest(second.weights)
    assert first.metrics == second.metrics


@pytest.mark.parametrize(
    "kills",
    [
        (4,),  # one step after a checkpoint
        (3,),  # in the step whose checkpoint is not yet committed: from the beginning again
        (8, 8, 11),  # in the second epoch, twice at the same place
        (7,),  # at the end of the first epoch
    ],
)
def test_a_killed_training_ends_with_the_bytes_of_an_undisturbed_one(
    attempt: Attempt,
    init: Path,
    new_attempt: Callable[..., FakeTrainingStage],
    kills: tuple[int, ...],
) -> None:
    undisturbed = attempt(init, new_attempt("undisturbed"))
    for kill_after in kills:
        with pytest.raises(KilledError):
            attempt(init, new_attempt(kill_after=kill_after))
    resumed = attempt(init, new_attempt())
    assert digest(resumed.weights) == digest(undisturbed.weights)
    assert (resumed.best_step, resumed.metrics) == (undisturbed.best_step, undisturbed.metrics)


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
    new_attempt: Callable[..., FakeTrainingStage],
    drains: tuple[int, ...],
) -> None:
    calm = new_attempt("undisturbed")
    undisturbed = attempt(init, calm)
    log: dict[int, dict[str, float]] = {}
    for drain_at in drains:
        io = new_attempt(drain_at=drain_at)
        with pytest.raises(Drained):
            attempt(init, io)
        assert io.committed[-1][0] == drain_at
        log |= without_timings(io)
    io = new_attempt()
    resumed = attempt(init, io)
    assert digest(resumed.weights) == digest(undisturbed.weights)
    assert (resumed.best_step, resumed.metrics) == (undisturbed.best_step, undisturbed.metrics)
    assert log | without_timings(io) == without_timings(calm)
