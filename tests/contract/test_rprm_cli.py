"""Does `rprm`, run as a person runs it, judge what it is given and explain what it cannot use?"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rprm.data import chains
from rprm.data.byte_tokenizer import build_byte_tokenizer
from rprm.data.chain_tokenizer import chain_tokenizer
from rprm.engines.base import SamplingParams
from rprm.finding import FoundModel
from rprm.judge import JudgeParams
from rprm.prompting import load_template
from rprm.reading import read_solutions
from rprm.scoring import Aggregate
from rprm.solutions import Judge, JudgedSolution, judge_solutions, load_judge
from rprm.training.tiny_model import TinyShape, build_tiny_qwen2

ROW = {"id": "x", "problem": "345 #1 + 210", "steps": ["345 + 210 = 555"], "label": -1}
ONE = json.dumps(ROW)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small-world model that has learned to write verdicts, and nothing about which."""
    folder = tmp_path_factory.mktemp("models") / "judge"
    build_tiny_qwen2(folder, tokenizer=chain_tokenizer(), shape=TinyShape(), seed=0)
    _teach_verdicts(folder)
    return folder


def _teach_verdicts(folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from rprm.engines.tokenizers import load_tokenizer

    tokenizer: Any = load_tokenizer(folder)
    policy: Any = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32)
    texts = [f"1 + 2 check : ok correct ? {word} <eos>" for word in ("yes", "no")]
    ids = torch.tensor(tokenizer(texts, add_special_tokens=False)["input_ids"])
    labels = ids.clone()
    labels[:, :5] = -100
    optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-2)
    for _ in range(30):
        policy(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    policy.save_pretrained(str(folder))


@pytest.fixture
def rprm(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run in a folder of its own, through a pipe, without what the developer's shell sets."""

    def run(
        *args: object, stdin: str = "", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        dropped = {"RPRM_MODEL", "RPRM_STORE", "FORCE_COLOR", "NO_COLOR", "MLFLOW_TRACKING_URI"}
        kept = {name: value for name, value in os.environ.items() if name not in dropped}
        root = Path(__file__).parents[2]
        return subprocess.run(
            [sys.executable, "-m", "rprm", *map(str, args)],
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=tmp_path,
            env=kept | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)} | (env or {}),
            timeout=240,
            check=False,
        )

    return run


Run = Callable[..., subprocess.CompletedProcess[str]]


def test_importing_the_command_line_imports_no_torch() -> None:
    code = "import sys, rprm.cli; print({'torch', 'transformers', 'mlflow'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file that is always full")
def test_a_full_disk_behind_the_output_is_told_in_one_line() -> None:
    root = Path(__file__).parents[2]
    with open("/dev/full", "w", encoding="utf-8") as full:
        found = subprocess.run(
            [sys.executable, "-m", "rprm", "data", "chains", "--solutions", "3"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(root)},
            check=False,
        )
    assert found.returncode == 1
    assert found.stderr.strip() == (
        "error: No space left on device while writing. Fix: free space, or write elsewhere"
    )


def test_help_teaches_with_examples(rprm: Run) -> None:
    wide = {"COLUMNS": "140"}
    assert "jobs run rprm/campaigns/quickstart.yaml" in rprm("--help", env=wide).stdout
    text = rprm("judge", "--help", env=wide).stdout
    assert "--stop-at-first-error" in text
    assert "rprm judge solution.json --model models/r-prm" in text


def test_solutions_of_the_small_world_go_straight_into_the_judge(rprm: Run, model: Path) -> None:
    made = rprm("data", "chains", "--solutions", 2, "--seed", 7)
    assert made.returncode == 0
    found = rprm("judge", "--model", model, "-K", 3, stdin=made.stdout)
    assert (found.returncode, found.stderr) == (0, "")
    assert "\x1b" not in found.stdout
    first = chains.solution(7, 0, "test")
    assert first.problem in found.stdout
    assert all(f"    {step}\n" in found.stdout for step in first.steps)
    assert "template chain" in found.stdout.splitlines()[0]
    assert re.search(r"2 solutions; \d of 2 labels agree; \d+ of at most \d+", found.stdout)


