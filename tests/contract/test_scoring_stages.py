"""Do the stages that measure peers and PRMBench fit into a campaign, and tell the right numbers?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rprm.benchmarks.prmbench import NAMES
from rprm.data.prmbench import CLASSES
from rprm.stages.measuring import OUTCOMES, read_outcomes
from tests.contract.in_process import Ran, run_in_process

CAMPAIGN = """
apiVersion: rprm.dev/v1alpha1
kind: Campaign
metadata: {{name: scoring}}
spec:
  stages:
    - name: items
      run: rprm.stages.load:Load
      params: {{format: prmbench, source: {folder}/prmbench}}
    - name: part
      run: rprm.stages.load:Load
      params: {{format: prmbench, source: {folder}/prmbench, subsets: [circular, deception],
               limit: 3}}
    - name: said
      run: tests.contract.scoring_stage:TextScores
      inputs: {{solutions: items}}
    - name: prmbench
      run: rprm.stages.prmbench:PrmBench
      inputs: {{items: items, scores: said}}
      params: {{system: text, resamples: 50}}
    - name: bench-data
      run: rprm.stages.load:Load
      params: {{format: processbench, source: {folder}/processbench}}
    - name: peer
      run: tests.contract.scoring_stage:TextScores
      inputs: {{solutions: bench-data}}
      params: {{peer: skywork-prm-7b}}
    - name: bench
      run: rprm.stages.bench_scores:BenchScores
      inputs: {{solutions: bench-data, scores: peer}}
      params: {{system: skywork, resamples: 50}}
    - name: bench-half
      run: rprm.stages.bench_scores:BenchScores
      inputs: {{solutions: bench-data, scores: peer}}
      params: {{system: half, threshold: 0.5, resamples: 50}}
    - name: judged-items
      run: tests.contract.scoring_stage:TextJudged
      inputs: {{solutions: items}}
      params: {{all_steps: true}}
    - name: prmbench-of-judge
      run: rprm.stages.prmbench:PrmBench
      inputs: {{items: items, judged: judged-items}}
      params: {{system: judge, resamples: 50}}
    - name: judged
      run: tests.contract.scoring_stage:TextJudged
      inputs: {{solutions: bench-data}}
    - name: bench-of-judge
      run: rprm.stages.bench:Bench
      inputs: {{solutions: bench-data, judged: judged}}
      params: {{system: judge, ks: [1, 2], orders: 2, resamples: 50}}
    - name: promote
      run: rprm.stages.promote:Promote
      inputs: {{candidate: bench, model: bench}}
