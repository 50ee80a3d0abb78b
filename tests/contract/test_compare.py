"""Does `rprm compare` find what a campaign measured, and explain what it cannot find?"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from jobs.runtime.events import read_events
from jobs.store.objects import open_store
from rprm.cli import app
from rprm.comparing.finding import artifact_of, find_artifacts
from rprm.data.prmbench import load_prmbench
from rprm.data.processbench import load_processbench
from rprm.data.sources import DATA_VARIABLE, DEFAULT_DATA
from rprm.errors import BadInput, RprmError
from rprm.published.reading import load_published
from rprm.sealed import SealedStore
from tests.contract.in_process import Ran, run_in_process

CAMPAIGN = """
apiVersion: rprm.dev/v1alpha1
kind: Campaign
metadata: {name: judges}
spec:
  stages:
    - name: rows
      run: tests.contract.measuring_stage:Rows
      params: {number: 200}
    - name: few
      run: tests.contract.measuring_stage:Rows
      params: {number: 40}
    - name: bench-sft
      run: tests.contract.measuring_stage:Measured
      inputs: {solutions: rows}
      params: {system: sft, skill: 0.5, seed: "${seed}"}
      sweep: {seed: [1, 2, 3]}
    - name: bench-dpo
      run: tests.contract.measuring_stage:Measured
      inputs: {solutions: rows}
      params: {system: dpo, skill: 0.8}
    - name: bench-few
      run: tests.contract.measuring_stage:Measured
      inputs: {solutions: few}
      params: {system: few, skill: 0.8}
