"""Does a campaign come out the same, to the byte, when its processes are killed all the time?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from jobs.runtime.session import open_session
from jobs.store import layout
from jobs.store.artifacts import Artifact
from tests.contract.chaos import REPOSITORY, TARGETS, difference, kill_until

CAMPAIGN = """
apiVersion: rprm.dev/v1alpha1
kind: Campaign
metadata: {name: kills}
spec:
  tracking: {uri: none}
  defaults: {retries: {preempted: 500, backoff: 100ms}}
  stages:
    - {name: numbers, run: "tests.toy.stages:Numbers", params: {rows: 60, sleep_s: 0.1}, shards: 20}
    - {name: scaled, run: "tests.toy.stages:Slow", inputs: {rows: numbers}, shards: 12,
       params: {sleep_s: 0.05}, sweep: {scale: [2, 3]}}
    - {name: total, run: "tests.toy.stages:Sum", inputs: {numbers: {gather: [scaled, numbers]}}}
    - {name: last, run: "tests.toy.stages:Slow", inputs: {rows: scaled}, shards: 10,
       params: {sleep_s: 0.05, scale: 5}}
"""

KILLS = 30


def data_of(campaign: Path, store: Path) -> dict[str, bytes]:
    """Every committed data file and every digest, by stage and shard."""
    session = open_session(campaign, store=str(store))
    found: dict[str, bytes] = {}
    for stage in session.stages:
        artifact = Artifact(session.store, stage.address)
        seal = artifact.read_seal()
        assert seal is not None, f"{stage.node.name} is not sealed"
        found[f"{stage.node.name} digest"] = seal.data_digest.encode()
        found[f"{stage.node.name} facts"] = repr(sorted(seal.facts.items())).encode()
        for shard in (one for one in seal.shards if one.bytes):  # a model has no rows
            key = layout.data_key(stage.address, shard.index, shard.attempt)
            found[f"{stage.node.name} shard {shard.index}"] = session.store.get(key)
        for file in seal.files:
            key = layout.file_key(stage.address, file.name)
            found[f"{stage.node.name} file {file.name}"] = session.store.get(key)
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_thirty_kills_change_no_byte_and_leave_no_process(tmp_path: Path) -> None:
    campaign = tmp_path / "kills.yaml"
    campaign.write_text(CAMPAIGN)
    calm = tmp_path / "calm"
    calm.mkdir()
    command = [sys.executable, "-m", "jobs", "run", str(campaign), "--store", str(calm / "store")]
    subprocess.run(command, cwd=calm, env={"PYTHONPATH": str(REPOSITORY)}, check=True)
    expected = data_of(campaign, calm / "store")
    targets: set[str] = set()
    for wild, report in kill_until(
        KILLS, campaign, tmp_path, between_s=(0.05, 1.5), targets=(*TARGETS, "workers")
    ):
        targets |= {kill.target for kill in report.kills}
        assert report.exit_code == 0, report.output[-3000:]
        assert report.strays == []
        assert difference(expected, data_of(campaign, wild / "store")) == []
        numbers = next(s.address for s in open_session(campaign).stages if s.node.name == "numbers")
        rows = Artifact(open_session(campaign, store=str(wild / "store")).store, numbers).table()
        assert rows.column("row").to_pylist() == list(range(60))
    assert targets == set(TARGETS)
