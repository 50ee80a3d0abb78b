"""How does a test run a critic's campaign against the stand-in for a hosted API?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jobs.store.objects import open_store
from tests.contract.in_process import Ran, run_in_process
from tests.contract.openai_server import OpenAiServer

KEY = 'sk-hostile-%s{0}\\"<b>$(id)'

CAMPAIGN = """
apiVersion: rprm.dev/v1alpha1
kind: Campaign
metadata: {name: critics}
spec:
  tracking: {uri: none}
  defaults: {retries: {backoff: 0s}}
  stages:
    - name: world
      run: rprm.stages.world:World
      params: {solutions: 30, split: test}
    - name: critic
      run: rprm.stages.critic:Critic
      inputs: {solutions: world}
      shards: 2
      params: PARAMS
    - name: bench
      run: rprm.stages.bench_scores:BenchScores
      inputs: {solutions: world, scores: critic}
      params: {benchmark: small_world, system: critic, resamples: 50}
"""

PACE = {"first_wait_s": 0.001, "longest_wait_s": 0.002, "max_in_flight": 8, "batch_solutions": 4}


def params(server: OpenAiServer, **changed: Any) -> dict[str, Any]:
    given = {"critic": "judge", "base_url": server.base_url, "key_env": "CRITIC_KEY"}
    return given | PACE | changed


def run(server: OpenAiServer, folder: Path, text: str = CAMPAIGN, **changed: Any) -> Ran:
    folder.mkdir(exist_ok=True)
    filled = text.replace("PARAMS", json.dumps(params(server, **changed)))
    return run_in_process(filled, folder, store=open_store(str(folder / "store")))
