"""Does a running campaign tell Prometheus and people in other terminals what it does?"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from jobs.runtime.exporting import Exporter
from jobs.runtime.metrics import CampaignCollector
from jobs.runtime.worker_metrics import VARIABLE, WorkerCollector, worker_metrics
from jobs.spec.errors import ConfigError
from tests.contract.shell import AT_MOST_S, SLOW, TOY, Shell, is_at_work, until
from tests.unit.jobs.told import TOLD

COUNTING = """
import os, sys
from prometheus_client import Counter, Gauge, Histogram
Counter("did", "x", ["who"]).labels("me").inc(float(sys.argv[1]))
Gauge("doing", "x", multiprocess_mode="livesum").set(7)
Histogram("took", "x", buckets=(1, 10)).observe(5)
print("counted", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


class Worker:
    """Counts with prometheus_client, which knows of us only through the environment."""

    def __init__(self, amount: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", COUNTING, str(amount)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "counted\n"

    def end(self) -> None:
        self.process.communicate(timeout=AT_MOST_S)


def summed(workers: Collector) -> dict[str, float]:
    return {
        sample.name + str(sample.labels.get("le", "")): sample.value
        for metric in workers.collect()
        for sample in metric.samples
    }


def test_what_ended_workers_counted_stays_and_their_gauges_go(tmp_path: Path) -> None:
    with worker_metrics(tmp_path / "metrics") as workers:
        first, second = Worker(3), Worker(4)
        assert summed(workers) == {
            "did_total": 7,
            "doing": 14,
            "took_sum": 10,
            "took_bucket1.0": 0,
            "took_bucket10.0": 2,
            "took_bucket+Inf": 2,
            "took_count": 2,
        }
        first.end()
        assert summed(workers)["doing"] == 7
        second.end()
        third = Worker(5)
        third.end()
        for _ in range(2):
            found = summed(workers)
            assert (found["did_total"], found["took_count"], found["took_bucket10.0"]) == (12, 3, 3)
            assert "doing" not in found
    files = sorted(path.name for path in (tmp_path / "metrics").iterdir())
    assert files == ["counter_0.db", "histogram_0.db"], "many workers leave two files"


def test_a_run_begins_with_an_empty_folder_and_leaves_the_environment_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "before")
    (tmp_path / "counter_17.db").write_bytes(b"of an earlier run")
    with worker_metrics(tmp_path) as workers:
        assert os.environ[VARIABLE] == str(tmp_path)
        assert not list(workers.collect())
    assert os.environ[VARIABLE] == "before"


def test_a_file_that_its_process_had_no_time_to_fill_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / f"counter_{os.getpid()}.db").touch()
    (tmp_path / f"counter_{2**31 - 1}.db").touch()
    assert not list(WorkerCollector(tmp_path).collect())


@contextlib.contextmanager
def exporter() -> Iterator[Exporter]:
    found = Exporter(
        [CampaignCollector(told=lambda: TOLD, stages=lambda: ())], host="127.0.0.1", port=0
    )
    try:
        yield found
    finally:
        found.close()


def status_of(url: str, method: str = "GET") -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method)) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def scraped(url: str) -> dict[tuple[str, ...], float]:
    with urllib.request.urlopen(url) as answer:
        text = answer.read().decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/metrics", 200),
        ("GET", "/metrics?name[]=rprm_fleet_lost_total", 200),  # Prometheus can ask for a part
        ("GET", "/", 404),
        ("GET", "/metrics/", 404),
        ("GET", "/favicon.ico", 404),
        ("POST", "/metrics", 404),
        ("OPTIONS", "/metrics", 404),
        ("BREW", "/metrics", 404),
    ],
)
def test_nothing_but_the_metrics_is_served(method: str, path: str, status: int) -> None:
    with exporter() as found:
        assert status_of(found.url.removesuffix("/metrics") + path, method) == status


def test_nobody_waits_for_a_client_that_says_nothing() -> None:
    with exporter() as found:
        port = int(found.url.rpartition(":")[2].partition("/")[0])
        with socket.create_connection(("127.0.0.1", port)):
            assert scraped(found.url)["rprm_fleet_wanted_replicas", "judge"] == 3


@pytest.mark.parametrize("host", ["127.0.0.1", "no.such.host.invalid"])
def test_an_address_that_cannot_be_had_is_said_so(host: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"{host}:{port}.*Fix: choose another --metrics-p"):
            Exporter([], host=host, port=port)


def test_a_port_that_is_taken_ends_a_run_before_it_begins(shell: Shell) -> None:
    with exporter() as found:
        port = found.url.rpartition(":")[2].partition("/")[0]
        done = shell("run", shell.write(TOY), "--metrics-port", port)
    assert done.returncode == 64
    assert f"127.0.0.1:{port}" in done.stderr
    assert not shell.events("toy")


METERED = SLOW.replace("tests.toy.stages:PATIENT", "metered:METERED")
STAGE = """
from prometheus_client import Counter
from tests.toy.stages import Patient
DID = Counter("rprm_test_did", "x")

class Metered(Patient):
    def run(self, io, *rest):
        DID.inc(2)
        return super().run(io, *rest)

METERED = Metered
"""


def test_a_run_serves_what_it_and_its_workers_count_until_it_ends(shell: Shell) -> None:
    (shell.folder / "metered.py").write_text(STAGE)
    shell.env["PYTHONPATH"] += f":{shell.folder}"
    running = shell.start("run", shell.write(METERED), "--metrics-port", "0")
    try:
        assert running.stdout is not None
        url = next(
            found.group() for line in running.stdout if (found := re.search(r"http://\S+", line))
        )
        until(lambda: is_at_work(shell))
        until(lambda: ("rprm_test_did_total",) in scraped(url))
        found = scraped(url)
        assert found["rprm_test_did_total",] == 2
        assert found["rprm_stage_shards", "numbers", "done"] == 2
        assert found["rprm_stage_shards", "wait", "running"] == 1
    finally:
        running.terminate()
        running.communicate(timeout=AT_MOST_S)
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url)
