"""What does batching by length gain over one solution at a time, as published scripts score?

Peer      the same model and adapter with one solution per forward pass
Setting   tiny random models in Qwen's protocol on a CPU, fp32, one thread, solutions of ragged
          lengths; laying out the tokens is part of both.  A GPU gains more: there a single
          solution leaves most of it idle
Measure   solutions per second of CPU time, the two taking turns; and the share of padding
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from rprm.peers.base import PeerOptions, batches_of
from rprm.peers.batched import BATCH_TOKENS, BatchedScorer
from rprm.peers.factory import make_peer
from rprm.schema import Solution
from tests.contract.peer_models import qwen_prm, solution

SOLUTIONS = 96
ROUNDS = 3


def ragged() -> list[Solution]:
    rng = random.Random(0)
    return [
        solution(f"s{index}", *(f"Add {n} to {n}." for n in range(rng.randint(1, 14))))
        for index in range(SOLUTIONS)
    ]


def scorer(folder: Path, *, batch_tokens: int | None = None) -> BatchedScorer:
    options = PeerOptions(batch_tokens=batch_tokens)
    made = make_peer("qwen2.5-math-prm-7b", model=folder, options=options)
    assert isinstance(made, BatchedScorer)
    return made


def per_cpu_s(judge: BatchedScorer, solutions: list[Solution]) -> float:
    start = time.process_time()
    assert len(list(judge.score(solutions))) == SOLUTIONS
    return SOLUTIONS / (time.process_time() - start)


def padding(judge: BatchedScorer, solutions: list[Solution]) -> float:
    """Share of the tokens run that are padding."""
    lengths = [judge.layout(one).length for one in solutions]
    batches = batches_of(lengths, batch_tokens=BATCH_TOKENS["cpu"])
    run = sum(max(lengths[index] for index in batch) * len(batch) for batch in batches)
    return 1 - sum(lengths) / run


@pytest.mark.bench
@pytest.mark.slow
@pytest.mark.parametrize("hidden", [32, 128])
def test_batches_are_faster_than_one_at_a_time(
    hidden: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, solutions = qwen_prm(tmp_path, hidden=hidden), ragged()
    together, alone = scorer(folder), scorer(folder, batch_tokens=1)
    per_cpu_s(together, solutions)
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(ROUNDS):
        ours.append(per_cpu_s(together, solutions))
        theirs.append(per_cpu_s(alone, solutions))
    ratio = max(ours) / max(theirs)
    with capsys.disabled():
        print(
            f"\nhidden {hidden}: batched {ratio:.1f}x one at a time,"
            f" {padding(together, solutions):.0%} padding"
        )
    assert ratio > 1
