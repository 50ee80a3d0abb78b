"""Is a critic that rates every step, as PRMBench asks it to, measured right?"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.critic_world import KEY, run
from tests.contract.openai_server import Body, OpenAiServer

PRMBENCH = """
apiVersion: rprm.dev/v1alpha1
kind: Campaign
metadata: {name: critics}
spec:
  tracking: {uri: none}
  stages:
    - name: items
      run: rprm.stages.load:Load
      params: {format: prmbench, source: "ITEMS"}
    - name: critic
      run: rprm.stages.critic:Critic
      inputs: {solutions: items}
      params: PARAMS
    - name: bench
      run: rprm.stages.prmbench:PrmBench
      inputs: {items: items, scores: critic}
      params: {system: critic, resamples: 50}
"""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAiServer]:
    monkeypatch.setenv("CRITIC_KEY", KEY)
    with OpenAiServer(ratings, key=KEY) as running:
        yield running


def ratings(body: Body, k: int) -> str:
    """Ratings of every step, 0 among them; no object at all for one solution."""
    said = body["messages"][-1]["content"]
    number = int(hashlib.sha256(said.encode()).hexdigest(), 16)
    if "unreadable" in said:
        return "I would rather not."
    steps = len(re.findall(r"Step \d+: ", said))
    draws = [(number >> (3 * i)) % 8 for i in range(2 * steps)]
    values = [(-1, -0.5, 0, 0, 0.1, 0.5, 1, 1)[draw] for draw in draws]
    return f"```json\n{json.dumps({'validity': values[:steps], 'redundancy': values[steps:]})}\n```"


def items() -> list[dict[str, Any]]:
    made = []
    for number in range(24):
        name = ("redundency", "circular", "counterfactual", "deception", "confidence")[number % 5]
        steps = [f"{i + 1}. step {i} of {number}" for i in range(3 + number % 4)]
        question = "unreadable" if number == 7 else f"question {number}"
        made.append(
            {
                "idx": f"prm_{number}",
                "classification": name,
                "original_question": question,
                "modified_question": question,
                "original_process": steps,
                "modified_process": steps,
                "error_steps": [1 + number % 3, 3],
                "modified_steps": [],
                "reason": "",
                "question": question,
            }
        )
    return made


def test_prmbench_s_critic_is_scored_as_computed_by_hand(
    server: OpenAiServer, tmp_path: Path
) -> None:
    broken = json.dumps({"validity": ["high"], "redundancy": []})
    asked: Counter[str] = Counter()

    def reply(body: Body, k: int) -> str:
        question = body["messages"][-1]["content"]
        asked[question] += 1
        again = "question 3\n" in question and asked[question] < 4
        return broken if again else ratings(body, k)

    server.reply = reply
    source = tmp_path / "items.jsonl"
    source.write_text("".join(json.dumps(one) + "\n" for one in items()))
    text = PRMBENCH.replace("ITEMS", str(source))
    ran = run(server, tmp_path, text, protocol="prmbench")
    assert ran.outcome.succeeded, ran.outcome.reasons
    assert sorted(asked.values()) == [1] * 23 + [4]
    assert ran.facts("critic")["unparsed"] == 1
    counts: Counter[str] = Counter()
    for one in items():
        prompt = f"Question: {one['modified_question']}\n\n Solutions: "
        for number, step in enumerate(one["modified_process"], start=1):
            prompt += f"Step {number}: {step.split('. ', 1)[1]} \n\n"
        told = ratings({"messages": [{"content": prompt}]}, 0)
        if "{" not in told:
            continue
        said = json.loads(told.strip("`json\n"))
        for index in range(len(one["modified_process"])):
            good = said["validity"][index] > 0
            if one["classification"] in ("redundency", "circular"):
                good = not said["redundancy"][index] > 0
            wrong = index + 1 in one["error_steps"]
            counts[("fp" if good else "tn") if wrong else ("tp" if good else "fn")] += 1
    overall = ran.facts("bench")["overall"]["confusion"]
    assert overall == dict(counts)
    assert ran.facts("bench")["validity_rate"] == pytest.approx(23 / 24)
