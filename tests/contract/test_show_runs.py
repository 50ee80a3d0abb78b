"""Does `rprm show` find what campaigns left in a store, and say which run it took?"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import typer
from typer.testing import CliRunner

from jobs.store.artifacts import Artifact
from jobs.store.commit import Output, commit_output
from jobs.store.objects import open_store
from jobs.store.tables import ERRORS
from rprm.data.problem_tables import StepScores, scores_to_table
from rprm.data.tables import cases_of, solutions_to_table
from rprm.errors import BadInput, RprmError
from rprm.schema import Critique, Solution, Verdict
from rprm.show.runs import Chosen, find_run
from rprm.show.shown import Category
from rprm.show.sources import open_source
from rprm.show_cli import show
from rprm.stages.judged import JudgedCase, judged_to_table
from tests.contract import s3_server

SOLUTIONS = [
    Solution(
        id=f"s{index}",
        problem_id="p",
        subset="chain",
        generator="g",
        problem="1 + 1?",
        steps=("1 + 1 = 2", "2 = 3"),
        label=1,
    )
    for index in range(4)
]


class Left:
    """A store as the job system leaves it."""

    def __init__(self, url: str, options: dict[str, str] | None = None) -> None:
        self.store = open_store(url, options)

    def seal(
        self,
        address: str,
        tables: list[pa.Table],
        *,
        facts: dict[str, Any] | None = None,
        **spec: Any,
    ) -> str:
        artifact = Artifact(self.store, address)
        artifact.prepare({"stage": address.rpartition("-")[0], **spec})
        refused = {"row_id": ["s3:1"], "cause": ["prompt_too_long"], "detail": ["9000 tokens"]}
        for shard, table in enumerate(tables):
            errors = pa.table(refused, schema=ERRORS) if "critiques" in table.column_names else None
            commit_output(
                artifact, shard, "a1", Output(table=table, errors=errors, facts=facts or {})
            )
        if not tables:
            commit_output(artifact, 0, "a1", Output())
        artifact.seal(max(len(tables), 1))
        time.sleep(0.002)  # times of files tell which is newest
        return address

    def campaign(self, *, point: str = "1000", **params: Any) -> None:
        """A test set, a judge of it in two shards, and its benchmark."""
        world = "test-world-0123456789abcdef"
        if not self.store.exists(f"artifacts/{world}/seal.json"):
            self.seal(world, [solutions_to_table(SOLUTIONS)])
        judge = self.seal(
            f"judge-{point}456789abcdef",
            [judged(SOLUTIONS[:2], 0.9), judged(SOLUTIONS[2:], 0.2)],
            node=f"judge[rows={point}]",
            run="rprm.stages.sample:Sample",
            inputs={"solutions": [{"address": world}], "model": [{"address": "sft-1"}]},
            params={"template": "chain"},
        )
        self.seal(
            f"bench-{point}456789abcdef",
            [pa.table({"solution_id": ["s0"], "k": [1]})],
            node=f"bench[rows={point}]",
            run="rprm.stages.bench:Bench",
            inputs={"solutions": [{"address": world}], "judged": [{"address": judge}]},
            params={"threshold": 0.3, "aggregate": "soft", "ks": [1, 2], "system": "sft", **params},
        )


def judged(solutions: list[Solution], p_yes: float) -> pa.Table:
    cases = [case for one in solutions for case in cases_of(one, up_to_first_error=True)]
    return judged_to_table(
        JudgedCase(
            case=case,
            engine="judge",
            critiques_K=tuple(
                Critique(
                    text="so", verdict=Verdict.YES, p_yes=p_yes if case.step else 0.95, num_tokens=1
                )
                for _ in range(3)
            ),
        )
        for case in cases
        if case.id != "s3:1"
    )


@pytest.fixture
def left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Left:
    monkeypatch.chdir(tmp_path)
    return Left(str(tmp_path / ".rprm" / "store"))


def run(*words: str) -> str:
    app = typer.Typer(add_completion=False)
    app.command()(show)
    done = CliRunner().invoke(app, [*words, "--no-open"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_benchmark_is_shown_by_its_judgements_as_it_read_them(left: Left) -> None:
    left.campaign()
    found = find_run("bench", None)
    assert isinstance(found, Chosen)
    source = open_source(found)
    assert (source.name, source.reading.threshold, source.reading.num_critiques) == (
        "bench[rows=1000]",
        0.3,
        2,
    )
    rows = {subject.id: said for subject, said in source.open(source.reading)}
    assert list(rows) == ["s0", "s1", "s2", "s3"]
    assert rows["s3"].steps[1].refused == "prompt_too_long: 9000 tokens"
    assert dict(source.facts) == {
        "system": "sft",
        "judge": "sft-1",
        "template": "chain",
        "artifact": "judge-1000456789abcdef",
    }


@pytest.mark.parametrize(
    "name",
    [
        "judge",
        "judge[rows=1000]",
        "judge-1000",
        ".rprm/store/artifacts/judge-1000456789abcdef",
        "bench-1000456789abcdef",
    ],
)
def test_a_run_has_several_names(left: Left, name: str) -> None:
    left.campaign()
    output = run(name)
    assert "4 solutions (2 missed-error, 1 unparsed, 1 right), 7 judged steps" in output
    page = Path(output.splitlines()[-1])
    assert page.parent.parent == Path(".rprm/show")
    assert "s3" in (page.parent / "data" / "index.js").read_text()


def test_where_several_match_the_newest_is_taken_and_the_others_are_named(left: Left) -> None:
    left.campaign(point="1000")
    left.campaign(point="2000")
    output = run("bench")
    assert "took bench[rows=2000] (bench-2000456789abcdef), the newest of 2" in output
    assert "also bench[rows=1000] (bench-1000456789abcdef)" in output


def test_a_campaign_is_its_candidate_or_the_benchmark_it_finished_last(
    left: Left, tmp_path: Path
) -> None:
    for point in ("3000", "2000", "1000"):
        left.campaign(point=point)
    candidate = [{"address": "bench-2000456789abcdef"}]
    left.seal("promote-1", [], run="x:Promote", inputs={"candidate": candidate})
    events = tmp_path / ".rprm" / "runs" / "small" / "events.jsonl"
    events.parent.mkdir(parents=True)
    lines = [
        {"event": "stage_sealed", "address": "bench-3000456789abcdef"},  # of a run before
        {"event": "campaign_started"},
        {"event": "stage_reused", "address": "test-world-0123456789abcdef"},
        {"event": "stage_sealed", "address": "bench-2000456789abcdef"},
        {"event": "stage_sealed", "address": "bench-1000456789abcdef"},
    ]
    events.write_text("".join(f"{json.dumps(line)}\n" for line in lines) + '{"half')
    assert "took bench[rows=1000] (bench-1000456789abcdef), the last of 2" in run("small")
    promoted = json.dumps({"event": "stage_sealed", "address": "promote-1"})
    events.write_text(events.read_text() + f"\n{promoted}")
    assert "took bench[rows=2000] (bench-2000456789abcdef), the candidate" in run("small")
    with pytest.raises(BadInput, match=r"no run 'smal'.*did you mean 'small'.*judge"):
        find_run("smal", None)


def test_scores_of_a_peer_are_shown_without_critiques(left: Left) -> None:
    left.campaign()
    rows = [StepScores(solution_id=one.id, engine="prm", scores_S=(0.9, 0.1)) for one in SOLUTIONS]
    world = [{"address": "test-world-0123456789abcdef"}]
    peer = left.seal(
        "peer-0123456789abcdef",
        [scores_to_table(rows)],
        run="rprm.stages.peer:Peer",
        inputs={"solutions": world},
        facts={"peer": "qwen2.5-math-prm-7b"},
    )
    assert "4 solutions (4 right), 8 judged steps, 0 critiques" in run("peer")
    left.seal(
        "bench-peer-0123456789abcdef",
        [pa.table({"k": [1]})],
        run="rprm.stages.bench_scores:BenchScores",
        inputs={"solutions": world, "scores": [{"address": peer}]},
        params={"threshold": "auto:gsm8k"},
        facts={"threshold": 0.05},
    )
    assert open_source(find_run("bench-peer", None)).reading.threshold == 0.05
    assert "4 solutions (4 missed-error)" in run("bench-peer")


def test_without_its_solutions_a_run_is_shown_from_its_cases(left: Left) -> None:
    left.campaign()
    left.store.delete(["artifacts/test-world-0123456789abcdef/seal.json"])
    source = open_source(find_run("judge", None))
    rows = dict(source.open(source.reading))
    assert [subject.problem for subject in rows] == ["1 + 1?"] * 4
    assert [subject.label for subject in rows] == [1, 1, 1, -1]


def test_only_and_limit_make_a_smaller_page(left: Left) -> None:
    left.campaign()
    assert "1 solution (1 missed-error)" in run(
        "judge", "--only", Category.MISSED_ERROR.value, "--limit", "1", "-K", "1"
    )
    assert "right" not in run("judge", "--threshold", "0.1")


def test_an_artifact_without_judgements_says_what_has_some(left: Left) -> None:
    left.campaign()
    with pytest.raises(BadInput, match=r"holds no judgements.*bench, judge"):
        open_source(find_run("test-world", None))
    with pytest.raises(BadInput, match="no finished artifact"):
        find_run(".rprm/store/artifacts/judge-9", None)
    with pytest.raises(BadInput, match="No store at elsewhere"):
        find_run("judge", "elsewhere")


def test_the_command_opens_with_help_that_teaches() -> None:
    app = typer.Typer(add_completion=False)
    app.command()(show)
    output = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "120", "NO_COLOR": "1"}).output
    for word in ("rprm show quickstart", "--only", "missed-error", "--open", "#ID"):
        assert word in output


def test_showing_imports_nothing_heavy() -> None:
    heavy = {"torch", "transformers", "mlflow", "matplotlib", "obstore"}
    program = f"import sys, rprm.show_cli; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_run_in_an_object_store_is_read_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = s3_server.find_server()
    if binary is None:
        pytest.skip(s3_server.ABSENT)
    monkeypatch.chdir(tmp_path)
    for name, value in s3_server.KEYS.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "s3").mkdir()
    url = f"s3://{s3_server.BUCKET}/rprm"
    with s3_server.serve(binary, tmp_path / "s3") as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        Left(url, {"endpoint": endpoint}).campaign()
        assert "4 solutions (2 missed-error" in run("bench", "--store", url)
        assert "7 judged steps" in run(f"{url}/artifacts/judge-1000456789abcdef")
    with pytest.raises(RprmError, match=r"Could not list s3://.*Fix: check the url"):
        find_run("bench", url)
