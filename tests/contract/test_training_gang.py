"""Do several processes train as one, and do they leave together?"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rprm.errors import Drained
from rprm.training.dpo import train_dpo
from rprm.training.params import DpoParams, SftParams
from rprm.training.sft import train_sft
from tests.contract.training_workload import attempts_below, build_init, examples, pairs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # every rank imports torch anew
RANKS = 2


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def run_gang(kind: str, init: Path, folder: Path, drain_at: int = 0) -> set[int]:
    launcher = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "WORLD_SIZE": str(RANKS),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "tests.contract.training_rank", kind, init, folder]
    ranks = [
        subprocess.Popen(
            [*map(str, command), str(drain_at)],
            env=os.environ | launcher | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(RANKS)
    ]
    return {rank.wait() for rank in ranks}


SHARED: dict[str, Any] = {
    "learning_rate": 3e-3,
    "batch_size": 8,
    "save_every": 3,
    "logging_every": 2,
}


@pytest.fixture(scope="module")
def init(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "init"
    build_init(folder, attention_dropout=0.0)  # ranks draw their own random numbers
    return folder


def validation_loss(folder: Path, kind: str) -> float:
    loss: float = json.loads((folder / f"{kind}.json").read_text())["loss"]
    return loss


def test_two_processes_drain_together_and_end_where_one_process_ends(
    init: Path, tmp_path: Path
) -> None:
    assert run_gang("sft", init, tmp_path, drain_at=4) == {Drained.exit_code}
    assert run_gang("sft", init, tmp_path) == {0}
    io = attempts_below(tmp_path)()
    alone = train_sft(init, examples(56, 1), examples(16, 2), SftParams(**SHARED), io)
    loss = validation_loss(tmp_path, "sft")
    assert loss == pytest.approx(alone.metrics["eval/loss"], rel=1e-3)


def test_two_processes_prefer_what_one_process_prefers(init: Path, tmp_path: Path) -> None:
    assert run_gang("dpo", init, tmp_path) == {0}
    io = attempts_below(tmp_path)()
    alone = train_dpo(init, pairs(56, 1), pairs(16, 2), DpoParams(**SHARED), io)
    loss = validation_loss(tmp_path, "dpo")
    assert loss == pytest.approx(alone.metrics["eval/loss"], rel=1e-3)
