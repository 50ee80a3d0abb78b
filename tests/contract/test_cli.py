"""Does `jobs` keep its word on a command line?  Real processes in a fresh folder."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs.cli import app

REPOSITORY = Path(__file__).parents[2]
AT_MOST_S = 90.0

VERBS = ("run", "plan", "status", "explain", "logs", "cancel", "retry", "gc", "schema")

TOY = """
apiVersion: rprm.dev/v1alpha1
kind: Campaign
metadata: {name: toy}
spec:
  tracking: {uri: none}
  defaults: {retries: {backoff: 0s, failed: 1}}
  stages:
    - {name: numbers, run: "tests.toy.stages:Numbers", params: {rows: 6}, shards: 2}
    - {name: twice, run: "tests.toy.stages:Trouble", params: {folder: ., scale: 2},
       inputs: {rows: numbers}, sweep: {scale: [2, 3]}}
    - {name: total, run: "tests.toy.stages:Sum", inputs: {numbers: {gather: [twice]}}}
"""

SLOW = """
apiVersion: rprm.dev/v1alpha1
kind: Campaign
metadata: {name: slow}
spec:
  tracking: {uri: none}
  stages:
    - {name: numbers, run: "tests.toy.stages:Numbers", params: {rows: 2}, shards: 2}
    - {name: wait, run: "tests.toy.stages:PATIENT", params: {seconds: 60},
       inputs: {numbers: numbers}}