def test_json_tells_scores_first_error_and_critiques(
    rprm: Run, model: Path, tmp_path: Path
) -> None:
    rows = [ROW, {"problem": "345 #1 + 210 #2 + 1", "steps": ["345 + 210 = 555", "555 + 1 = 556"]}]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = rprm("judge", "in.jsonl", "-m", model, "--json", "--all", "-K", 1)
    assert (found.returncode, found.stderr) == (0, "")
    first, second = map(json.loads, found.stdout.splitlines())
    assert (first["id"], first["label"], first["problem"]) == ("x", -1, "345 #1 + 210")
    assert first["agrees"] == (first["first_error"] == -1)
    assert (second["id"], second["label"], second["agrees"]) == ("2", None, None)
    assert len(second["scores"]) == 2
    assert second["template_sha256"] == load_template("chain").sha256
    for step in second["steps"]:
        [critique] = step["critiques"]
        assert (critique["verdict"] is None) == (critique["cause"] is not None)
        assert step["score"] == critique["p_yes"]
        assert step["right"] == (None if step["score"] is None else step["score"] >= 0.5)


def test_text_is_judged_with_the_problem_beside_it_in_colour_where_asked(
    rprm: Run, model: Path
) -> None:
    args = ("judge", "--problem", "345 #1 + 210", "-m", model, "-K", 2)
    found = rprm(*args, stdin="345 + 210 = 555\n", env={"FORCE_COLOR": "1"})
    assert found.returncode == 0
    assert "\x1b[" in found.stdout
    assert "judging" not in found.stdout  # no progress bar goes into a pipe
    plain = rprm(*args, stdin="345 + 210 = 555\n", env={"FORCE_COLOR": "1", "NO_COLOR": "1"})
    assert "\x1b" not in plain.stdout
    assert re.sub(r"\x1b\[[0-9;]*m", "", found.stdout).split() == plain.stdout.split()


def test_a_step_that_does_not_fit_is_shown_as_refused(rprm: Run, model: Path) -> None:
    found = rprm("judge", "-m", model, "--max-tokens", 4000, stdin=ONE)
    assert found.returncode == 0
    assert "refused: prompt_too_long" in found.stdout
    assert "lower --max-tokens" in found.stderr


def test_a_model_without_tokenizer_is_refused(rprm: Run, tmp_path: Path) -> None:
    folder = tmp_path / "bare"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    found = rprm("judge", "-m", folder, stdin=ONE)
    assert found.returncode == 64
    assert "No tokenizer in" in found.stderr
    assert "Fix: save the tokenizer" in found.stderr


@pytest.mark.parametrize(
    ("args", "stdin", "said"),
    [
        (("-m", "x"), "not json {", "a problem but no steps"),
        (("-m", "x"), '{"problem": "p"', "stdin: 1 problem(s)\n  line 1, column 16: not JSON"),
        (("-m", "x"), '{"problem": "p"}\n{"steps": ["a"]}', "line 2, problem: is missing"),
        (("-m", "x"), '{"problem": "p", "steps": []}', "line 1, steps: is empty"),
        (("-m", "x"), "", "stdin is empty"),
        (("-m", "jugde"), ONE, "did you mean 'judge'"),
        (("-m", "builtin:nothing"), ONE, "no model 'builtin:nothing'"),
        ((), ONE, "give --model"),
        (("nowhere.json", "-m", "x"), "", "cannot read nowhere.json"),
        (("-m", "x", "-K", "0"), ONE, "at least 1"),
        (("-m", "x", "-K", "many"), ONE, "Invalid value"),  # the option parser's own words
        (("-m", "x", "--threshold", "2"), ONE, "threshold is 2"),
        (("-m", "judge", "-t", "chian"), ONE, "did you mean 'chain'"),
    ],
)
def test_bad_input_is_explained_and_exits_with_64(
    rprm: Run, tmp_path: Path, args: tuple[str, ...], stdin: str, said: str
) -> None:
    (tmp_path / "judge").mkdir()
    (tmp_path / "judge" / "config.json").write_text("{}")
    found = rprm("judge", *args, stdin=stdin)
    assert found.returncode == 64
    assert said in found.stderr
    assert "Traceback" not in found.stderr
    assert found.stdout == ""


@pytest.fixture(scope="module")
def judge(model: Path) -> Judge:
    template = load_template("chain")
    return load_judge(FoundModel(name="tiny", folder=model), template, threads=1)


def judged(judge: Judge, params: JudgeParams) -> list[JudgedSolution]:
    rows = [chains.solution(3, index, "test") for index in range(4)]
    text = "\n".join(json.dumps({"problem": r.problem, "steps": r.steps}) for r in rows)
    given = read_solutions(text, source="test")
    return list(judge_solutions(given, by=judge, params=params, on_drawn=lambda drawn: None))


