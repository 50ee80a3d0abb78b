"""Does a campaign with training in it come out the same, to the byte, however often it is killed?

Models, preference pairs and benchmark rows depend on every optimizer step before them, so equal
bytes at the end mean that training resumed exactly each time.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.chaos import REPOSITORY, difference, kill_until
from tests.contract.test_kill import data_of

SAVE_EVERY = 4

CAMPAIGN = f"""
apiVersion: rprm.dev/v1alpha1
kind: Campaign
metadata: {{name: kill-training}}
spec:
  tracking: {{uri: none}}
  defaults: {{retries: {{preempted: 500, backoff: 0s}}}}
  stages:
    - name: base
      run: rprm.stages.drill:Drill
      params: {{examples: 480, validation_examples: 16, hidden: 64, layers: 2, ffn: 128,
               training: {{learning_rate: 0.002, batch_size: 8, save_every: {SAVE_EVERY},
                                 logging_every: 4, max_length: 192}}}}
    - {{name: world, run: "rprm.stages.world:World", shards: 2,
       params: {{solutions: 120, split: train}}}}
    - {{name: test-world, run: "rprm.stages.world:World", params: {{solutions: 24, split: test}}}}
    - {{name: seed, run: "rprm.stages.seed:Seed", inputs: {{solutions: world}}, shards: 4,
       params: {{teacher: scripted-teacher, template: chain, max_tokens: 80}}}}
    - {{name: select, run: "rprm.stages.select:Select", inputs: {{seed: seed}},
       params: {{template: chain, validation_rows: 8}}}}
    - {{name: pairs, run: "rprm.stages.pairs:Pairs", inputs: {{critiques: seed}},
       params: {{template: chain, validation_rows: 4, filtered: false, balanced: false}}}}
    - name: sft
      run: rprm.stages.sft:Sft
      inputs: {{data: select, model: base}}
      params: {{template: chain, training: {{learning_rate: 0.001, batch_size: 4,
               save_every: {SAVE_EVERY}, max_length: 192}}}}
    - name: dpo
      run: rprm.stages.dpo:Dpo
      inputs: {{pairs: pairs, model: sft}}
      params: {{template: chain, training: {{learning_rate: 2e-5, nll_weight: 1.0, batch_size: 4,
               save_every: {SAVE_EVERY}, max_length: 192}}}}
    - {{name: judge, run: "rprm.stages.sample:Sample", shards: 4,
       inputs: {{solutions: test-world, model: dpo}},
       params: {{template: chain, num_critiques: 3, max_tokens: 64}}}}
    - {{name: bench, run: "rprm.stages.bench:Bench",
       inputs: {{solutions: test-world, judged: judge, model: dpo}},
       params: {{benchmark: small_world, system: dpo, ks: [1, 3]}}}}
"""

KILLS = 30


def runs_of(node: str, logs: Path) -> list[tuple[int, int | None]]:
    """Per attempt that began to train: the step it began at, and the last one it committed."""
    found = []
    files = sorted((logs / node).glob("*.log"), key=lambda file: file.stat().st_mtime)
    for file in files:
        events = [json.loads(line) for line in file.read_text().splitlines() if line[:1] == "{"]
        starts = [one["step"] for one in events if one["event"] == "training_starts"]
        commits = [one["step"] for one in events if one["event"] == "checkpoint_committed"]
        if starts:
            found.append((starts[0], commits[-1] if commits else None))
    return found


def check_same(campaign: Path, calm: Path, wild: Path) -> None:
    """Every byte of data and of models; facts name checkpoints by the store's own url."""
    ours, theirs = data_of(campaign, calm / "store"), data_of(campaign, wild / "store")
    assert [one for one in difference(ours, theirs) if not one.endswith(" facts")] == []
    logs = wild / ".rprm" / "runs" / "kill-training" / "logs"
    for node in ("base", "sft", "dpo"):
        committed = 0
        for start, last in runs_of(node, logs):
            assert start >= committed, f"{node} began at {start} with {committed} committed"
            assert start % SAVE_EVERY == 0
            committed = max(committed, last or 0)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_thirty_kills_change_no_byte_of_a_campaign_with_training(tmp_path: Path) -> None:
    campaign = tmp_path / "kills.yaml"
    campaign.write_text(CAMPAIGN)
    calm = tmp_path / "calm"
    calm.mkdir()
    command = [sys.executable, "-m", "jobs", "run", str(campaign), "--store", str(calm / "store")]
    subprocess.run(command, cwd=calm, env={"PYTHONPATH": str(REPOSITORY)}, check=True)
    for wild, report in kill_until(
        KILLS,
        campaign,
        tmp_path,
        between_s=(0.1, 2.5),
        targets=("controller", "workers", "workers", "workers", "everything"),
    ):
        assert report.exit_code == 0, report.output[-3000:]
        assert report.strays == []
        check_same(campaign, calm, wild)
