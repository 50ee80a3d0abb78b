"""Does the key of servers that others keep reach the servers, and nothing else?"""

from __future__ import annotations

import shutil
from pathlib import Path

from jobs.spec.exitcodes import BAD_CONFIG, DONE, FAILED
from tests.contract.real_vllm import CHAIN_BASE
from tests.contract.shell import Shell
from tests.contract.vllm_standin import VllmStandin

KEY = "a-key-that-nobody-may-read-0123456789"
CAMPAIGN = """
apiVersion: rprm.dev/v1alpha1
kind: Campaign
metadata: {name: keyed}
spec:
  defaults: {retries: {backoff: 0s, failed: 0}}
  fleets:
    - {name: theirs, role: judge, model: model, url: "URL", keyEnv: JUDGE_KEY}
  stages:
    - {name: world, run: "rprm.stages.world:World",
       params: {solutions: 3, split: train, seed: 1}}
    - {name: judged, run: "rprm.stages.sample:Sample", inputs: {solutions: world},
       fleets: {model: theirs}, params: {template: chain, num_critiques: 2, max_tokens: 40}}
"""


def keyed(folder: Path, url: str) -> Shell:
    shell = Shell(folder)
    shutil.copytree(CHAIN_BASE, folder / "model")
    shell.write(CAMPAIGN.replace("URL", url))
    shell.env.pop("RPRM_VLLM", None)  # nobody is started, so nothing is missed
    return shell


def places_of(secret: str, folder: Path) -> list[str]:
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and secret.encode() in path.read_bytes()
    ]


def test_the_key_is_in_no_log_event_artifact_or_tracked_run(tmp_path: Path) -> None:
    with VllmStandin(key=KEY) as server:
        shell = keyed(tmp_path, server.url)
        shell.env["JUDGE_KEY"] = KEY
        done = shell("run", "toy.yaml")
    assert done.returncode == DONE, done.stdout + done.stderr
    assert server.bodies
    assert KEY not in done.stdout + done.stderr
    assert places_of("fleet.model", tmp_path)  # the search finds what is there
    assert places_of(KEY, tmp_path) == []


def test_a_key_that_is_missing_is_told_by_its_variable(tmp_path: Path) -> None:
    with VllmStandin(key=KEY) as server:
        shell = keyed(tmp_path, server.url)
        done = shell("run", "toy.yaml")
    assert done.returncode == FAILED
    assert "JUDGE_KEY is not set" in shell("explain", "toy.yaml", "judged").stdout


def test_a_key_in_the_campaign_is_refused_without_being_repeated(tmp_path: Path) -> None:
    shell = keyed(tmp_path, "http://judge:8000")
    shell.write(CAMPAIGN.replace("URL", "http://judge:8000").replace("JUDGE_KEY", KEY))
    done = shell("plan", "toy.yaml")
    assert done.returncode == BAD_CONFIG
    assert "keyEnv" in done.stderr
    assert KEY not in done.stdout + done.stderr
