"""Does a guided search run as a stage: with real models, in shards, and again after a kill?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobs.store import layout
from jobs.store.artifacts import Artifact
from rprm.attempts import NOTHING_WRITTEN
from rprm.data.chain_checks import first_wrong
from rprm.data.problem_tables import table_to_problems, table_to_solved
from rprm.stages.report import solver_of
from tests.contract.in_process import Ran, run_in_process

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

MODELS = """
apiVersion: rprm.dev/v1alpha1
kind: Campaign
metadata: {name: search}
spec:
  defaults: {resources: {cpus: 1}}
  stages:
    - name: policy-world
      run: rprm.stages.world:World
      params: {solutions: 70, split: train, seed: 3}
    - name: policy
      run: rprm.stages.policy:Policy
      inputs: {solutions: policy-world}
      params:
        model: builtin:chain_base
        format: chain
        validation_solutions: 6
        training: {learning_rate: 0.005, epochs: 10, batch_size: 8, max_length: 256, save_every: 99}
    - name: seed
      run: rprm.stages.seed:Seed
      inputs: {solutions: policy-world}
      params: {teacher: scripted-teacher, template: chain, num_critiques: 1, max_tokens: 80}
    - name: select
      run: rprm.stages.select:Select
      inputs: {seed: seed}
      params: {template: chain, validation_rows: 6, rows: 56}
    - name: judge
      run: rprm.stages.sft:Sft
      inputs: {data: select}
      params:
        model: builtin:chain_base
        template: chain
        training: {learning_rate: 0.001, batch_size: 8, max_length: 192, save_every: 99}
"""
SEARCH = """
    - name: problems
      run: rprm.stages.chain_problems:ChainProblems
      params: {problems: 5, split: test, seed: 6}
    - name: solutions
      run: rprm.stages.solve:Solve
      inputs: {problems: problems, model: policy}
      params: {format: chain, samples: 2, max_tokens: 160, grader: exact}
    - name: search
      run: rprm.stages.search:Search
      inputs: {problems: problems, model: policy, judge: judge}
      params: {format: chain, template: chain, candidates: 4, num_critiques: 2, max_tokens: 48,
               critique_max_tokens: 64, max_steps: 5, grader: exact, seed: 6, SHARDED}
    - name: accuracy
      run: rprm.stages.accuracy:Accuracy
      inputs: {solved: search, problems: problems, baseline: solutions, model: judge}
      params: {benchmark: small_world, system: judge}
