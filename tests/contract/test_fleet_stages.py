"""Do stages ask the fleets that their campaign names, and say whose words they wrote down?"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel

from jobs.backends.base import Served, ShardTask
from jobs.runtime.stage_io import AttemptIO, Place
from jobs.spec.errors import ConfigError
from jobs.store.objects import open_store
from rprm.chain_policy import ChainFormat
from rprm.data.chain_tokenizer import chain_tokenizer
from tests.contract.in_process import run_in_process
from tests.contract.standin_text import Script
from tests.contract.vllm_standin import VllmStandin

CHAIN_BASE = Path(__file__).parents[2] / "rprm" / "data" / "chain_base"
CHECKPOINT = "artifacts/dpo-0123456789abcdef/checkpoints/0000000200"


INSTANCES = ("teacher", "tutor[seed=1]", "judge[seed=1]", "judge[seed=2]", "policy")


class Trained:
    """Leaves a model, as training stages do."""

    kind: ClassVar[str] = "single"
    version: ClassVar[str] = "1"

    class Params(BaseModel):
        seed: int = 0

    def __init__(self, params: Params) -> None:
        self.params = params

    def run(self, io: Any) -> None:
        io.publish(CHAIN_BASE, "model")


CAMPAIGN = f"""
apiVersion: rprm.dev/v1alpha1
kind: Campaign
metadata: {{name: fleets}}
spec:
  fleets:
    - {{name: teacher, role: teacher, model: "{CHECKPOINT}"}}
    - {{name: tutor, role: teacher, model: {{stage: trained, where: {{seed: 1}}}}}}
    - {{name: judge, role: judge, model: {{stage: trained}}}}
    - {{name: policy, role: policy, model: "builtin:chain_base"}}
  stages:
    - {{name: trained, run: "{__name__}:Trained", sweep: {{seed: [1, 2]}}}}
    - name: world
      run: rprm.stages.world:World
      params: {{solutions: 4, split: train, seed: 1}}
    - name: problems
      run: rprm.stages.chain_problems:ChainProblems
      params: {{problems: 2, split: train}}
    - name: seed
      run: rprm.stages.seed:Seed
      inputs: {{solutions: world}}
      fleets: {{teacher: teacher}}
      params: {{template: chain, max_tokens: 40, num_critiques: 2}}
    - name: taught
      run: rprm.stages.seed:Seed
      inputs: {{solutions: world}}
      fleets: {{teacher: tutor}}
      params: {{template: chain, max_tokens: 40, num_critiques: 2}}
    - name: judged
      run: rprm.stages.sample:Sample
      inputs: {{solutions: world}}
      fleets: {{model: judge}}
      params: {{template: chain, max_tokens: 40, num_critiques: 2}}
    - name: solved
      run: rprm.stages.solve:Solve
      inputs: {{problems: problems}}
      fleets: {{model: policy}}
      params: {{format: chain, samples: 2, max_tokens: 90, grader: exact}}
    - name: searched
      run: rprm.stages.search:Search
      inputs: {{problems: problems}}
      fleets: {{model: policy, judge: judge}}
      params:
        format: chain
        template: chain
        candidates: 2
        num_critiques: 2
        max_tokens: 90
        critique_max_tokens: 40
        max_steps: 2
        grader: exact
"""


def test_every_stage_asks_the_fleet_of_each_of_its_models(tmp_path: Path) -> None:
    said = ChainFormat(chain_tokenizer()).completion(["345 + 210 = 555"])
    scripts: dict[str, Script] = {"policy": lambda prompt, seed: said}  # a step, for the judge
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(VllmStandin(script=scripts.get(name))) for name in INSTANCES
        }
        served = {
            name: Served(url=server.url, model=str(CHAIN_BASE)) for name, server in servers.items()
        }
        ran = run_in_process(CAMPAIGN, tmp_path, served=served)
        asked = {name: len(server.bodies) for name, server in servers.items()}
    assert ran.outcome.succeeded
    assert all(asked.values()), asked
    assert {row["engine"] for row in ran.rows("seed")} == {CHECKPOINT}
    for seed in (1, 2):
        model = ran.stages[f"trained[seed={seed}]"].address
        assert {row["engine"] for row in ran.rows(f"judged[seed={seed}]")} == {model}
        assert ran.facts(f"searched[seed={seed}]")["judge_tokens"] > 0
    assert {row["generator"] for row in ran.rows("solved")} == {"builtin:chain_base"}
    assert {row["engine"] for row in ran.rows("taught")} == {ran.stages["trained[seed=1]"].address}


def io_of(folder: Path, digests: dict[str, str], served: dict[str, Served]) -> AttemptIO:
    task = ShardTask(
        store_url="memory://served",
        store_options={},
        address="judged-1",
        node="judged",
        coordinates={},
        shard=0,
        attempt="a",
        cpus=1,
        served=served,
    )
    return AttemptIO(
        task=task,
        store=open_store("memory://served"),
        spec={"inputs": {}, "digests": digests},
        place=Place(scratch=folder, cache=folder),
        asked_to_leave=lambda: False,
    )


def test_a_worker_is_told_where_each_model_is_served(tmp_path: Path) -> None:
    judge = Served(url="http://judge:8000", model="org/judge", key_env="JUDGE_KEY")
    io = io_of(tmp_path, {"fleet.judge": "d"}, {"judge": judge})
    assert io.served("judge") == judge
    assert io.served("model") is None


def test_a_worker_that_was_not_told_does_not_run_the_model_itself(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"was not told where it is\. Fix: run its"):
        io_of(tmp_path, {"fleet.judge": "d"}, {}).served("judge")
