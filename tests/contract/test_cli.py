"""Does `jobs` keep its word on a command line?  Real processes in a fresh folder."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from jobs.cli import app
from tests.contract.shell import (
    TOY,
    VERBS,
    Shell,
    json_lines,
)


def test_help_names_every_verb_and_the_exit_codes(shell: Shell) -> None:
    told = shell("--help")
    assert told.returncode == 0
    assert told.stderr == ""
    assert all(f" {verb} " in told.stdout for verb in VERBS)
    assert "Exit codes: 0 done" in told.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str) -> None:
    told = CliRunner().invoke(app, [verb, "--help"])
    assert told.exit_code == 0
    assert "Usage" in told.output


def test_a_run_tells_its_events_as_json_lines_and_what_came_out(finished: Shell) -> None:
    events = finished.events("toy")
    assert events[0]["event"] == "campaign_started"
    assert events[-1] == events[-1] | {"event": "campaign_finished", "succeeded": True}
    again = finished("run", "toy.yaml")
    told = json_lines(again.stdout)
    assert [one["event"] for one in told[1:-1]] == ["stage_reused"] * 4
    assert "0 stages ran, 4 were reused" in again.stderr
    assert "total.md" in again.stderr


def test_a_plan_says_what_would_run_and_why(finished: Shell, shell: Shell) -> None:
    fresh = json.loads(shell("plan", shell.write(TOY), "--json").stdout)
    assert [row["word"] for row in fresh] == ["runs", "waits", "waits", "waits"]
    assert fresh[1]["reason"] == "waits for numbers"
    done = json.loads(finished("plan", "toy.yaml", "--json").stdout)
    assert [row["word"] for row in done] == ["reused"] * 4
    assert "twice[scale=3]" in finished("plan", "toy.yaml").stdout
    assert not (shell.folder / ".rprm").exists()


def test_a_plan_after_a_change_names_the_stages_below_it(finished: Shell) -> None:
    name = finished.write(TOY.replace("rows: 6}", "rows: 6, sleep_s: 0.001}"), "changed.yaml")
    rows = json.loads(finished("plan", name, "--json").stdout)
    assert [row["word"] for row in rows] == ["runs", "waits", "waits", "waits"]


def test_status_counts_shards_and_rows(finished: Shell) -> None:
    rows = json.loads(finished("status", "toy.yaml", "--json").stdout)
    assert [(row["word"], row["shards"], row["done"], row["rows"]) for row in rows] == [
        ("sealed", 2, 2, 6),
        ("sealed", 1, 1, 6),
        ("sealed", 1, 1, 6),
        ("sealed", 1, 1, 1),
    ]
    assert "twice[scale=2]" in finished("status", "toy.yaml").stdout


def test_logs_show_what_workers_wrote_under_the_stages_name(finished: Shell) -> None:
    told = finished("logs", "toy.yaml", "twice[scale=2]")
    assert "── twice[scale=2], shard 0, attempt " in told.stdout
    assert "shard_committed" in told.stdout
    assert finished("logs", "toy.yaml", "numbers", "--shard", "1").stdout.count("──") == 1
    events = json_lines(finished("logs", "toy.yaml", "--events").stdout)
    assert events[0]["event"] == "campaign_started"


def test_explain_tells_that_all_is_well(finished: Shell) -> None:
    told = finished("explain", "toy.yaml", "twice[scale=2]")
    assert "sealed as twice-" in told.stdout
    assert "nothing: it is done" in told.stdout


def test_gc_lists_before_it_deletes(finished: Shell) -> None:
    keep = finished.write(TOY.replace("scale: [2, 3]", "scale: [2]"), "keep.yaml")
    listed = finished("gc", keep, "--grace-h", "0").stdout
    assert "could be removed with --delete" in listed
    assert finished("status", "toy.yaml").returncode == 0
    assert json.loads(finished("plan", "toy.yaml", "--json").stdout)[3]["word"] == "reused"


def test_the_schema_is_json(finished: Shell) -> None:
    assert json.loads(finished("schema").stdout)["type"] == "object"


BAD = TOY.replace("shards: 2}", "shard: 2}").replace("rows: numbers", "rows: nubmers")


@pytest.mark.parametrize("verb", ["run", "status"])
def test_every_problem_of_a_bad_campaign_is_told_with_its_line(shell: Shell, verb: str) -> None:
    told = shell(verb, shell.write(BAD))
    assert told.returncode == 64
    assert "toy.yaml:9: spec.stages[0].shard" in told.stderr
    assert "did you mean 'shards'?" in told.stderr
    assert "toy.yaml:11:" in told.stderr
    assert "'numbers'" in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("rows: 6}", "rows: six}"), "params.rows"),  # a param of the wrong type
        (("rows: 6}", "row: 6}"), "did you mean 'rows'?"),  # and one that nobody knows
        (("stages:Sum", "stages:Summ"), "did you mean 'Sum'?"),  # a class that is not there
        (("tests.toy.stages:Sum", "nowhere:Sum"), "cannot import 'nowhere'"),  # nor its module
    ],
)
def test_a_stage_that_cannot_be_made_is_a_bad_campaign(
    shell: Shell, change: tuple[str, str], said: str
) -> None:
    told = shell("run", shell.write(TOY.replace(*change)))
    assert told.returncode == 64
    assert said in told.stderr
    assert "Traceback" not in told.stderr


def test_a_file_that_is_not_there_is_said_so(shell: Shell) -> None:
    told = shell("run", "nowhere.yaml")
    assert told.returncode == 64
    assert "nowhere.yaml" in told.stderr
    assert "Traceback" not in told.stderr


def test_an_unknown_stage_names_the_known_ones(finished: Shell) -> None:
    told = finished("explain", "toy.yaml", "towel")
    assert told.returncode == 64
    assert "numbers, twice, total" in told.stderr


def test_a_store_that_cannot_be_used_is_said_so(shell: Shell) -> None:
    (shell.folder / "file").write_text("")
    told = shell("run", shell.write(TOY), "--store", "file")
    assert told.returncode == 1
    assert "is a file" in told.stderr
    assert "Traceback" not in told.stderr


FAILING = TOY.replace("scale: 2}", "scale: 2, exit_codes: {'0': [1, 1]}}").replace(
    "scale: [2, 3]", "scale: [2]"
)


def test_a_failed_campaign_is_explained_and_goes_on_after_retry(shell: Shell) -> None:
    name = shell.write(FAILING)
    failed = shell("run", name)
    assert failed.returncode == 1
    assert "explain: jobs explain toy.yaml" in failed.stderr
    why = shell("explain", name, "twice").stdout
    assert "ToyError: as asked: 1" in why
    assert "jobs retry toy.yaml 'twice[scale=2]' && jobs run toy.yaml" in why
    assert json.loads(shell("status", name, "--json").stdout)[1]["failed_attempts"] == 2
    assert "2 failed attempts forgotten" in shell("retry", name, "twice").stdout
    assert shell("run", name).returncode == 0


def test_rows_that_failed_are_shown_and_run_again(shell: Shell) -> None:
    body = TOY.replace("scale: 2}", "scale: 2, bad_rows: [4]}")
    name = shell.write(body.replace("scale: [2, 3]}", "scale: [2]}, errorBudget: 0.5"))
    assert shell("run", name).returncode == 0
    assert "bad x1: 4" in shell("status", name).stdout
    told = shell("retry", name, "--rows").stdout
    assert "twice[scale=2]: 1 shards with error rows" in told
    assert "total: made again" in told
    assert "2 stages ran, 1 were reused" in shell("run", name).stderr