"""


class Shell:
    """Runs `jobs` in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {**os.environ, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "150"}

    def write(self, body: str, name: str = "toy.yaml") -> str:
        (self.folder / name).write_text(body)
        return name

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "jobs", *words]

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=AT_MOST_S,
            check=False,
        )

    def start(self, *words: str) -> subprocess.Popen[str]:
        """In a process group of its own, as a shell starts a job."""
        return subprocess.Popen(
            self.command(*words),
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def events(self, campaign: str) -> list[dict[str, object]]:
        path = self.folder / ".rprm" / "runs" / campaign / "events.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A folder in which the toy campaign ran; tests only look at it."""
    shell = Shell(tmp_path_factory.mktemp("finished"))
    done = shell("run", shell.write(TOY))
    assert done.returncode == 0, done.stdout + done.stderr
    return shell


@pytest.fixture
def running(shell: Shell) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts the slow campaign and returns once its waiting stage is at work."""
    started: list[subprocess.Popen[str]] = []

    def start(stage: str) -> subprocess.Popen[str]:
        process = shell.start("run", shell.write(SLOW.replace("PATIENT", stage), "slow.yaml"))
        started.append(process)
        until(lambda: bool(list((shell.folder / ".rprm/runs/slow/logs").glob("wait/*.log"))))
        until(lambda: is_at_work(shell))
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def is_at_work(shell: Shell) -> bool:
    """The stage wrote that it began, so it hears signals itself."""
    return any("at work" in log.read_text() for log in shell.folder.rglob("wait/*.log"))


def until(is_so: Callable[[], bool]) -> None:
    end_s = time.monotonic() + AT_MOST_S
    while not is_so():
        assert time.monotonic() < end_s
        time.sleep(0.05)


def json_lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


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


def test_a_reader_who_leaves_early_ends_only_the_printing(shell: Shell) -> None:
    command = " ".join(f"'{word}'" for word in shell.command("run", shell.write(TOY)))
    told = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | head -n 1"],
        cwd=shell.folder,
        env=shell.env,
        capture_output=True,
        text=True,
        timeout=AT_MOST_S,
        check=False,
    )
    assert told.returncode == 0
    assert "campaign_started" in told.stdout
    assert "Traceback" not in told.stderr
    assert shell.events("toy")[-1]["succeeded"] is True


@pytest.mark.parametrize("verb", ["schema", "status toy.yaml", "logs toy.yaml"])
def test_a_closed_pipe_gives_no_traceback(finished: Shell, verb: str) -> None:
    command = " ".join(f"'{word}'" for word in finished.command(*verb.split()))
    told = subprocess.run(
        ["bash", "-c", f"{command} | true"],
        cwd=finished.folder,
        env=finished.env,
        capture_output=True,
        text=True,
        timeout=AT_MOST_S,
        check=False,
    )
    assert told.stderr == ""


Running = Callable[[str], subprocess.Popen[str]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_reaches_a_safe_point_and_the_same_command_goes_on(
    shell: Shell, running: Running, number: signal.Signals
) -> None:
    process = running("Patient")
    os.killpg(process.pid, number)  # as a terminal does: to every process of the job
    output, _ = process.communicate(timeout=AT_MOST_S)
    assert process.returncode == 75, output
    assert "stopped; go on with: jobs run slow.yaml" in output
    assert "Traceback" not in output
    (left,) = [event for event in shell.events("slow") if event["event"] == "attempt_failed"]
    assert left["cause"] == "preempted"
    shell.write(SLOW.replace("PATIENT", "Sum").replace("params: {seconds: 60},", ""), "slow.yaml")
    assert shell("run", "slow.yaml").returncode == 0


def test_a_second_stop_ends_at_once(shell: Shell, running: Running) -> None:
    process = running("Stubborn")
    os.killpg(process.pid, signal.SIGINT)
    until(lambda: any(event["event"] == "draining" for event in shell.events("slow")))
    assert process.poll() is None
    began_s = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=AT_MOST_S)
    assert process.returncode == 75, output
    assert time.monotonic() - began_s < 20  # a stubborn worker is given 30 seconds otherwise
    assert "Traceback" not in output


def test_a_running_campaign_can_be_watched_and_cancelled(shell: Shell, running: Running) -> None:
    process = running("Patient")
    rows = json.loads(shell("status", "slow.yaml", "--json").stdout)
    assert [row["word"] for row in rows] == ["sealed", "runs"]
    follower = shell.start("logs", "slow.yaml", "--events", "--follow")
    assert follower.stdout is not None
    assert "campaign_started" in follower.stdout.readline()
    assert follower.poll() is None
    assert shell("cancel", "slow.yaml").returncode == 0
    output, _ = process.communicate(timeout=AT_MOST_S)
    assert process.returncode == 75, output
    followed, _ = follower.communicate(timeout=AT_MOST_S)
    assert follower.returncode == 0
    assert json_lines(followed)[-1]["event"] == "campaign_finished"


def test_no_worker_outlives_its_controller(shell: Shell, running: Running) -> None:
    process = running("Stubborn")
    workers = group_of(process.pid) - {process.pid}
    assert workers
    process.kill()
    until(lambda: not any(is_alive(pid) for pid in workers))


def group_of(leader: int) -> set[int]:
    listed = subprocess.run(["ps", "-eo", "pid,pgid"], capture_output=True, text=True, check=True)
    pairs = [line.split() for line in listed.stdout.splitlines()[1:]]
    return {int(pid) for pid, group in pairs if int(group) == leader}


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_terminal_shows_the_table(shell: Shell) -> None:
    name = shell.write(TOY)
    screen, terminal = pty.openpty()
    process = subprocess.Popen(
        shell.command("run", name),
        cwd=shell.folder,
        env={**shell.env, "TERM": "xterm-256color", "LINES": "40"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    seen = b""
    while chunk := read_screen(screen):
        seen += chunk
    os.close(screen)
    assert process.wait(AT_MOST_S) == 0
    text = seen.decode()
    assert "campaign toy on" in text
    assert "twice[scale=2]" in text
    assert "4 of 4 stages" in text
    assert "{" not in text, "events belong to pipes"


def read_screen(screen: int) -> bytes:
    try:
        return os.read(screen, 65536)
    except OSError:  # how Linux says that the last process left the terminal
        return b""
