"""Does a campaign come out whole when the replicas it calls come, hang, die and go?

Real processes: `jobs run`, its workers, and replicas that serve the stand-in instead of vLLM (it is
held to vLLM by test_vllm_protocol.py).  What is sampled depends on prompts and seeds alone, so
every byte can be compared with that of an undisturbed run.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.fleet.told import ToldFleet, ToldReplica, read_told
from jobs.runtime.session import open_session
from jobs.spec.exitcodes import BAD_CONFIG, DONE, DRAINED, FAILED
from jobs.store.artifacts import Artifact
from tests.contract.real_vllm import CHAIN_BASE
from tests.contract.shell import Shell, until
from tests.contract.standin_server import BROKEN, python_with_standin

CAMPAIGN = """
apiVersion: rprm.dev/v1alpha1
kind: Campaign
metadata: {name: served}
spec:
  tracking: {uri: none}
  defaults: {retries: {backoff: 0s, failed: 1, preempted: 20}}
  fleets:
    - name: judge
      role: judge
      model: model
      engine: {max_num_seqs: 4}
      minReplicas: MIN
      maxReplicas: 2
  stages:
    - {name: world, run: "rprm.stages.world:World",
       params: {solutions: ROWS, split: train, seed: 1}}
    - {name: judged, run: "rprm.stages.sample:Sample", inputs: {solutions: world},
       fleets: {model: judge}, shards: 4,
       params: {template: chain, num_critiques: 3, max_tokens: 40}}
"""
CALM, SLOW = "0", "0.02"


class Served(Shell):
    """`jobs run` on a campaign with one fleet."""

    def __init__(self, folder: Path, *, step_s: str = CALM) -> None:
        super().__init__(folder)
        shutil.copytree(CHAIN_BASE, folder / "model")
        self.env |= {
            "RPRM_VLLM": str(python_with_standin(folder)),
            "STANDIN_STEP_S": step_s,
            "CUDA_VISIBLE_DEVICES": "",
        }

    def campaign(self, *, rows: int = 8, least: int = 0) -> str:
        return self.write(CAMPAIGN.replace("ROWS", str(rows)).replace("MIN", str(least)))

    @property
    def told(self) -> Path:
        return self.folder / ".rprm/runs/served/fleets/state.json"

    def fleet(self) -> ToldFleet | None:
        told = read_told(self.told)
        return told.fleets[0] if told and told.fleets else None

    def replicas(self, state: str = "ready") -> list[ToldReplica]:
        fleet = self.fleet()
        return [one for one in fleet.replicas if one.state == state] if fleet else []

    def busy(self) -> list[ToldReplica]:
        return [one for one in self.replicas() if one.running]

    def table(self) -> list[dict[str, object]]:
        os.chdir(self.folder)  # a campaign names its folders from where it runs
        session = open_session(self.folder / "toy.yaml")
        return Artifact(session.store, session.by_name["judged"].address).table().to_pylist()

    def servers(self) -> dict[int, str]:
        """Processes of this folder's replicas, by pid."""
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                environ = (entry / "environ").read_bytes()
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if str(self.folder).encode() in environ and "standin_server" in command:
                found[int(entry.name)] = command
        return found

    def server_of(self, replica: ToldReplica) -> int:
        port = replica.url.rpartition(":")[2]
        return next(pid for pid, command in self.servers().items() if f"--port {port}" in command)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    here = Path.cwd()
    yield tmp_path
    os.chdir(here)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[dict[str, object]]]:
    """Rows of an undisturbed run, by the number of solutions."""
    return {}


def undisturbed(
    expected: dict[int, list[dict[str, object]]], rows: int, folder: Path
) -> list[dict[str, object]]:
    if rows not in expected:
        folder.mkdir()
        shell = Served(folder)
        done = shell("run", shell.campaign(rows=rows))
        assert done.returncode == DONE, done.stdout + done.stderr
        expected[rows] = shell.table()
    return expected[rows]


def test_a_campaign_runs_through_its_fleet_and_leaves_nothing_of_it(place: Path) -> None:
    shell = Served(place)
    done = shell("run", shell.campaign())
    assert done.returncode == DONE, done.stdout + done.stderr
    rows = shell.table()
    assert len({row["id"] for row in rows}) == len(rows) > 8
    assert shell.servers() == {}
    assert not shell.told.exists()
    events = [event["event"] for event in shell.events("served")]
    assert {"replica_started", "replica_ready"} <= set(events)
    again = shell("run", "toy.yaml")
    assert again.returncode == DONE
    assert "2 were reused" in again.stdout + again.stderr