"""


@dataclass(frozen=True, kw_only=True)
class Place:
    """As `jobs run` leaves a folder: the store, and the events of each campaign beside it."""

    folder: Path
    ran: Ran

    @property
    def store(self) -> str:
        return str(self.folder / ".rprm" / "store")

    def compare(self, *args: str) -> Any:
        found = CliRunner().invoke(app, ["compare", "--store", self.store, *args])
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        assert found.exit_code == 0, found.output
        return found.stdout

    def rows(self, *args: str) -> dict[str, Any]:
        found = json.loads(self.compare("--json", "--systems", "none", *args))
        return {row["system"]: row for row in found["rows"]}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("work")
    runs = folder / ".rprm" / "runs" / "judges"
    ran = run_in_process(CAMPAIGN, runs, store=open_store(str(folder / ".rprm" / "store")))
    assert ran.outcome.succeeded, ran.outcome.reasons
    return Place(folder=folder, ran=ran)


def test_a_campaign_is_all_that_its_last_run_measured(place: Place) -> None:
    assert set(place.rows("judges")) == {"sft", "dpo", "few"}
    assert place.rows("any/where/judges.yaml") == place.rows("judges")
    events = list(read_events(place.folder / ".rprm" / "runs" / "judges" / "events.jsonl"))
    assert {"stage_sealed"} <= {event["event"] for event in events}


def test_a_stage_an_address_and_a_place_in_a_store_name_the_same(place: Place) -> None:
    address = place.ran.stages["bench-dpo"].address
    by_stage = place.rows("bench-dpo")
    assert by_stage == place.rows(address) == place.rows(address[:-4])
    assert by_stage == place.rows(f"{place.store}/artifacts/{address}")
    [artifact] = find_artifacts(address, store=place.store)
    assert list(artifact.rows) == place.ran.rows("bench-dpo")
    assert dict(artifact.facts) == place.ran.facts("bench-dpo")


def test_seeds_are_one_line_and_judges_of_the_same_rows_are_paired(place: Place) -> None:
    found = place.rows("judges", "--baseline", "sft")
    assert found["dpo"]["differences"]["average/f1"]["low"] > 0
    assert found["few"]["differences"] == {}  # other rows
    values = [
        place.ran.facts(f"bench-sft[seed={seed}]")["curve"][-1]["f1"]["value"] for seed in (1, 2, 3)
    ]
    assert found["sft"]["cells"]["average/f1"]["value"] == pytest.approx(sum(values) / 3)


def test_the_same_rows_under_another_address_are_the_same_data(place: Place) -> None:
    view = SealedStore(place.store)
    names = ("bench-sft[seed=1]", "bench-dpo", "bench-few")
    sealed = [view.need(place.ran.stages[name].address) for name in names]
    digests = {one.stage: artifact_of(view, one).digest for one in sealed}
    assert digests["bench-sft"] == digests["bench-dpo"] != digests["bench-few"]


def test_a_smaller_k_and_a_name_can_be_asked_for(place: Place) -> None:
    found = place.rows("my judge=bench-dpo", "-K", "1")
    facts = place.ran.facts("bench-dpo")["curve"][0]
    assert found["my judge"]["cells"]["average/f1"]["value"] == pytest.approx(facts["f1"]["value"])
    with pytest.raises(BadInput, match=r"not measured with K = 2 critiques\. Fix: use one of 1, 4"):
        place.compare("bench-dpo", "-K", "2")


@pytest.mark.parametrize(
    ("args", "told"),
    [
        # a name near another
        (["bench-dpp"], "no run called 'bench-dpp'. Fix: did you mean 'bench-dpo'"),
        # a stage that measures nothing
        (["rows"], "campaigns here: judges; measuring stages: bench-"),
        # of another benchmark
        (
            ["judges", "-b", "prmbench"],
            "judges has no line in prmbench. Fix: use --benchmark processbench",
        ),
        # no such file
        (["scores.json"], "cannot read scores.json"),
    ],
)
def test_what_cannot_be_found_is_told_with_what_there_is(
    place: Place, args: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place.folder)  # campaigns that ran in this folder are known too
    with pytest.raises(BadInput) as caught:
        place.compare(*args)
    assert told in str(caught.value)


def test_an_artifact_that_measures_nothing_is_told(place: Place) -> None:
    address = place.ran.stages["rows"].address
    with pytest.raises(BadInput, match="measures nothing: it is an artifact of stage 'rows'"):
        place.compare(f"{place.store}/artifacts/{address}")
    with pytest.raises(BadInput, match="no finished artifact"):
        place.compare(f"{place.store}/artifacts/rows-0")


def test_an_artifact_whose_rows_are_gone_is_told(place: Place, tmp_path: Path) -> None:
    address = place.ran.stages["bench-dpo"].address
    copy = tmp_path / "store" / "artifacts" / address
    shutil.copytree(Path(place.store) / "artifacts" / address, copy)
    shutil.rmtree(copy / "shards")
    with pytest.raises(RprmError, match=r"store/artifacts/.* is gone, though .* sealed"):
        place.compare(str(copy))


def test_a_file_is_written_in_the_format_of_its_name(place: Place, tmp_path: Path) -> None:
    for name, start in (("a.html", "<!doctype html>"), ("a.md", "## ProcessBench")):
        place.compare("judges", "-s", "R-PRM", "--output", str(tmp_path / name))
        assert (tmp_path / name).read_text().startswith(start)
    with pytest.raises(BadInput, match="cannot write"):
        place.compare("--output", str(tmp_path / "none" / "a.md"))


def test_help_and_published_tables_need_no_store(tmp_path: Path) -> None:
    for args, told in ((["--help"], "Examples"), (["-b", "prmbench"], "R-PRM-7B-DPO")):
        found = subprocess.run(
            [sys.executable, "-m", "rprm", "compare", *args],
            cwd=tmp_path,
            env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "", "COLUMNS": "120"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert told in found.stdout


# --- real data ------------------------------------------------------------------------------------

DATA = Path(os.environ.get(DATA_VARIABLE) or DEFAULT_DATA)


def require(folder: str) -> Path:
    if not (DATA / folder).is_dir():
        pytest.skip(f"no {folder} in {DATA}; set {DATA_VARIABLE} to the folder that holds it")
    return DATA / folder


def test_published_sizes_of_processbench_are_those_of_the_data() -> None:
    bench = load_processbench(str(require("processbench")))
    counts = Counter((one.subset, one.label >= 0) for one in bench.solutions)
    for name, size in load_published().table("processbench").sizes.items():
        assert (size.error, size.correct) == (counts[name, True], counts[name, False])


def test_published_sizes_of_prmbench_are_those_of_the_data() -> None:
    require("prmbench")
    counts = Counter(item.solution.subset for item in load_prmbench().items)
    sizes = load_published().table("prmbench").sizes
    assert {name: size.rows for name, size in sizes.items()} == counts


def test_published_sizes_of_the_math_sets_are_those_of_the_data() -> None:
    folder = require("math")
    chosen = json.loads((folder / "seed_subsets.json").read_text())
    drawn = {key.split("_200")[0]: len(rows) for key, rows in chosen.items()}
    assert set(drawn) == {"olympiadbench", "college_math"}
    for name, size in load_published().table("best-of-n").sizes.items():
        lines = len((folder / f"{name}.jsonl").read_bytes().splitlines())
        assert size.rows == drawn.get(name, lines)
