"""What is left of a campaign whose processes are killed at random moments, again and again?

`run_with_kills` starts `jobs run` in a session of its own, kills -9 the controller, the workers or
everything at a random moment, waits until no process of it is left, and starts it again.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from jobs.spec.exitcodes import DONE

REPOSITORY = Path(__file__).parents[2]

STRAYS_AT_MOST_S = 30.0
"""An orphan leaves at once, but a fork server that still imports only after that."""

MARK = "RPRM_CHAOS"
"""An environment variable that every process of one run inherits, and nobody else has."""

EARLY = 0.2
"""Share of runs that are struck while they start, before any worker is there."""

TARGETS = ("controller", "workers", "everything")


@dataclass(frozen=True, kw_only=True, slots=True)
class Kill:
    target: str
    after_s: float
    num_processes: int
    """How many were there to kill; 0 when the campaign had ended before."""


@dataclass(kw_only=True, slots=True)
class KillReport:
    kills: list[Kill] = field(default_factory=list)
    exit_code: int | None = None
    """Of the run that nobody disturbed, after the last kill."""
    strays: list[str] = field(default_factory=list)
    """Commands of processes that outlived their run."""
    output: str = ""

    @property
    def struck(self) -> int:
        """Kills that met a living process."""
        return sum(kill.num_processes > 0 for kill in self.kills)


def run_with_kills(
    campaign_file: Path,
    cwd: Path,
    kills: int,
    seed: int,
    *,
    between_s: tuple[float, float] = (0.2, 4.0),
    arguments: Sequence[str] = (),
    targets: Sequence[str] = TARGETS,
) -> KillReport:
    """Kill until `kills` of them struck, then run to the end.

    A campaign that ends between two kills ends the killing, so its stages must take long enough:
    ask the report how many struck.  `between_s` counts from when a worker
    is there, or now and then from the first event.
    """
    chance = random.Random(seed)
    report = KillReport()
    command = [sys.executable, "-m", "jobs", "run", str(campaign_file), "--json", *arguments]
    while report.struck < kills:
        with _started(command, cwd, report) as (process, mark):
            if chance.random() > EARLY:
                _until_at_work(process, mark)
            while report.struck < kills and _waits(process, after_s := chance.uniform(*between_s)):
                target = chance.choice(list(targets))
                victims = _victims(target, process.pid, mark, chance)
                report.kills.append(
                    Kill(target=target, after_s=after_s, num_processes=_end(victims))
                )
                if target != "workers":
                    process.wait()  # its workers are left to find out for themselves
                    break
            if process.poll() == DONE:
                break
    with _started(command, cwd, report) as (process, _):
        process.wait()
        report.exit_code = process.returncode
    return report


def kill_until(
    kills: int,
    campaign_file: Path,
    folder: Path,
    *,
    between_s: tuple[float, float],
    targets: Sequence[str],
) -> Iterator[tuple[Path, KillReport]]:
    """Run the campaign in a fresh folder again and again until so many kills struck in all.

    A fast machine ends a campaign before the last kill, so how many runs it takes is up to the
    machine.  Yields each folder, whose store is `store`, and what happened in it.
    """
    struck, seed = 0, 0
    while struck < kills:
        wild = folder / f"wild-{seed}"
        wild.mkdir()
        report = run_with_kills(
            campaign_file,
            wild,
            kills - struck,
            seed,
            between_s=between_s,
            arguments=["--store", str(wild / "store")],
            targets=targets,
        )
        assert report.struck, f"the campaign ends before anything can be killed: {report.output}"
        yield wild, report
        struck += report.struck
        seed += 1


@contextmanager
def _started(
    command: Sequence[str], cwd: Path, report: KillReport
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    mark = f"{os.getpid()}-{random.SystemRandom().getrandbits(64):x}"
    log = cwd / "chaos.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        _until_it_speaks(process, log)
        try:
            yield process, mark
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    report.strays += _strays(mark)
    report.output = log.read_text(errors="replace")


def _until_it_speaks(process: subprocess.Popen[bytes], log: Path) -> None:
    """Imports take longest; a kill before the first event would prove little each time."""
    said = log.stat().st_size
    while process.poll() is None and log.stat().st_size == said:
        time.sleep(0.01)


def _waits(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Is it still there after so long?"""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


def _until_at_work(process: subprocess.Popen[bytes], mark: str) -> None:
    """Until there is a worker beside the controller, its fork server and its tracker."""
    while process.poll() is None and len(processes_of(mark)) < 4:
        time.sleep(0.05)


def _victims(target: str, controller: int, mark: str, chance: random.Random) -> list[int]:
    others = [pid for pid in processes_of(mark) if pid != controller]
    if target == "workers":  # some of them; their fork server counts as one
        return chance.sample(others, chance.randint(1, len(others))) if others else []
    return [controller] if target == "controller" else [controller, *others]


def _end(victims: Sequence[int]) -> int:
    """Kill them; how many were still there."""
    struck = 0
    for pid in victims:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        struck += 1
    return struck


def processes_of(mark: str) -> dict[int, str]:
    """Living processes (zombies aside) that carry this mark, with their commands."""
    wanted = f"{MARK}={mark}".encode()
    found: dict[int, str] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                found[int(folder.name)] = command.decode(errors="replace").strip()
        except OSError:  # it ended meanwhile, or is another user's
            continue
    return {pid: command for pid, command in found.items() if command}


def _strays(mark: str) -> list[str]:
    """What is still there after a while; it is ended, so that tests do not pile up."""
    end_s = time.monotonic() + STRAYS_AT_MOST_S
    while (left := processes_of(mark)) and time.monotonic() < end_s:
        time.sleep(0.05)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return list(left.values())


def difference(ours: Mapping[str, bytes], theirs: Mapping[str, bytes]) -> list[str]:
    """Names whose bytes differ or that only one side has."""
    return sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
