"""Does a published reward model run as a stage, and can its scores be measured and resumed?"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from rprm.data.problem_tables import STEP_SCORES, table_to_scores
from rprm.data.tables import solutions_to_table, table_to_solutions
from rprm.errors import BadInput
from rprm.peers.factory import PEERS
from rprm.scoring import first_error
from rprm.stages.peer import Peer
from tests.contract import peer_models
from tests.contract.in_process import Ran, run_in_process
from tests.contract.peer_models import MANY, SOLUTIONS

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

CAMPAIGN = """
apiVersion: rprm.dev/v1alpha1
kind: Campaign
metadata: {name: peers}
spec:
  stages:
    - name: solutions
      run: rprm.stages.world:World
      params: {solutions: 23, split: test}
    - name: model
      run: tests.contract.peer_models:TinyPeer
    - name: peer
      run: rprm.stages.peer:Peer
      inputs: {solutions: solutions, model: model}
      params: {peer: qwen2.5-math-prm-7b, batch_solutions: 4}
      shards: 3
    - name: bench
      run: rprm.stages.bench_scores:BenchScores
      inputs: {solutions: solutions, scores: peer}
      params: {benchmark: small_world, system: qwen, resamples: 20}
    - name: report
      run: rprm.stages.report:Report
      inputs: {benches: {gather: [bench]}}
      params: {title: Peers, headline_k: 1, resamples: 20}
    - name: short
      run: rprm.stages.peer:Peer
      inputs: {solutions: solutions, model: model}
      params: {peer: qwen2.5-math-prm-7b, max_length: 173, overlong: OVERLONG}
      shards: 2
      errorBudget: 1.0
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    campaign = CAMPAIGN.replace("OVERLONG", "refuse")
    return run_in_process(campaign, tmp_path_factory.mktemp("peers"))


def test_every_solution_gets_a_score_per_step(ran: Ran) -> None:
    assert ran.outcome.succeeded, ran.outcome.reasons
    solutions = table_to_solutions(ran.view("solutions").table())
    table = ran.view("peer").table()
    assert table.schema.equals(STEP_SCORES)
    scores = table_to_scores(table)
    assert [one.solution_id for one in scores] == [one.id for one in solutions]
    for one, solution in zip(scores, solutions, strict=True):
        assert one.scores_S is not None
        assert len(one.scores_S) == len(solution.steps)
        assert first_error(one.scores_S, threshold=0.5) is not None
        assert one.engine.startswith("model-")


def test_the_facts_say_how_scores_are_read_and_what_became_of_solutions(ran: Ran) -> None:
    facts = ran.facts("peer")
    assert facts["solutions"] == 23
    assert facts["steps"] == sum(len(row["steps"]) for row in ran.rows("solutions"))
    assert (facts["peer"], facts["label_rule"]) == ("qwen2.5-math-prm-7b", ">= 0.5")
    assert facts["aggregator"] == "product"
    none = ("refused", "refused_too_long", "refused_tag_lost", "truncated_solutions")
    assert {facts[name] for name in none} == {0}


def test_the_scores_are_measured_by_the_peers_own_rule(ran: Ran) -> None:
    facts = ran.facts("bench")
    assert facts["threshold"] == 0.5
    assert (facts["solutions"], facts["unjudged"]) == (23, 0)
    assert [point["k"] for point in facts["curve"]] == [1]
    matches = {row["solution_id"]: row["match"] for row in ran.rows("bench")}
    labels = {row["id"]: row["label"] for row in ran.rows("solutions")}
    for row in ran.rows("peer"):
        found = first_error(row["scores"], threshold=0.5) == labels[row["solution_id"]]
        assert matches[row["solution_id"]] == found
    assert ran.facts("report")["headline_k"] == 1


def test_solutions_that_are_too_long_are_listed_and_counted(ran: Ran) -> None:
    facts, errors = ran.facts("short"), ran.view("short").errors().to_pylist()
    assert 0 < facts["refused_too_long"] == facts["refused"] == len(errors) < 23
    assert facts["solutions"] + facts["refused"] == 23
    assert {row["cause"] for row in errors} == {"too_long"}
    assert all("tokens > 173" in row["detail"] for row in errors)