@pytest.mark.slow
def test_killing_a_replica_loses_no_row_and_brings_another(
    place: Path, expected: dict[int, list[dict[str, object]]]
) -> None:
    calm = undisturbed(expected, 40, place / "calm")
    (place / "wild").mkdir()
    shell = Served(place / "wild", step_s=SLOW)
    running = shell.start("run", shell.campaign(rows=40, least=2))
    until(lambda: len(shell.busy()) == 2)
    os.kill(shell.server_of(shell.busy()[0]), signal.SIGKILL)
    output, _ = running.communicate(timeout=120)
    assert running.returncode == DONE, output
    assert shell.table() == calm
    names = [event["event"] for event in shell.events("served")]
    assert "replica_lost" in names
    assert names.count("replica_started") == 3


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_stopped_replica_is_found_and_replaced_and_no_row_is_lost(
    place: Path, expected: dict[int, list[dict[str, object]]]
) -> None:
    calm = undisturbed(expected, 40, place / "calm")
    (place / "wild").mkdir()
    shell = Served(place / "wild", step_s="0.03")
    running = shell.start("run", shell.campaign(rows=40, least=2))
    until(lambda: len(shell.busy()) == 2)
    os.kill(shell.server_of(shell.busy()[0]), signal.SIGSTOP)
    output, _ = running.communicate(timeout=300)
    assert running.returncode == DONE, output
    assert shell.table() == calm
    assert shell.servers() == {}


@pytest.mark.slow
def test_killing_the_controller_leaves_no_replica_and_the_next_run_goes_on(
    place: Path, expected: dict[int, list[dict[str, object]]]
) -> None:
    calm = undisturbed(expected, 40, place / "calm")
    (place / "wild").mkdir()
    shell = Served(place / "wild", step_s=SLOW)
    running = shell.start("run", shell.campaign(rows=40))
    until(lambda: bool(shell.busy()))
    os.kill(running.pid, signal.SIGKILL)
    running.communicate(timeout=60)
    until(lambda: shell.servers() == {})
    done = shell("run", "toy.yaml")
    assert done.returncode == DONE, done.stdout + done.stderr
    assert shell.table() == calm
    assert shell.servers() == {}


@pytest.mark.slow
def test_a_stop_ends_workers_first_and_replicas_after_them(place: Path) -> None:
    shell = Served(place, step_s=SLOW)
    running = shell.start("run", shell.campaign(rows=40))
    until(lambda: bool(shell.busy()))
    os.kill(running.pid, signal.SIGTERM)
    output, _ = running.communicate(timeout=120)
    assert running.returncode == DRAINED, output
    assert shell.servers() == {}


def test_a_fleet_that_cannot_start_fails_its_stages_with_the_servers_own_words(
    place: Path,
) -> None:
    shell = Served(place)
    shell.env["RPRM_VLLM"] = str(python_with_standin(place, script=BROKEN))
    done = shell("run", shell.campaign())
    assert done.returncode == FAILED
    assert "ValueError: the model's head does not fit" in done.stdout + done.stderr
    assert "judged" in done.stdout + done.stderr


def test_a_plan_tells_which_fleet_would_serve_which_stages(place: Path) -> None:
    shell = Served(place)
    shell.env["RPRM_VLLM"] = "/no/such/python"  # nothing is started, so nothing is missed
    done = shell("plan", shell.campaign())
    assert done.returncode == DONE, done.stderr
    assert "fleet judge: 0 to 2 replicas of 1 CPU, for judged" in done.stdout


def test_a_campaign_whose_fleets_never_fit_does_not_start(place: Path) -> None:
    shell = Served(place)
    shell.write(CAMPAIGN.replace("ROWS", "2").replace("MIN", "0\n      resources: {gpus: 64}"))
    done = shell("run", "toy.yaml")
    assert done.returncode == BAD_CONFIG
    assert "need 64 GPUs side by side; this machine has 0" in done.stderr
    assert shell.events("served") == []


def test_a_campaign_with_fleets_needs_a_python_with_vllm_before_it_starts(place: Path) -> None:
    shell = Served(place)
    shell.env["RPRM_VLLM"] = "/no/such/python"
    done = shell("run", shell.campaign())
    assert done.returncode == BAD_CONFIG
    assert "RPRM_VLLM" in done.stderr
