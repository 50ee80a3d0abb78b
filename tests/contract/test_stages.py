"""Do the method's stages and the job system fit together?  Real stages through the real worker."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from jobs.runtime.stage_io import AttemptIO, Committed
from jobs.runtime.views import SealedView
from jobs.tracking import registry
from rprm.stages.io import ArtifactView, CheckpointView, StageIO
from tests.contract.in_process import Ran, run_in_process

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

CHAIN = """
apiVersion: rprm.dev/v1alpha1
kind: Campaign
metadata: {name: chain}
spec:
  stages:
    - name: base
      run: rprm.stages.drill:Drill
      params: {examples: 32, validation_examples: 8, hidden: 16, layers: 1, heads: 2, kv_heads: 1,
               ffn: 16, training: {learning_rate: 0.001, batch_size: 16, save_every: 1,
                                   max_length: 192}}
    - name: world
      run: rprm.stages.world:World
      params: {solutions: 60, split: train}
      shards: 2
    - name: test-world
      run: rprm.stages.world:World
      params: {solutions: 10, split: test}
    - name: seed
      run: rprm.stages.seed:Seed
      inputs: {solutions: world}
      params: {teacher: scripted-teacher, template: chain, num_critiques: 3, max_tokens: 80}
      shards: 2
    - name: select
      run: rprm.stages.select:Select
      inputs: {seed: seed}
      params: {template: chain, validation_rows: 6}
      sweep: {rows: [8, 16]}
    - name: sft
      run: rprm.stages.sft:Sft
      inputs: {data: {stage: select, where: {rows: 16}}, model: base}
      params: {template: chain, training: {learning_rate: 0.001, batch_size: 8, save_every: 1,
                                           max_length: 192}}
    - name: pairs
      run: rprm.stages.pairs:Pairs
      inputs: {critiques: seed}
      params: {template: chain, validation_rows: 2, filtered: false, balanced: false}
    - name: dpo
      run: rprm.stages.dpo:Dpo
      inputs: {pairs: pairs, model: sft}
      params: {template: chain, training: {learning_rate: 0.001, batch_size: 4, save_every: 1,
                                           nll_weight: 1.0, max_length: 192}}
    - name: judge
      run: rprm.stages.sample:Sample
      inputs: {solutions: test-world, model: dpo}
      params: {template: chain, num_critiques: 3, max_tokens: 8}
    - name: bench
      run: rprm.stages.bench:Bench
      inputs: {solutions: test-world, judged: judge, model: dpo}
      params: {benchmark: small_world, system: dpo, ks: [1, 3]}
    - name: promote
      run: rprm.stages.promote:Promote
      inputs: {candidate: bench, model: dpo}
"""


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return run_in_process(CHAIN, tmp_path_factory.mktemp("chain"))


def test_a_campaign_of_every_stage_succeeds(chain: Ran) -> None:
    assert chain.outcome.succeeded, chain.outcome.reasons


def test_selection_counts_every_response_under_one_rule(chain: Ran) -> None:
    rules = chain.facts("select[rows=16]")["rules"]
    taken = ("no_verdict", "ambiguous", "disagrees", "trailing_text", "accepted")
    assert rules["responses"] == chain.facts("seed")["critiques"]
    assert sum(rules[rule] for rule in taken) == rules["responses"]


def test_a_smaller_selection_is_a_prefix_of_a_larger_one(chain: Ran) -> None:
    small, large = chain.rows("select[rows=8]"), chain.rows("select[rows=16]")
    assert [row["id"] for row in small[:8]] == [row["id"] for row in large[:8]]


def test_training_and_validation_rows_share_no_problem(chain: Ran) -> None:
    rows = chain.rows("select[rows=16]")
    parts = {
        split: {row["problem_id"] for row in rows if row["split"] == split}
        for split in ("train", "validation")
    }
    assert parts["train"]
    assert parts["validation"]
    assert not parts["train"] & parts["validation"]


def test_pairs_hold_a_right_and_a_wrong_verdict(chain: Ran) -> None:
    rows = chain.rows("pairs")
    assert rows
    for row in rows:
        right, wrong = ("yes", "no") if row["gold"] else ("no", "yes")
        assert row["chosen"].endswith(f"correct ? {right}")
        assert row["rejected"].endswith(f"correct ? {wrong}")


def test_training_leaves_a_model_folder_and_names_its_checkpoint(chain: Ran) -> None:
    folder = chain.view("dpo").path("model")
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= {
        file.name for file in folder.iterdir()
    }
    assert "/checkpoints/" in chain.facts("dpo")["checkpoint"]


def test_the_benchmark_covers_every_solution_at_every_k(chain: Ran) -> None:
    rows = chain.rows("bench")
    assert len(rows) == 2 * 10
    assert [point["k"] for point in chain.facts("bench")["curve"]] == [1, 3]
    assert chain.facts("bench")["early_stopping"]["labels_changed"] == 0


def test_the_first_judge_becomes_champion_and_leaves_an_audit_record(chain: Ran) -> None:
    champion = registry.champion(chain.store, "r-prm")
    assert champion is not None
    assert champion["reason"] == "the registry had no champion"
    assert champion["checkpoint"] == chain.facts("dpo")["checkpoint"]


def test_an_equal_judge_does_not_replace_the_champion(chain: Ran, tmp_path: Path) -> None:
    again = CHAIN.replace(
        "run: rprm.stages.promote:Promote\n",
        ("run: rprm.stages.promote:Promote\n      params: {seed: 1}\n"),
    )
    ran = run_in_process(again, tmp_path, store=chain.store)
    assert not ran.facts("promote")["promoted"]
    assert "no gain" in ran.facts("promote")["reason"]
    assert len(registry.history(chain.store, "r-prm")) == 2


def test_a_selection_larger_than_the_data_stops_the_stage_with_the_fix(tmp_path: Path) -> None:
    head = CHAIN[: CHAIN.index("    - name: sft")].replace("[8, 16]", "[100000]")
    ran = run_in_process(head, tmp_path)
    assert ran.outcome.stages["select[rows=100000]"] == "failed"
    assert "64" in ran.outcome.reasons["select[rows=100000]"]


@pytest.mark.parametrize(
    ("contract", "implementation"),
    [(StageIO, AttemptIO), (ArtifactView, SealedView), (CheckpointView, Committed)],
    ids=lambda one: one.__name__,
)
def test_the_job_system_gives_all_that_the_method_asks_for(
    contract: type, implementation: type
) -> None:
    for name, member in vars(contract).items():
        if name.startswith("_"):
            continue
        given = getattr(implementation, name, None)
        if inspect.isfunction(member):
            assert given is not None, name
            asked = list(inspect.signature(member).parameters.values())
            offered = list(inspect.signature(given).parameters.values())
            assert [(p.name, p.kind, p.default) for p in asked] == [
                (p.name, p.kind, p.default) for p in offered
            ], name
        elif isinstance(member, property):
            source = inspect.getsource(implementation)
            assert given is not None or f"self.{name} " in source, name
