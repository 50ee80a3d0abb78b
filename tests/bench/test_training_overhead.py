"""How much slower is our training step than a plain torch loop of the same arithmetic?

The two take turns, so that both meet the same other work on the machine, and CPU time is
compared, not wall time.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM

from rprm.data.chain_tokenizer import chain_tokenizer
from rprm.training.batches import ExampleBatches, PairBatches
from rprm.training.collate import Example, Pair
from rprm.training.dpo import train_dpo
from rprm.training.params import DpoParams, SftParams
from rprm.training.sft import train_sft
from rprm.training.tiny_model import TinyShape, build_tiny_qwen2
from tests.contract.fake_training_stage import FakeTrainingStage

pytestmark = pytest.mark.bench

BATCH = 16
STEPS = 30
WARM_UP = 6
SHAPE = TinyShape(hidden=128, layers=3, heads=4, kv_heads=2, ffn=384, initializer_range=0.08)
"""The model of the small world."""


class TakingTurns(FakeTrainingStage):
    """After every step of the training, times one step of the plain loop."""

    def take_turns_with(self, plain: Iterator[None]) -> None:
        self.plain = plain
        self.ours_s: list[float] = []
        self.plain_s: list[float] = []
        self.mark = time.process_time()

    def progress(self, done: int, total: int, unit: str) -> None:
        before = time.process_time()
        next(self.plain, None)
        after = time.process_time()
        self.ours_s.append(before - self.mark)
        self.plain_s.append(after - before)
        self.mark = time.process_time()

    def ratio(self) -> float:
        ours = statistics.median(self.ours_s[WARM_UP:-1])
        return ours / statistics.median(self.plain_s[WARM_UP:-1])


@pytest.fixture(scope="module")
def init(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "init"
    build_tiny_qwen2(folder, tokenizer=chain_tokenizer(), shape=SHAPE, seed=0)
    return folder


@pytest.fixture
def io(tmp_path: Path) -> TakingTurns:
    torch.set_num_threads(1)
    (tmp_path / "scratch").mkdir()
    return TakingTurns(store=tmp_path / "store", scratch=tmp_path / "scratch")


def ids(rng: random.Random, shortest: int, longest: int) -> tuple[int, ...]:
    return tuple(rng.randrange(3, 40) for _ in range(rng.randint(shortest, longest)))


def plain_steps(
    init: Path, batches: Sequence[dict[str, Any]], loss_of: Callable[[Any, dict[str, Any]], Any]
) -> Iterator[None]:
    """A forward, a backward, clipping and fused AdamW: nothing else."""
    model: Any = AutoModelForCausalLM.from_pretrained(str(init), dtype=torch.float32)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    for batch in batches:
        loss_of(model, batch).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        yield


def likelihood_loss(model: Any, batch: dict[str, Any]) -> Any:
    return model(**batch, use_cache=False).loss


def preference_loss(model: Any, batch: dict[str, Any]) -> Any:
    """Sigmoid and likelihood of the chosen, against reference scores of zero."""
    ids, mask = batch["input_ids"], batch["completion_mask"][:, 1:]
    logits = model(input_ids=ids, attention_mask=batch["attention_mask"], use_cache=False).logits
    scores = -functional.cross_entropy(logits[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none")
    chosen, rejected = (scores * mask).sum(1).chunk(2)
    nll = -chosen.sum() / mask.chunk(2)[0].sum()
    return -functional.logsigmoid(0.1 * (chosen - rejected)).mean() + nll


def report(name: str, io: TakingTurns) -> None:
    print(f"\n{name} step: {io.ratio():.2f} times the CPU time of a plain torch loop")


def test_a_supervised_step_against_a_plain_loop(init: Path, io: TakingTurns) -> None:
    rng = random.Random(0)
    examples = [
        Example(id=str(i), prompt_T=ids(rng, 35, 76), completion_T=(*ids(rng, 25, 49), 1))
        for i in range(BATCH * STEPS)
    ]
    rows = [{"prompt": list(e.prompt_T), "completion": list(e.completion_T)} for e in examples]
    collate = ExampleBatches(pad_id=0)
    batches = [collate(rows[i : i + BATCH]) for i in range(0, len(rows), BATCH)]
    io.take_turns_with(plain_steps(init, batches, likelihood_loss))
    train_sft(init, examples, [], SftParams(learning_rate=1e-3, batch_size=BATCH), io)
    report("SFT", io)


def test_a_preference_step_against_a_plain_loop(init: Path, io: TakingTurns) -> None:
    rng = random.Random(0)
    pairs = [
        Pair(
            id=str(i),
            prompt_T=ids(rng, 35, 76),
            chosen_T=(*ids(rng, 25, 49), 1),
            rejected_T=(*ids(rng, 25, 49), 1),
        )
        for i in range(BATCH * STEPS)
    ]
    rows = [
        {"prompt": list(p.prompt_T), "chosen": list(p.chosen_T), "rejected": list(p.rejected_T)}
        for p in pairs
    ]
    collate = PairBatches(pad_id=0)
    batches = [collate(rows[i : i + BATCH]) for i in range(0, len(rows), BATCH)]
    io.take_turns_with(plain_steps(init, batches, preference_loss))
    params = DpoParams(learning_rate=2e-5, batch_size=BATCH, nll_weight=1.0)
    train_dpo(init, pairs, [], params, io)
    report("DPO", io)
