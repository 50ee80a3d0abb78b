"""Are the prompts of the whole of ProcessBench those that another harness makes of it?

EvalScope publishes the number of prompts and their mean, least and largest length per subset.
Reads the folder RPRM_DATA (default ../shared/data) and skips, saying so, where it is absent.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rprm.data.processbench import load_processbench
from rprm.data.sources import DATA_VARIABLE, DEFAULT_DATA
from rprm.peers.critic_protocols import ProcessBenchCritique
from rprm.peers.critics import critic_model

ROOT = Path(os.environ.get(DATA_VARIABLE) or DEFAULT_DATA)

LENGTHS = {
    "gsm8k": (400, 1824.26, 876, 4520),
    "math": (1000, 2297.11, 690, 7565),
    "olympiadbench": (1000, 3166.77, 1129, 9005),
    "omnimath": (1000, 3206.82, 832, 8550),
}
"""Prompts, mean, least and most characters."""


def test_every_prompt_has_the_length_that_another_harness_publishes() -> None:
    if not (ROOT / "processbench").is_dir():
        pytest.skip(f"no processbench in {ROOT}; set {DATA_VARIABLE} to the folder that holds it")
    protocol = ProcessBenchCritique(critic_model("gpt-4o-2024-08-06"), votes=1)
    lengths: dict[str, list[int]] = {}
    for solution in load_processbench().solutions:
        (message,) = protocol.request(solution).messages
        lengths.setdefault(solution.subset, []).append(len(message.text))
    found = {
        subset: (len(of), round(sum(of) / len(of), 2), min(of), max(of))
        for subset, of in lengths.items()
    }
    assert found == LENGTHS
