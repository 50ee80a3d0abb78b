"""Do the real benchmarks and recorded outputs give the published numbers?

Reads the folder RPRM_DATA (default ../shared/data) and skips, saying so, where it is absent.
"""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest

from rprm.benchmarks.best_of_n import Aggregator
from rprm.benchmarks.grading import Grade, grade_all
from rprm.benchmarks.processbench import f1
from rprm.data.prmbench import PrmBenchData, load_prmbench
from rprm.data.processbench import load_processbench
from rprm.data.sources import DATA_VARIABLE, DEFAULT_DATA
from rprm.recorded import best_of_n, prmbench, processbench
from rprm.recorded.reading import read_rows
from tests.unit.rprm.recorded import rows

ROOT = Path(os.environ.get(DATA_VARIABLE) or DEFAULT_DATA)
POOL = ROOT / "best_of_n_recorded" / "qwen_math_cot_100.jsonl"


def require(folder: str) -> None:
    if not (ROOT / folder).is_dir():
        pytest.skip(f"no {folder} in {ROOT}; set {DATA_VARIABLE} to the folder that holds it")


@pytest.fixture(scope="module")
def items() -> PrmBenchData:
    require("prmbench")
    return load_prmbench()


def test_prmbench_has_its_published_classes_and_steps(items: PrmBenchData) -> None:
    assert {one.classification: one.num_items for one in items.classes} == {
        "circular": 758,
        "redundency": 758,
        "step_contradiction": 758,
        "confidence": 757,
        "counterfactual": 757,
        "domain_inconsistency": 757,
        "missing_condition": 756,
        "deception": 750,
        "multi_solutions": 160,
    }
    assert (items.counts["read"], items.counts["kept"]) == (6216, 6211)
    assert items.counts["steps"] == 83_371
    # the false positives and true negatives of any judge are the wrong steps: 5224 + 7925
    assert items.counts["error_steps"] == 13_149
    assert sum(one.num_steps for one in items.classes) == 83_371


def test_five_ids_of_prmbench_stand_twice(items: PrmBenchData) -> None:
    numbers = {one.rpartition("_")[2] for one in items.duplicates}
    assert numbers == {"863", "889", "997", "1053", "1058"}
    assert {one.startswith("multi_solutions_prm_test_p2") for one in items.duplicates} == {True}


def test_the_subset_of_394_is_part_of_the_full_set(items: PrmBenchData) -> None:
    known = {item.solution.id: item for item in items.items}
    subset = load_prmbench(subset394=True)
    assert len(subset.items) == 394
    assert all(known[item.solution.id] == item for item in subset.items)


def test_scoring_all_of_prmbench_takes_less_than_two_seconds(
    items: PrmBenchData, tmp_path: Path
) -> None:
    rng = random.Random(0)
    file = tmp_path / "scores.jsonl"
    with file.open("w") as stream:
        for item in items.items:
            scores = [rng.randrange(11) / 10 for _ in item.solution.steps]
            stream.write(json.dumps({"id": item.solution.id, "scores": scores}) + "\n")
        for name in items.duplicates:  # recordings have a row for every row of the data
            stream.write(json.dumps({"id": name, "scores": [0.0] * 99}) + "\n")
    start = time.process_time()
    scored = prmbench.score(read_rows(file), load_prmbench(), threshold=0.5)
    assert time.process_time() - start < 2
    cells = scored.result.overall.confusion
    assert cells.fp + cells.tn == 13_149
    assert cells.tp + cells.fn == 83_371 - 13_149
    assert "5 row(s) repeat an id" in scored.warnings[0]


def test_a_judge_who_knows_the_labels_gets_everything_right(items: PrmBenchData) -> None:
    labels = [
        {
            "id": item.solution.id,
            "labels": [s not in item.error_steps_S for s in range(len(item.solution.steps))],
        }
        for item in items.items
    ]
    scored = prmbench.score(rows(*labels), items, threshold=0.5)
    assert set(scored.result.scores.values()) == {100.0}


