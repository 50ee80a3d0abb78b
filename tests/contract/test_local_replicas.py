"""What does a replica on this machine see, leave behind and tell?"""

from __future__ import annotations

import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.backends.base import ArrayWork, Served
from jobs.backends.local import LocalBackend
from jobs.backends.local_replicas import LocalReplicas
from jobs.backends.replicas import PORT
from jobs.backends.slots import Machine, Slots
from tests.contract.replica_processes import ended, family, is_running, serving, start, until
from tests.toy.entries import entry

MACHINE = Machine(cpus=4, gpus=4)


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    return tmp_path / "logs"


@pytest.fixture
def host(logs: Path) -> Iterator[LocalReplicas]:
    made = LocalReplicas(Slots(MACHINE), logs)
    yield made
    made.close()


def says(*lines: str) -> tuple[str, ...]:
    return (sys.executable, "-S", "-c", f"print(*{lines!r}, sep='\\n'); raise SystemExit(1)")


def test_a_replica_answers_at_its_url(host: LocalReplicas, tmp_path: Path) -> None:
    start(host, *serving(tmp_path / "a"))
    family(tmp_path / "a", "server")
    with urllib.request.urlopen(host.observe()["judge-1"].url) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        (None, "0,1"),  # all of the machine's
        ("2,3,5,7", "2,3"),  # some of them: the lease counts within these
        ("GPU-a,GPU-b,GPU-c,GPU-d", "GPU-a,GPU-b"),  # by name
    ],
)
def test_a_replica_sees_the_gpus_of_its_lease(
    logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | None, seen: str
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if given is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    host = LocalReplicas(Slots(MACHINE), logs)
    start(host, *serving(tmp_path / "a"), gpus=2)
    family(tmp_path / "a", "server")
    with urllib.request.urlopen(host.observe()["judge-1"].url) as answer:
        assert answer.read().decode() == seen
    host.close()


def test_a_worker_that_calls_a_fleet_runs_beside_a_replica_that_has_all_cpus(
    logs: Path, tmp_path: Path
) -> None:
    backend = LocalBackend(entry, machine=Machine(cpus=1), grace_s=0.5)
    host = LocalReplicas(backend.slots, logs)
    start(host, *serving(tmp_path / "a"), cpus=1)
    served = {"judge": Served(url=host.observe()["judge-1"].url, model="m")}
    fields = {"shards": [0], "store_url": str(tmp_path), "node": "exit:0"}
    for work in (
        ArrayWork(name="computes", **fields),  # type: ignore[arg-type]
        ArrayWork(name="calls", served=served, **fields),  # type: ignore[arg-type]
    ):
        backend.submit(work)
    until(lambda: not backend.observe()["calls"].held)
    assert backend.observe()["computes"].held == {0}
    assert not backend.observe()["computes"].running
    host.close()
    until(lambda: not backend.observe()["computes"].held)
    backend.close()


def test_the_output_goes_to_the_replicas_own_log(host: LocalReplicas, logs: Path) -> None:
    start(host, *says("hello"), name="judge[rows=5]-1")
    ended(host, "judge[rows=5]-1")
    assert (logs / "judge_rows_5_-1.log").read_text() == "hello\n"


def test_last_lines_are_the_replicas_own_and_hold_no_secret(
    host: LocalReplicas, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGE_API_KEY", "open-sesame")
    logs.mkdir(parents=True)
    (logs / "judge-1.log").write_text("of another controller\n")
    start(
        host, *says(*(f"line {number}" for number in range(30)), "\x1b[31mkey open-sesame\x1b[0m")
    )
    lines = ended(host).last_lines
    assert len(lines) == 20
    assert lines[-1] == "key ***"
    assert (logs / "judge-1.log").read_text().startswith("of another controller\nline 0\n")


def test_a_command_that_cannot_be_run_says_so(host: LocalReplicas) -> None:
    start(host, "no-such-server", PORT)
    status = ended(host)
    assert status.exit_code == 127
    assert status.last_lines == ("cannot run 'no-such-server': No such file or directory",)


def test_what_keeps_a_replica_from_starting_is_told_as_its_last_line(tmp_path: Path) -> None:
    slots = Slots(MACHINE)
    (tmp_path / "file").touch()
    host = LocalReplicas(slots, tmp_path / "file" / "logs")
    start(host, "never")
    status = host.observe()["judge-1"]
    assert status.ended
    assert "Not a directory" in status.last_lines[0]
    assert slots.take(cpus=4, gpus=0)


def test_a_run_folder_that_is_removed_costs_nothing_but_the_exit_code(
    host: LocalReplicas, logs: Path, tmp_path: Path
) -> None:
    start(host, *serving(tmp_path / "a"))
    pids = family(tmp_path / "a", "server")
    for file in logs.iterdir():
        file.unlink()
    logs.rmdir()
    host.stop("judge-1")
    assert ended(host).stopping
    assert not is_running(pids["server"])


def test_a_record_is_gone_with_its_replica(host: LocalReplicas, logs: Path) -> None:
    start(host, *says("bye"))
    assert list(logs.glob("*.pids"))
    ended(host)
    assert [path.name for path in logs.iterdir()] == ["judge-1.log"]


def test_those_that_ended_long_ago_are_forgotten_but_never_untold(
    host: LocalReplicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.backends.local_replicas.KNOWN", 1)
    names = ["a", "b", "c"]
    told: set[str] = set()
    for name in names:
        start(host, *says(name), name=name)

    def all_told() -> bool:
        told.update(name for name, status in host.observe().items() if status.ended)
        return told == set(names)

    until(all_told)
    host.observe()
    assert len(host.observe()) == 1


def test_a_port_is_never_given_to_two_living_replicas(host: LocalReplicas, tmp_path: Path) -> None:
    for number in range(4):
        start(host, *serving(tmp_path / "a"), name=f"judge-{number}")
    assert len({status.url for status in host.observe().values()}) == 4
