"""What does one rank of a training gang do?  Started by test_training_gang.py."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from rprm.errors import Drained
from rprm.training.dpo import train_dpo
from rprm.training.params import DpoParams, SftParams
from rprm.training.sft import train_sft
from tests.contract.fake_training_stage import FakeTrainingStage
from tests.contract.training_workload import examples, pairs


class AskedToLeave(FakeTrainingStage):
    """Only this rank is asked, and only from the nth time on that it looks."""

    looks = 0

    @property
    def draining(self) -> bool:
        self.looks += 1
        return self.drain_at is not None and self.looks >= self.drain_at


def main(kind: str, init: Path, folder: Path, drain_at: int) -> None:
    rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    scratch = folder / f"scratch-{kind}-{drain_at}-{rank}"
    scratch.mkdir()
    io = AskedToLeave(
        store=folder / f"store-{kind}",
        scratch=scratch,
        rank=rank,
        world_size=world_size,
        drain_at=drain_at if rank == 1 and drain_at else None,
    )
    shared = {"learning_rate": 3e-3, "batch_size": 8, "save_every": 3, "logging_every": 2}
    try:
        if kind == "sft":
            result = train_sft(init, examples(56, 1), examples(16, 2), SftParams(**shared), io)
        else:
            result = train_dpo(init, pairs(56, 1), pairs(16, 2), DpoParams(**shared), io)
    except Drained:
        sys.exit(Drained.exit_code)
    if rank == 0:
        report = {"best_step": result.best_step, "loss": result.metrics["eval/loss"]}
        (folder / f"{kind}.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