@pytest.mark.parametrize(
    ("system", "published"),
    [  # accuracies with and without error, and F1, of gsm8k, math, olympiadbench, omnimath
        (
            "R-PRM-7B-DPO",
            [(72.0, 91.7, 80.7), (71.2, 83.5, 76.9), (60.2, 67.8, 63.8), (55.5, 65.6, 60.1)],
        ),
        (
            "R-PRM-7B-SFT",
            [(66.2, 92.7, 77.2), (60.3, 88.2, 71.6), (48.6, 77.3, 59.6), (40.1, 75.5, 52.3)],
        ),
        (
            "Math-Shepherd-7B",
            [(32.4, 91.7, 47.9), (18.0, 82.0, 29.5), (15.0, 71.1, 24.8), (14.2, 73.0, 23.8)],
        ),
        (
            "GPT-4o",
            [(70.0, 91.2, 79.2), (54.4, 76.6, 63.6), (45.8, 58.4, 51.4), (45.2, 65.6, 53.5)],
        ),
    ],
)
def test_published_accuracies_over_the_real_data_give_the_published_f1(
    system: str, published: list[tuple[float, float, float]]
) -> None:
    """Predictions with as many matches as were published, over the real labels."""
    require("processbench")
    bench = load_processbench()
    predictions: list[dict[str, Any]] = []
    for subset, (error, correct, _) in zip(bench.subsets, published, strict=True):
        right = {
            True: round(error / 100 * subset.num_errors),
            False: round(correct / 100 * (subset.num_solutions - subset.num_errors)),
        }
        for one in (one for one in bench.solutions if one.subset == subset.subset):
            wrong = one.label >= 0
            right[wrong] -= 1
            predictions.append(
                {"id": one.id, "prediction": one.label if right[wrong] >= 0 else None}
            )
    scored = processbench.score(rows(*predictions), bench, threshold=0.5)
    values = [scored.result.subsets[one.subset] for one in bench.subsets]
    for found, (error, correct, expected) in zip(values, published, strict=True):
        assert (found.acc_error, found.acc_correct) == pytest.approx((error, correct), abs=0.051)
        assert found.f1 == pytest.approx(expected, abs=0.1), system
        assert f1(error, correct) == pytest.approx(expected, abs=0.1)
    assert scored.result.f1 == pytest.approx(sum(one[2] for one in published) / 4, abs=0.06)


PUBLISHED_POOL = {"majority": 93.0, "best_of_n": 94.0, "pass_at_n": 96.0, "pass_at_1": 91.0}


def pool_rows() -> list[dict[str, Any]]:
    """The recorded pool as one row per response."""
    require(POOL.parent.name)
    found = []
    for line in POOL.read_text(encoding="utf-8").splitlines():
        one = json.loads(line)
        found += [
            {
                "problem": one["question"],
                "response": one["code"][place],
                "prediction": one["pred"][place],
                "scores": one["pred_score"][place],
                "correct": one["score"][place],
            }
            for place in range(8)
        ]
    return found


def no_grading(pairs: object) -> list[bool | None]:
    raise AssertionError("every row says whether it is right")


@pytest.mark.parametrize("aggregator", list(Aggregator))
@pytest.mark.parametrize("own", [True, False])
def test_the_recorded_pool_gives_its_published_numbers(own: bool, aggregator: Aggregator) -> None:
    """Whether its answers are given or read from the responses."""
    values = pool_rows()
    if not own:
        values = [{key: row[key] for key in row if key != "prediction"} for row in values]
    found = best_of_n.score(rows(*values), aggregator=aggregator, grade=no_grading)
    assert {name: found.as_json()[name] for name in PUBLISHED_POOL} == PUBLISHED_POOL
    assert found.warnings == ()


def test_the_recorded_pool_is_read_in_its_own_format() -> None:
    require(POOL.parent.name)
    found = best_of_n.score(read_rows(POOL), aggregator=Aggregator.MIN, grade=no_grading)
    assert {name: found.as_json()[name] for name in PUBLISHED_POOL} == PUBLISHED_POOL


def test_the_lax_grader_repeats_every_recorded_verdict() -> None:
    require(POOL.parent.name)
    pools = [json.loads(line) for line in POOL.read_text(encoding="utf-8").splitlines()]
    pairs = [(one["gt"], pred) for one in pools for pred in one["pred"]]
    grades = grade_all(pairs, grader="qwen")
    recorded = [right for one in pools for right in one["score"]]
    assert [grade is Grade.RIGHT for grade in grades] == recorded
