"""Are critics measured right, resumed exactly, and is their key nowhere to be found?

Campaigns through the real controller and worker, against a stand-in for a hosted API.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from rprm.data.tables import solutions_to_table
from rprm.errors import BadInput, Drained
from rprm.schema import Solution
from rprm.stages.critic import Critic
from tests.contract import openai_server as api
from tests.contract.critic_world import CAMPAIGN, KEY, PACE, params, run
from tests.contract.openai_server import Body, Fault, OpenAiServer

PROMPTS = Path(__file__).parents[2] / "rprm" / "peers" / "prompts"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRITIC_KEY", KEY)


def critique(body: Body, k: int) -> str:
    """What the model behind the server writes: it depends on the prompt and the seed alone."""
    seed = body.get("seed", 0) + k
    said = f"{body['messages'][-1]['content']}{seed if body.get('temperature') else ''}"
    number = int(hashlib.sha256(said.encode()).hexdigest(), 16)
    index = (-1, -1, 0, 1, 2, 3)[number // 16 % 6]
    texts = (
        f"no paragraph \\boxed{{7}} … \\boxed{{ {index} }}.",
        f"It is \\boxed{{{index}}}",
        f"\\boxed{{\\text{{{index}}}}}",
        "I cannot tell.",
    )
    return texts[(0, 0, 1, 1, 1, 2, 3, 1)[number % 8]]


@pytest.fixture
def server() -> Iterator[OpenAiServer]:
    with OpenAiServer(critique, key=KEY) as running:
        yield running


def by_hand(solutions: Sequence[Mapping[str, Any]], votes: int) -> dict[str, int | None]:
    """The protocol in straight lines: prompt, replies, last box, vote, integer."""
    document = yaml.safe_load((PROMPTS / "processbench_critique.yaml").read_text())
    predictions: dict[str, int | None] = {}
    for solution in solutions:
        tagged = ""
        for index, step in enumerate(solution["steps"]):
            tagged += f"<paragraph_{index}>\n{step}\n</paragraph_{index}>\n\n"
        prompt = document["turns"][0]["text"]
        prompt = prompt.replace("{problem}", solution["problem"])
        prompt = prompt.replace("{solution}", tagged.strip())
        body = {
            "messages": [{"content": prompt}],
            "seed": 42,
            "temperature": 0 if votes == 1 else 1,
        }
        answers = []
        for k in range(votes):
            boxes = re.findall(r"\\boxed\{([^}]*)\}", critique(body, k))
            if boxes:
                answers.append(boxes[-1].strip())
        try:
            predictions[solution["id"]] = int(Counter(answers).most_common(1)[0][0])
        except (IndexError, ValueError):
            predictions[solution["id"]] = None
    return predictions


@pytest.mark.parametrize("votes", [1, 8])
def test_a_critic_s_score_is_the_one_computed_by_hand(
    server: OpenAiServer, tmp_path: Path, votes: int
) -> None:
    ran = run(server, tmp_path, votes=votes)
    assert ran.outcome.succeeded, ran.outcome.reasons
    solutions = ran.rows("world")
    predictions = by_hand(solutions, votes)
    rows = ran.rows("critic")
    assert {row["solution_id"]: row["prediction"] for row in rows} == predictions
    assert {len(row["texts"]) for row in rows} == {votes}
    unparsed = sum(one is None for one in predictions.values())
    assert 0 < unparsed == ran.facts("critic")["unparsed"] < len(rows)
    hits: dict[bool, list[bool]] = {True: [], False: []}
    for one in solutions:
        hits[one["label"] == -1].append(predictions[one["id"]] == one["label"])
    right, wrong = (100 * sum(hits[kind]) / len(hits[kind]) for kind in (True, False))
    found = ran.facts("bench")["curve"][0]
    assert found["acc_correct"]["value"] == pytest.approx(right)
    assert found["acc_error"]["value"] == pytest.approx(wrong)
    assert found["f1"]["value"] == pytest.approx(2 * right * wrong / (right + wrong))


def test_tokens_are_counted_over_all_shards(server: OpenAiServer, tmp_path: Path) -> None:
    facts = run(server, tmp_path, votes=8).facts("critic")
    assert facts["solutions"] == 30
    assert facts["replies"] == 240
    assert facts["prompt_tokens"] == sum(api.characters(body) // 4 for body in server.bodies)
    assert facts["completion_tokens"] > 0


def test_faults_and_a_shard_that_starts_again_leave_the_same_rows(
    server: OpenAiServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    calm = run(server, tmp_path / "calm")
    calls = len(server.bodies)
    server.faults.extend(api.BAD_DAY * 2)
    server.faults.extend([api.OVERLOADED] * 12)  # more than the budget: the first attempt ends
    rough = run(server, tmp_path / "rough", retry_budget=12, max_tries=50)
    assert rough.outcome.succeeded, rough.outcome.reasons
    assert rough.rows("critic") == calm.rows("critic")
    assert rough.rows("bench") == calm.rows("bench")
    assert len(server.bodies) > 2 * calls
    assert "ApiUnavailable" in capfd.readouterr().err  # how the first attempt ended


def test_the_undisturbed_rows_do_not_depend_on_how_many_are_in_flight(
    server: OpenAiServer, tmp_path: Path
) -> None:
    wide = run(server, tmp_path / "wide", votes=8)
    narrow = run(server, tmp_path / "narrow", votes=8, max_in_flight=1, batch_solutions=50)
    assert narrow.rows("critic") == wide.rows("critic")


def test_a_solution_too_long_for_the_model_is_listed_and_the_rest_go_on(
    server: OpenAiServer, tmp_path: Path
) -> None:
    long = tmp_path / "labels.jsonl"
    rows = [
        {"id": "math-0", "generator": "g", "problem": "p", "label": -1, "steps": ["short"]},
        {"id": "math-1", "generator": "g", "problem": "q", "label": 0, "steps": ["x" * 20_000]},
    ]
    for row in rows:
        row["final_answer_correct"] = True
    long.write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = CAMPAIGN.replace("rprm.stages.world:World", "rprm.stages.load:Load").replace(
        "{solutions: 30, split: test}", json.dumps({"format": "processbench", "source": str(long)})
    )
    text = text.replace("shards: 2", "errorBudget: 0.5")
    ran = run(server, tmp_path, text)
    assert ran.outcome.succeeded, ran.outcome.reasons
    assert [row["solution_id"] for row in ran.rows("critic")] == ["math-0"]
    (error,) = ran.view("critic").errors().to_pylist()
    assert error["row_id"] == "math-1"
    assert error["cause"] == "prompt_too_long"
    assert ran.facts("bench")["refused"] == 1


def test_a_wrong_setup_stops_the_stage_and_says_what_to_fix(
    server: OpenAiServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ran = run(server, tmp_path, model="nobody-serves-this")
    assert not ran.outcome.succeeded
    assert "the model's name as this server lists it" in capfd.readouterr().err
    assert len(server.bodies) <= 2 * PACE["max_in_flight"]


def everything_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_hostile_key_is_in_no_log_artifact_event_or_error(
    server: OpenAiServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    honest = critique
    server.reply = lambda body, k: f"{KEY} {honest(body, k)} {KEY}"
    server.fault_of = lambda body, seen: (
        Fault(status=400, error={"message": f"flagged: {KEY}"})
        if "4" in hashlib.sha256(body["messages"][0]["content"].encode()).hexdigest()[:3]
        else None
    )
    server.faults.extend([Fault(status=500, error={"message": KEY})] * 3)
    text = CAMPAIGN.replace("shards: 2", "errorBudget: 1.0")
    ran = run(server, tmp_path / "good", text)
    assert ran.outcome.succeeded, ran.outcome.reasons
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    rows, errors = ran.rows("critic"), ran.view("critic").errors().to_pylist()
    assert all(row["texts"][0].startswith("[key] ") for row in rows)
    assert errors
    assert all("flagged: [key]" in row["detail"] for row in errors)
    server.key = "another"  # so that ours is refused, and repeated in the refusal
    refused = run(server, tmp_path / "refused")
    said = capfd.readouterr()
    told = f"{rows}{errors}{refused.outcome}{said.out}{said.err}".encode()
    assert b"put a valid key of this API into CRITIC_KEY" in told
    for where in (told, everything_below(tmp_path)):
        assert b"sk-hostile" not in where


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"base_url": None}, "no address of its own"),
        ({"base_url": "https://me:secret@host/v1"}, "user name or password"),
        ({"key_env": "sk-pasted-by-mistake"}, "not the name of an environment variable"),
        ({"protocol": "prmbench", "votes": 8}, "neither votes"),
    ],
)
def test_params_that_cannot_work_are_refused_before_anything_runs(
    changed: dict[str, Any], what: str
) -> None:
    given = {"critic": "judge", "base_url": "http://localhost:1/v1"} | changed
    with pytest.raises(BadInput, match=what) as caught:
        Critic(Critic.Params(**given))
    assert "secret" not in str(caught.value)
    assert "pasted" not in str(caught.value)


def test_the_key_of_a_hosted_api_is_not_sent_elsewhere() -> None:
    hosted = Critic(Critic.Params(critic="gpt-4o-2024-08-06"))
    assert (hosted.critic.base_url, hosted.critic.key_env) == (
        "https://api.openai.com/v1",
        "OPENAI_API_KEY",
    )
    given = Critic.Params(critic="gpt-4o-2024-08-06", base_url="http://localhost:1/v1")
    assert Critic(given).critic.key_env is None


def test_a_variable_that_is_not_set_is_named(
    server: OpenAiServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("CRITIC_KEY")
    assert not run(server, tmp_path).outcome.succeeded
    assert "the environment variable CRITIC_KEY is not set" in capfd.readouterr().err


def test_a_reasoning_model_is_asked_as_it_wants_to_be(server: OpenAiServer, tmp_path: Path) -> None:
    ran = run(server, tmp_path, critic="o1-mini", votes=3)
    assert ran.outcome.succeeded, ran.outcome.reasons
    assert {frozenset(body) for body in server.bodies} == {
        frozenset({"model", "messages", "max_completion_tokens"})
    }
    assert ran.facts("critic")["replies"] == 90


class Told:
    """A StageIO that was asked to leave."""

    stage = "critic"
    draining = True

    def progress(self, *_: object) -> None: ...
    def note(self, **_: object) -> None: ...
    def error(self, *_: object) -> None: ...


def test_a_stage_that_is_asked_to_leave_does_not_wait_for_a_slow_model(
    server: OpenAiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rprm.engines.streaming.LOOK_EVERY_S", 0.01)
    server.fault_of = lambda body, seen: api.SLOW
    solution = Solution(
        id="a", problem_id="a", subset="s", generator="g", problem="p", steps=("x",), label=-1
    )
    stage = Critic(Critic.Params(**params(server)))
    with pytest.raises(Drained):
        list(stage.run(Told(), solutions_to_table([solution])))  # type: ignore[arg-type]
