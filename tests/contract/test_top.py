"""What do `jobs status` and `jobs top` show of fleets, from another terminal?"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import subprocess
import termios
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs.cli import app
from jobs.fleet.told import write_told
from tests.contract.shell import AT_MOST_S, TOY, Shell, until
from tests.unit.jobs.told import JUDGE, TOLD


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def told(shell: Shell, campaign: str, *, pid: int) -> None:
    path = shell.folder / ".rprm" / "runs" / campaign / "fleets" / "state.json"
    now_s = time.time()
    judge = replace(JUDGE, replicas=tuple(replace(one, since=now_s - 65) for one in JUDGE.replicas))
    write_told(path, replace(TOLD, at=now_s, pid=pid, fleets=(judge,)))


Say = Callable[..., str]


@pytest.fixture
def say(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Say:
    """What a verb prints, from within this process: it only looks."""
    monkeypatch.chdir(shell.folder)
    shell.write(TOY)

    def one(*words: str) -> str:
        done = CliRunner().invoke(app, list(words))
        assert done.exit_code == 0, done.output
        return done.stdout

    return one


def test_status_and_top_show_every_replica_of_a_running_campaign(shell: Shell, say: Say) -> None:
    told(shell, "toy", pid=os.getpid())
    for words in (("status",), ("top",), ("top", "--once")):
        shown = say(*words, "toy.yaml")
        assert JUDGE.reason in shown
        assert re.search(r"judge-0 +ready +1:\d\d +120\+23 +4,812 +63% +92%", shown)
        assert "numbers" in shown
        assert "\x1b" not in shown
    seen = json.loads(say("top", "toy.yaml", "--json"))
    assert seen["running"]
    assert seen["fleets"][0]["replicas"][0]["kv_use"] == 0.634
    assert isinstance(json.loads(say("status", "toy.yaml", "--json")), list)


def test_what_a_controller_that_is_gone_told_is_not_shown(shell: Shell, say: Say) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait(AT_MOST_S)
    told(shell, "toy", pid=gone.pid)
    for verb in ("status", "top"):
        shown = say(verb, "toy.yaml")
        assert "nobody runs campaign toy now; start it with: jobs run toy.yaml" in shown
        assert "judge-0" not in shown
    assert json.loads(say("top", "toy.yaml", "--json"))["fleets"] == []


@pytest.mark.parametrize("key", [b"q", b"\x03"])
def test_a_live_view_is_left_with_a_key_and_the_terminal_is_as_before(
    shell: Shell, key: bytes
) -> None:
    name = shell.write(TOY)
    told(shell, "toy", pid=os.getpid())
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    process = subprocess.Popen(
        shell.command("top", name),
        cwd=shell.folder,
        env=shell.env | {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=take_terminal,
    )
    shown = b""
    while b"judge-0" not in shown:
        shown += os.read(ours, 65536)
    os.write(ours, key)
    until(lambda: process.poll() is not None or drained(ours))
    assert process.returncode == 0
    assert termios.tcgetattr(theirs) == before
    os.close(theirs)
    os.close(ours)


def drained(terminal: int) -> bool:
    """Reads what is there, for a full buffer would hold the writer; never done by itself."""
    if select.select([terminal], [], [], 0.05)[0]:
        os.read(terminal, 65536)
    return False


def take_terminal() -> None:
    """So that a Ctrl-C typed into it becomes a signal."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
