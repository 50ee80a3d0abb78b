"""Does a policy that is trained in the small world write solutions that everyone can read?"""

from __future__ import annotations

from pathlib import Path

import pytest

from rprm.data.chain_checks import answer_of, first_wrong
from rprm.data.problem_tables import table_to_problems, table_to_solved
from rprm.training.tiny_model import TinyShape, build_tiny_qwen2
from tests.contract.in_process import Ran, run_in_process
from tests.unit.rprm.small_tokenizers import chatml

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

HEAD = """
apiVersion: rprm.dev/v1alpha1
kind: Campaign
metadata: {name: policy}
spec:
  defaults: {resources: {cpus: 1}}
  stages:
"""
POLICY = """
    - name: policy-world
      run: rprm.stages.world:World
      params: {solutions: 60, split: train, seed: 3}
    - name: policy
      run: rprm.stages.policy:Policy
      inputs: {solutions: policy-world}
      params:
        model: builtin:chain_base
        format: chain
        validation_solutions: 6
        training: {learning_rate: 0.003, batch_size: 8, max_length: 256, save_every: 2}
"""
SOLVE = """
    - name: problems
      run: rprm.stages.chain_problems:ChainProblems
      params: {problems: 6, split: test, seed: 6}
      shards: %d
    - name: solutions
      run: rprm.stages.solve:Solve
      inputs: {problems: problems, model: policy}
      params: {format: chain, samples: 3, max_tokens: 60, seed: 6, grader: exact,
               batch_problems: %d}
      shards: %d
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return run_in_process(HEAD + POLICY + SOLVE % (1, 64, 1), tmp_path_factory.mktemp("policy"))


def test_a_policy_is_trained_on_right_solutions_only(ran: Ran) -> None:
    assert ran.outcome.succeeded, ran.outcome.reasons
    right = sum(row["label"] == -1 for row in ran.rows("policy-world"))
    facts = ran.facts("policy")
    assert facts["examples"] == right - 6  # one solution per problem
    assert {"checkpoint", "best_step", "tokens", "eval_loss"} <= facts.keys()
    assert (ran.view("policy").path("model") / "model.safetensors").is_file()


def test_problems_have_their_exact_answers(ran: Ran) -> None:
    problems = table_to_problems(ran.view("problems").table())
    assert len({one.problem for one in problems}) == 6
    assert all(one.answer == answer_of(one.problem) for one in problems)


def test_every_sample_is_a_row_with_its_exact_label(ran: Ran) -> None:
    solved = table_to_solved(ran.view("solutions").table())
    problems = [one.id for one in table_to_problems(ran.view("problems").table())]
    assert [one.solution.id for one in solved] == [
        f"{problem}/{sample}" for problem in problems for sample in range(3)
    ]
    for one in solved:
        assert one.solution.label == first_wrong(one.solution.problem, one.solution.steps)
        assert one.correct is (one.answer == one.reference)
        assert one.solution.generator == ran.view("policy").address
    facts = ran.facts("solutions")
    assert facts["solutions"] == 18
    assert facts["correct"] == sum(one.correct is True for one in solved)
    assert facts["solution_tokens"] == sum(one.num_tokens for one in solved)


def test_another_run_in_shards_and_other_batches_gives_the_same_rows(
    ran: Ran, tmp_path: Path
) -> None:
    again = run_in_process(HEAD + POLICY + SOLVE % (2, 2, 3), tmp_path)
    assert again.outcome.succeeded, again.outcome.reasons
    weights = [one.view("policy").path("model") / "model.safetensors" for one in (ran, again)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert again.rows("problems") == ran.rows("problems")
    assert again.rows("solutions") == ran.rows("solutions")


def test_a_chat_policy_that_is_cut_off_still_has_its_rows(tmp_path: Path) -> None:
    model = tmp_path / "chat"
    shape = TinyShape(hidden=16, layers=1, ffn=16)
    build_tiny_qwen2(model, tokenizer=chatml(), shape=shape, seed=0)
    campaign = HEAD + (SOLVE % (1, 64, 1)).replace(", model: policy", "").replace(
        "{format: chain,", f"{{model: {model}, format: chat,"
    )
    ran = run_in_process(campaign.replace("max_tokens: 60", "max_tokens: 4"), tmp_path)
    assert ran.outcome.succeeded, ran.outcome.reasons
    assert ran.facts("solutions")["unusable"] == ran.facts("solutions")["solutions"] == 18
    assert all(one.correct is False for one in table_to_solved(ran.view("solutions").table()))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("validation_solutions: 6", "validation_solutions: 600"), "leaves none to train on"),
        (("solutions: 60,", "solutions: 60, erroneous: 1.0,"), "no training examples"),
    ],
)
def test_nothing_to_train_on_stops_the_stage_with_the_fix(
    change: tuple[str, str], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = run_in_process(HEAD + POLICY.replace(*change), tmp_path)
    assert ran.outcome.stages["policy"] == "failed"
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ((", model: policy}", "}"), "no model is given"),
        (("{format: chain, ", "{model: builtin:chain_base, format: chain, "), "two models are"),
    ],
)
def test_solving_needs_exactly_one_policy(
    change: tuple[str, str],
    reason: str,
    ran: Ran,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    campaign = HEAD + POLICY + (SOLVE % (1, 64, 1)).replace(*change)
    failed = run_in_process(campaign, tmp_path, store=ran.store)
    assert failed.outcome.stages["solutions"] == "failed"
    assert reason in capsys.readouterr().err