@pytest.mark.parametrize("seed", range(6))
def test_early_stopping_changes_no_label(judge: Judge, seed: int) -> None:
    """Verdicts are coin flips here; beliefs are all near the threshold, which decides nothing."""
    aggregate = Aggregate.SOFT if seed == 0 else Aggregate.HARD
    sampling = SamplingParams(max_tokens=30)
    every = JudgeParams(num_critiques=7, seed=seed, sampling=sampling, aggregate=aggregate)
    full = judged(judge, every)
    early = judged(judge, replace(every, early_stop=True))
    assert [[one.is_right(step) for step in one.steps] for one in full] == [
        [one.is_right(step) for step in one.steps] for one in early
    ]
    assert [one.first_error for one in full] == [one.first_error for one in early]
    if aggregate is Aggregate.HARD:
        assert sum(one.num_drawn for one in early) < sum(one.num_drawn for one in full)
    first = judged(judge, replace(every, stop_at_first_error=True))
    assert [one.first_error for one in full] == [one.first_error for one in first]
    verdicts = {one.is_right(step) for one in full for step in one.steps}
    assert verdicts & {True, False}, "a judge that never decides proves nothing"


def test_prompts_are_shown_as_the_judge_reads_them(rprm: Run, model: Path) -> None:
    found = rprm("prompt", "-m", model, "--ids", stdin=ONE)
    assert found.returncode == 0
    head, *body, ids = found.stdout.splitlines()
    assert head == f"--- x:0: step 1, template chain, {len(ids.split()) - 2} tokens"
    assert "\n".join(body).startswith("question : 345 #1 + 210\nprevious : none\nnow : #1 345 +")


def test_a_chat_prompt_is_shown_with_the_marks_of_its_model(rprm: Run, tmp_path: Path) -> None:
    folder = tmp_path / "chat"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    build_byte_tokenizer().save_pretrained(str(folder))
    found = rprm("prompt", "-m", folder, "--json", stdin=ONE)
    shown = json.loads(found.stdout)
    assert shown["text"].startswith("user: You are an experienced mathematics teacher")
    assert shown["text"].endswith("assistant: ")
    assert shown["num_tokens"] == len(shown["token_ids"]) == len(shown["text"].encode())
    turns = rprm("prompt", "--template", "rprm_teacher", stdin=ONE).stdout
    assert "[system]" in turns
    assert "[assistant]" in turns


def test_templates_are_listed_with_hash_and_verdict(rprm: Run) -> None:
    listed = rprm("templates").stdout
    assert f"chain  {load_template('chain').sha256[:16]}  raw text" in listed
    assert "Verification: Is the step correct (Yes/No)? No" in listed


def test_the_small_world_can_be_asked_for_wrong_solutions_only(rprm: Run) -> None:
    wrong = rprm("data", "chains", "--solutions", 5, "--seed", 1, "--erroneous").stdout
    right = rprm("data", "chains", "--solutions", 5, "--split", "dev", "--correct").stdout
    assert all(json.loads(line)["label"] >= 0 for line in wrong.splitlines())
    assert [json.loads(line)["label"] for line in right.splitlines()] == [-1] * 5
    assert rprm("data", "chains", "--split", "tset").returncode == 64


def test_rows_of_a_real_set_are_printed_with_their_digest(rprm: Run, tmp_path: Path) -> None:
    row = {**ROW, "generator": "g", "final_answer_correct": True}
    (tmp_path / "processbench").mkdir()
    file = tmp_path / "processbench" / "gsm8k.json"
    file.write_text(json.dumps([row, {**row, "id": "y"}]))
    env = {"RPRM_DATA": str(tmp_path)}
    found = rprm("data", "show", "processbench", "--limit", 1, env=env)
    assert json.loads(found.stdout)["id"] == "x"
    assert "data:processbench: 1 of 2 solutions, sha256 " in found.stderr
    assert "labels may differ" in found.stderr  # it is not the published copy
    missing = rprm("data", "show", "processbench", "--subset", "math", env=env)
    assert (missing.returncode, missing.stdout) == (64, "")
    assert "use one of gsm8k" in missing.stderr
    assert "did you mean 'step_labels'" in rprm("data", "show", "step_label").stderr