def test_truncated_solutions_keep_their_first_scores(ran: Ran, tmp_path: Path) -> None:
    cut = run_in_process(CAMPAIGN.replace("OVERLONG", "truncate"), tmp_path, store=ran.store)
    facts, whole = cut.facts("short"), {row["solution_id"]: row for row in ran.rows("peer")}
    assert facts["truncated_solutions"] > 0
    assert facts["unscored_steps"] > 0
    assert facts["truncated_solutions"] + facts["refused"] == ran.facts("short")["refused"]
    for row in cut.rows("short"):
        kept = [score for score in row["scores"] if score is not None]
        expected = whole[row["solution_id"]]["scores"]
        assert len(row["scores"]) == len(expected)
        assert kept == pytest.approx(expected[: len(kept)], abs=1e-5)


def test_a_shard_that_starts_again_gives_the_same_rows(tmp_path: Path) -> None:
    folder = peer_models.qwen_prm(tmp_path)
    params = Peer.Params(peer="qwen2.5-math-prm-7b", model=str(folder), batch_solutions=3)
    rows = solutions_to_table(SOLUTIONS)
    broken = Peer(params).run(FakeIO(), rows)
    first = next(iter(broken))
    again, io = list(Peer(params).run(FakeIO(), rows)), FakeIO()
    assert again[0].equals(first)
    assert pa.concat_tables(again).equals(pa.concat_tables(Peer(params).run(io, rows)))
    assert [len(part) for part in again] == [3, 3, 3, 1]
    assert io.told == [(0, 10), (3, 10), (6, 10), (9, 10), (10, 10)]
    assert io.facts["steps"] == MANY + sum(len(one.steps) for one in SOLUTIONS if one.id != "many")


def test_a_shard_without_rows_leaves_an_empty_table(tmp_path: Path) -> None:
    folder = peer_models.qwen_prm(tmp_path)
    params = Peer.Params(peer="qwen2.5-math-prm-7b", model=str(folder))
    (table,) = Peer(params).run(FakeIO(), solutions_to_table([]))
    assert table.schema.equals(STEP_SCORES)
    assert table.num_rows == 0


def test_an_unknown_peer_is_named_with_the_choices(tmp_path: Path) -> None:
    campaign = CAMPAIGN.replace("peer: qwen2.5-math-prm-7b", "peer: qwen-prm")
    with pytest.raises(Exception, match="math-shepherd-7b") as caught:
        run_in_process(campaign, tmp_path)
    assert "qwen-prm" in str(caught.value) or "no such peer" in str(caught.value)


def test_weights_of_several_peers_are_found_by_name(tmp_path: Path) -> None:
    name = "qwen2.5-math-prm-7b"
    stage = Peer(Peer.Params(peer=name, models=str(tmp_path)))
    missing = stage.digests()
    peer_models.qwen_prm(tmp_path / name)
    assert stage.digests() != missing
    (table,) = stage.run(FakeIO(), solutions_to_table(SOLUTIONS[:2]))
    assert set(table.column("engine").to_pylist()) == {name}
    nowhere = Peer(Peer.Params(peer=name, models="weights"))
    assert nowhere.digests() == {"model": f"./weights/{name}"}
    with pytest.raises(BadInput, match=r"no model is called .\./weights/qwen2"):
        list(nowhere.run(FakeIO(), solutions_to_table(SOLUTIONS[:2])))
    with pytest.raises(BadInput, match="give one of them"):
        Peer(Peer.Params(peer=name, model="m", models="weights"))


@pytest.mark.parametrize("name", PEERS)
def test_a_plan_pins_the_weights_without_fetching_them(name: str) -> None:
    card = PEERS[name]
    assert Peer(Peer.Params(peer=name)).digests() == {"model": f"{card.model}@{card.revision}"}
    pinned = Peer(Peer.Params(peer=name, revision="abc123"))
    assert pinned.digests() == {"model": f"{card.model}@abc123"}


class FakeIO:
    """As much of a stage's world as `Peer` looks at."""

    stage = "peer"
    cpus = 1

    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []
        self.facts: dict[str, Any] = {}

    def artifacts(self, name: str) -> list[Any]:
        return []

    def note(self, **facts: Any) -> None:
        self.facts |= copy.deepcopy(facts)

    def progress(self, done: int, total: int, unit: str) -> None:
        self.told.append((done, total))

    def error(self, row_id: str, cause: str, detail: str) -> None:
        raise AssertionError((row_id, cause, detail))
