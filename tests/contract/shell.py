"""How does a test use `jobs` on a command line?  Real processes in a fresh folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
AT_MOST_S = 90.0

VERBS = ("run", "plan", "status", "top", "explain", "logs", "cancel", "retry", "gc", "schema")

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
