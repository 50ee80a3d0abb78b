"""What becomes of `jobs` when it is stopped, watched or cut off?  Real processes and terminals."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.shell import (
    AT_MOST_S,
    SLOW,
    TOY,
    Shell,
    json_lines,
    until,
)


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
