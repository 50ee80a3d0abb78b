"""Do the stages that sample work through servers as they do in their own process?"""

from __future__ import annotations

from pathlib import Path

from tests.contract.in_process import run_in_process
from tests.contract.vllm_standin import VllmStandin

CAMPAIGN = """
apiVersion: rprm.dev/v1alpha1
kind: Campaign
metadata: {name: served}
spec:
  stages:
    - name: world
      run: rprm.stages.world:World
      params: {solutions: 6, split: train, seed: 1}
    - name: problems
      run: rprm.stages.chain_problems:ChainProblems
      params: {problems: 3, split: train}
    - name: seed
      run: rprm.stages.seed:Seed
      inputs: {solutions: world}
      params:
        teacher: builtin:chain_base
        template: chain
        max_tokens: 60
        engine: {url: "URL"}
    - name: solve
      run: rprm.stages.solve:Solve
      inputs: {problems: problems}
      params:
        model: builtin:chain_base
        format: chain
        samples: 3
        max_tokens: 40
        grader: exact
        engine: {url: "URL"}
    - name: search
      run: rprm.stages.search:Search
      inputs: {problems: problems}
      params:
        model: builtin:chain_base
        judge: builtin:chain_base
        format: chain
        template: chain
        candidates: 2
        num_critiques: 2
        max_tokens: 20
        critique_max_tokens: 40
        max_steps: 2
        grader: exact
        engine: {url: "URL"}
        judge_engine: {url: "URL"}
"""


def test_stages_sample_through_servers(tmp_path: Path) -> None:
    with VllmStandin() as server:
        ran = run_in_process(CAMPAIGN.replace("URL", server.url), tmp_path)
        asked = len(server.bodies)
    critiques = [one for row in ran.rows("seed") for one in row["critiques"]]
    assert len(critiques) == 4 * len(ran.rows("seed")) > 0
    assert ran.facts("seed")["critique_tokens"] > 0
    assert len(ran.rows("solve")) == 9
    assert ran.facts("search")["policy_tokens"] > 0
    assert asked > 20


def test_where_a_model_was_asked_is_part_of_the_address(tmp_path: Path) -> None:
    with VllmStandin() as one, VllmStandin() as other:
        first, second = (
            run_in_process(CAMPAIGN.replace("URL", server.url), tmp_path / server.url[-5:])
            for server in (one, other)
        )
    assert first.stages["seed"].address != second.stages["seed"].address
    assert first.stages["world"].address == second.stages["world"].address
    assert first.rows("seed") == second.rows("seed")