"""


NEVER_THE_SAME = ("scores", "trace")
"""Beliefs, which an engine rounds as the batch has it; choices do not depend on them."""


def campaign(changes: str = "batch_problems: 64", sharding: str = "shards: 1") -> str:
    return MODELS + SEARCH.replace(", SHARDED}", f", {changes}}}\n      {sharding}")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return run_in_process(campaign(), tmp_path_factory.mktemp("search"))


def without_beliefs(ran: Ran) -> list[dict[str, Any]]:
    rows = ran.rows("search")
    return [{k: v for k, v in row.items() if k not in NEVER_THE_SAME} for row in rows]


def test_every_problem_has_a_row_that_readers_of_solutions_can_read(ran: Ran) -> None:
    assert ran.outcome.succeeded, ran.outcome.reasons
    problems = table_to_problems(ran.view("problems").table())
    solved = table_to_solved(ran.view("search").table())
    assert [one.solution.id for one in solved] == [f"{problem.id}/0" for problem in problems]
    for one, row in zip(solved, ran.rows("search"), strict=True):
        wrong = first_wrong(row["problem"], row["steps"])
        assert one.solution.label == (-1 if wrong is None else wrong)
        assert one.correct is (one.answer == one.reference)
        assert (one.answer is None) is (row["stopped"] != "finished")
        steps = row["steps"] if row["steps"] != [NOTHING_WRITTEN] else []
        assert len(row["scores"]) == len(steps)
        assert row["trace"].count("> ") == len(steps)


def test_tokens_critiques_and_causes_are_counted(ran: Ran) -> None:
    rows, facts = ran.rows("search"), ran.facts("search")
    for name in ("policy_tokens", "judge_tokens", "critiques", "unparsed"):
        assert facts[name] == sum(row[name] for row in rows), name
    assert facts["candidates"] > 0
    assert facts["critiques"] == 2 * facts["candidates"]
    stopped = {name: value for name, value in facts.items() if name.startswith("stopped_")}
    assert sum(stopped.values()) == facts["solutions"] == 5


def test_accuracy_carries_what_the_search_cost_and_the_gain_over_one_sample(ran: Ran) -> None:
    facts, rows = ran.facts("accuracy"), ran.rows("accuracy")
    found = facts["methods"]["guided_search"]
    assert found["low"] <= found["value"] <= found["high"]
    assert found["value"] == 20 * ran.facts("search")["correct"]
    assert facts["policy_tokens"] == ran.facts("search")["policy_tokens"]
    assert facts["judge_tokens"] == ran.facts("search")["judge_tokens"]
    assert facts["baseline_tokens"] == ran.facts("solutions")["solution_tokens"]
    assert facts["differences"]["guided_search - pass_at_1"]["problems"] == 5
    assert solver_of(ran.view("accuracy")).methods == ["guided_search"]  # as reports read it
    assert [row["problem_id"] for row in rows] == [row["id"] for row in ran.rows("problems")]


SHARDED = campaign("batch_problems: 1", "rowsPerShard: 2")


@pytest.fixture(scope="module")
def sharded(ran: Ran, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return run_in_process(SHARDED, tmp_path_factory.mktemp("sharded"), store=ran.store)


def test_sharding_and_batches_change_no_row(ran: Ran, sharded: Ran) -> None:
    assert sharded.stages["search"].address != ran.stages["search"].address
    assert without_beliefs(sharded) == without_beliefs(ran)
    assert sharded.facts("search") == ran.facts("search")


def test_what_a_kill_has_left_undone_is_done_again_to_the_same_bytes(
    sharded: Ran, tmp_path: Path
) -> None:
    address, before = sharded.stages["search"].address, shards(sharded)
    facts = sharded.facts("search")
    sharded.store.delete([layout.seal_key(address), layout.done_key(address, 1)])
    again = run_in_process(SHARDED, tmp_path, store=sharded.store)
    assert again.outcome.succeeded, again.outcome.reasons
    assert again.outcome.stages["search"] == "sealed"
    assert len(before) == 3
    assert shards(again) == before
    assert again.facts("search") == facts


def shards(ran: Ran) -> list[bytes]:
    """The bytes of every committed shard of the search."""
    address = ran.stages["search"].address
    seal = Artifact(ran.store, address).read_seal()
    assert seal is not None
    return [ran.store.get(layout.data_key(address, one.index, one.attempt)) for one in seal.shards]


def test_beams_search_too_and_budgets_hold(ran: Ran, tmp_path: Path) -> None:
    changes = "strategy: beam, beams: 2, token_budget: 300, judge_lone: false"
    again = run_in_process(campaign(changes), tmp_path, store=ran.store)
    assert again.outcome.succeeded, again.outcome.reasons
    for row in again.rows("search"):
        if row["stopped"] == "tokens":
            assert row["policy_tokens"] + row["judge_tokens"] >= 300
    assert {row["stopped"] for row in again.rows("search")} & {"tokens", "finished"}


def test_a_problem_that_the_policy_refuses_is_listed_and_counts_as_not_solved(
    ran: Ran, tmp_path: Path
) -> None:
    text = campaign(sharding="errorBudget: 1").replace("max_tokens: 48", "max_tokens: 99999")
    again = run_in_process(text, tmp_path, store=ran.store)
    assert again.outcome.succeeded, again.outcome.reasons
    errors = again.view("search").errors().to_pylist()
    assert [one["row_id"] for one in errors] == [row["id"] for row in ran.rows("problems")]
    assert {one["cause"] for one in errors} == {"prompt_too_long"}
    facts = again.facts("accuracy")
    assert (facts["missing"], facts["refused"], facts["problems"]) == (5, 5, 5)
    assert facts["methods"]["guided_search"]["value"] == 0
