"""Does `rprm score` print what it promises, and nothing else?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from rprm.benchmarks.prmbench import NAMES
from rprm.data.prmbench import CLASSES
from rprm.errors import BadInput
from rprm.score_cli import app

Run = Callable[..., Result]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    solutions = [
        {
            "id": f"gsm8k-{number}",
            "generator": "g",
            "problem": f"problem {number}",
            "steps": ["a", "b"],
            "final_answer_correct": label < 0,
            "label": label,
        }
        for number, label in enumerate([0, 1, -1, -1])
    ]
    (tmp_path / "gsm8k.json").write_text(json.dumps(solutions))
    items = [
        {
            "idx": str(number),
            "classification": name,
            "original_question": f"q{number}",
            "modified_question": f"q{number}",
            "modified_process": ["a", "b", "c"],
            "error_steps": [] if name == "multi_solutions" else [2],
        }
        for name in CLASSES
        for number in range(3)
    ]
    (tmp_path / "prmbench.jsonl").write_text("\n".join(map(json.dumps, items)))
    return tmp_path


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run(verb: str, rows: list[dict[str, Any]], *options: object) -> Result:
        file = tmp_path / "rows.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        result = CliRunner().invoke(app, [verb, str(file), *map(str, options)])
        if isinstance(result.exception, BadInput):
            raise result.exception
        return result

    return run


PREDICTIONS: list[dict[str, Any]] = [
    {"id": "gsm8k-0", "prediction": 0},
    {"id": "gsm8k-1", "scores": [0.9, 0.1]},
    {"id": "gsm8k-2", "scores": [0.9, 0.9]},
    {"id": "gsm8k-3", "prediction": None},
]


def test_json_is_one_object_and_warnings_go_elsewhere(run: Run, data: Path) -> None:
    found = run("processbench", PREDICTIONS, "--data", data / "gsm8k.json", "--json")
    expected = {"acc_error": 100.0, "acc_correct": 50.0, "f1": pytest.approx(200 / 3)}
    assert json.loads(found.stdout) == {"gsm8k": expected, "average": pytest.approx(200 / 3)}
    assert found.stdout.count("\n") == 1
    assert "1 row(s) tell no prediction and never match: gsm8k-3" in found.stderr


def test_a_person_gets_a_table_with_intervals(run: Run, data: Path) -> None:
    found = run("processbench", PREDICTIONS, "--data", data / "gsm8k.json")
    assert "66.7" in found.stdout
    assert "95 % intervals over problems" in found.stdout
    digest = hashlib.sha256((data / "gsm8k.json").read_bytes()).hexdigest()
    assert f"sha256 {digest}" in found.stdout.replace("\n", " ")


def test_a_table_of_thresholds_needs_scores(run: Run, data: Path) -> None:
    with pytest.raises(BadInput, match="needs scores"):
        run("processbench", PREDICTIONS, "--data", data / "gsm8k.json", "--sweep")
    scores = [
        {"id": f"gsm8k-{number}", "scores": of}
        for number, of in enumerate([[0.3, 0.9], [0.9, 0.3], [0.4, 0.9], [0.9, 0.9]])
    ]
    found = run("processbench", scores, "--data", data / "gsm8k.json", "--sweep", "--json")
    curve = json.loads(found.stdout)["sweep"]
    assert curve["0.35"] == {"gsm8k": 100.0, "average": 100.0}
    assert curve["0.3"]["average"] == 0
    found = run("processbench", scores, "--data", data / "gsm8k.json", "--sweep")
    assert "F1 by threshold" in found.stdout
    found = run(
        "processbench", scores, "--data", data / "gsm8k.json", "--threshold", "auto:gsm8k", "--json"
    )
    assert json.loads(found.stdout)["average"] == 100.0
    assert "threshold 0.31 (auto:gsm8k)" in found.stderr


@pytest.mark.parametrize("threshold", ["nan", "inf", "half"])
def test_a_threshold_must_be_a_number(run: Run, data: Path, threshold: str) -> None:
    with pytest.raises(BadInput, match="--threshold"):
        run("processbench", PREDICTIONS, "--data", data, "--threshold", threshold)


def test_prmbench_tells_all_its_numbers(run: Run, data: Path) -> None:
    rows = [
        {"id": f"{name}_{number}", "scores": [0.9, 0.4, 0.6]}
        for name in CLASSES
        for number in range(3)
    ]
    source = ("--data", data / "prmbench.jsonl")
    values = json.loads(run("prmbench", rows, *source, "--json").stdout)
    assert list(values) == [*NAMES, "counts"]
    assert values["counts"] == {"tp": 54, "fp": 0, "tn": 24, "fn": 3}
    assert values["circular"] == 100.0
    low = json.loads(run("prmbench", rows, *source, "--json", "--threshold", 0.4).stdout)
    assert low["counts"]["fp"] == 24
    shown = run("prmbench", rows, *source, "--sweep").stdout
    assert "PRMScore by threshold" in shown
    assert "tp 54, fp 0, tn 24, fn 3" in shown


@pytest.mark.parametrize("columns", [20, 60])
def test_a_narrow_terminal_cuts_no_name_and_no_number(
    run: Run, data: Path, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    rows = [{"id": f"{name}_0", "scores": [0.9, 0.4, 0.6]} for name in CLASSES]
    options = ("--data", data / "prmbench.jsonl", "--limit-to-present", "--sweep")
    shown = run("prmbench", rows, *options).stdout
    assert "domain_inconsistency" in shown
    assert "…" not in shown


def test_best_of_n_grades_where_the_rows_do_not_say(run: Run) -> None:
    rows = [
        {"problem": "p", "response": rf"\boxed{{{own}}}", "scores": [score], "answer": "0.5"}
        for own, score in [("\\frac{1}{2}", 0.9), ("2", 0.8)]
    ]
    values = json.loads(run("best-of-n", rows, "--json").stdout)
    assert (values["best_of_n"], values["pass_at_1"]) == (100.0, 50.0)
    exact = json.loads(run("best-of-n", rows, "--grader", "exact", "--json").stdout)
    assert exact["pass_at_n"] == 0.0
    shown = run("best-of-n", rows, "--aggregate", "product").stdout
    assert "product of the step scores" in shown
    assert "best of N" in shown


def test_best_of_n_tells_four_numbers_and_more_by_n(run: Run) -> None:
    rows = [
        {"problem": "p", "response": own, "scores": score, "correct": own == "4"}
        for own, score in [("4", 0.9), ("5", 0.8)]
    ]
    values = json.loads(run("best-of-n", rows, "--json").stdout)
    assert values == {"pass_at_1": 50, "pass_at_n": 100, "majority": 100, "best_of_n": 100}
    points = json.loads(run("best-of-n", rows, "--by-n", "--json").stdout)["by_n"]
    assert [one["n"] for one in points] == [1, 2]
    assert points[0]["pass_at_n"] == pytest.approx(50)
    assert points[1]["weighted_vote"] == 100
    assert "By the number of responses" in run("best-of-n", rows, "--by-n").stdout


@pytest.mark.parametrize(
    ("verb", "example"),
    [
        ("processbench", "--threshold auto:gsm8k"),
        ("prmbench", "--threshold 0.61"),
        ("best-of-n", "--aggregate product"),
    ],
)
def test_help_teaches_with_examples(verb: str, example: str) -> None:
    found = CliRunner().invoke(app, [verb, "--help"], env={"COLUMNS": "160"})
    assert found.exit_code == 0
    assert example in found.stdout