"""

PROCESSBENCH = {
    "gsm8k": [("g-0", ["0.9", "0.3"], 1), ("g-1", ["0.4", "0.9"], -1), ("g-2", ["refuse"], 0)],
    "math": [("m-0", ["0.2", "0.9"], 0), ("m-1", ["0.9", "?"], -1), ("m-2", ["0.4"], -1)],
}


def write(folder: Path) -> None:
    (folder / "prmbench").mkdir()
    rows = [
        {
            "idx": str(number),
            "classification": name,
            "original_question": f"q{number}",
            "modified_question": f"q{number}",
            "modified_process": ["0.9", "0.2", "?", "0.8"],
            "error_steps": [] if name == "multi_solutions" else [2, 4, 5],
        }
        for name in CLASSES
        for number in range(2)
    ]
    rows[0]["modified_process"] = ["refuse"]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "prmbench" / "a.jsonl").write_text(lines)
    (folder / "processbench").mkdir()
    for subset, solutions in PROCESSBENCH.items():
        listed: list[dict[str, Any]] = [
            {
                "id": name,
                "generator": "g",
                "problem": f"problem {name}",
                "steps": steps,
                "final_answer_correct": label < 0,
                "label": label,
            }
            for name, steps, label in solutions
        ]
        (folder / "processbench" / f"{subset}.json").write_text(json.dumps(listed))


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("scoring")
    write(folder)
    return run_in_process(CAMPAIGN.format(folder=folder), folder)


def test_prmbench_tells_every_number_with_its_interval(ran: Ran) -> None:
    facts = ran.facts("prmbench")
    assert set(facts["scores"]) == set(NAMES)
    circular = facts["classes"]["circular"]
    assert circular["confusion"] == {"tp": 2, "fp": 2, "tn": 2, "fn": 0}
    f1, negative_f1 = 2 * 0.5 / 1.5, 2 * 0.5 / 1.5
    assert facts["scores"]["circular"]["value"] == pytest.approx(50 * (f1 + negative_f1))
    assert facts["scores"]["overall"]["low"] <= facts["scores"]["overall"]["value"]
    assert len(facts["thresholds"]) == 19


def test_prmbench_counts_what_could_not_be_judged(ran: Ran) -> None:
    facts, rows = ran.facts("prmbench"), ran.rows("prmbench")
    assert facts["validity_rate"] == pytest.approx(17 / 18)
    assert facts["unscored_steps"] == 17
    assert [row["item_id"] for row in rows if not row["usable"]] == ["redundency_0"]
    overall = facts["overall"]["confusion"]
    assert {name: sum(row[name] for row in rows) for name in overall} == overall


def test_items_carry_all_their_wrong_steps(ran: Ran) -> None:
    rows = {row["id"]: row for row in ran.rows("items")}
    assert rows["circular_1"]["error_steps"] == [1, 3]
    assert rows["circular_1"]["label"] == 1
    assert ran.facts("items")["rules"]["error_steps_beyond_the_last"] == 15 + 3


def test_a_part_of_prmbench_is_some_classes_and_a_sample(ran: Ran) -> None:
    rows = ran.rows("part")
    assert len(rows) == 3
    assert {row["subset"] for row in rows} == {"circular", "deception"}


def test_a_peer_is_measured_like_a_judge(ran: Ran) -> None:
    facts, table = ran.facts("bench-half"), ran.view("bench-half").table()
    assert table.schema == OUTCOMES
    (point,) = facts["curve"]
    matched = {one.solution_id: one.match for one in read_outcomes(table, k=1)}
    assert matched == {"g-0": 1, "g-1": 0, "g-2": 0, "m-0": 1, "m-1": 0, "m-2": 0}
    assert point["subsets"]["/math/acc_error"] == 100
    assert point["f1"]["value"] == 0
    assert facts["unjudged_ids"] == ["g-2", "m-1"]


def test_the_published_rule_of_a_peer_is_the_default(
    ran: Ran,
) -> None:
    facts = ran.facts("bench")
    assert facts["threshold"] == 0.31  # above 0.3 and at most 0.4
    assert facts["curve"][0]["subsets"]["/gsm8k/acc_correct"] == 100
    assert facts["curve"][0]["subsets"]["/math/acc_correct"] == 50


def test_a_judge_and_a_peer_that_say_the_same_are_measured_the_same(ran: Ran) -> None:
    judge, peer = ran.facts("prmbench-of-judge"), ran.facts("prmbench")
    assert judge["scores"] == peer["scores"]
    assert ran.rows("prmbench-of-judge") == ran.rows("prmbench")
    judge, peer = ran.facts("bench-of-judge"), ran.facts("bench-half")
    assert judge["curve"][-1] == peer["curve"][0] | {"k": 2}
    assert judge["thresholds"] == peer["thresholds"]


def test_a_result_names_the_bytes_that_were_judged(ran: Ran) -> None:
    loaded, data = ran.facts("bench-data"), ran.facts("bench")["data"]
    assert data["digest"] == loaded["digest"]
    assert data["subsets"][0]["md5"] == loaded["subsets"][0]["md5"]
    assert ran.facts("prmbench")["data"]["digest"] == ran.facts("items")["digest"]
