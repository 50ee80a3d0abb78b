"""Does every text become a campaign or a list of problems, and never another exception?

Deterministic: a campaign is broken in random ways, as text and as a tree, from fixed seeds.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jobs.plan.graph import expand
from jobs.spec.document import read_document
from jobs.spec.errors import CampaignError
from jobs.spec.loading import parse_campaign

TEXT = """\
apiVersion: rprm.dev/v1alpha1
kind: Campaign
metadata: {name: fuzz, labels: {a: b}}
spec:
  store: {url: s3://bucket, options: {region: eu}}
  defaults: {timeout: 1h, errorBudget: 0.1}
  fleets:
    - {name: judge, role: judge, model: {stage: a, where: {k: 1}}, maxReplicas: 2, engine: {x_y: 1}}
    - {name: gpt, role: teacher, model: m, url: "http://h:1", keyEnv: KEY}
  stages:
    - {name: a, run: "p:A", rowsPerShard: 5, params: {x: [1, "${k}"]}, sweep: {k: [1, 2]}}
    - {name: b, run: "p:B", inputs: {x: {stage: a, where: {k: 2}}, y: a}, over: x, shards: 2}
    - {name: c, run: "p:C", kind: single, inputs: {all: {gather: [a, {stage: b}]}, z: d@1},
       fleets: {m: judge, t: gpt}}
  rounds:
    - name: r
      count: 2
      carry: {m: {start: {stage: b, where: {k: 1}}, next: d}}
      stages: [{name: d, run: "p:D", inputs: {m: {carry: m}}, retries: {failed: 1, backoff: 2s}}]
"""
WORDS = [
    "a", "b", "c", "d", "d@1", "d@9", "@", "", "~", "null", "true", "yes", "0", "-1", "1e9",
    "9" * 30, "9" * 5000, "0x", "1e999", ".nan", "${k}", "${", "${round}", "{}", "[]", "{a: 1}",
    "&x", "*x", "<<", "!!str", "!!python/name:os.system", "? ", ": ", "- ", "#", "|", ">", "%", "@",
    "`", "'", '"', "\t", "\n", "\n---\n", "\n...\n", "\x00", "\x85", "\ufeff", "\ud800", "é", "🙂",
    "stages", "inputs", "where", "gather", "carry", "sweep", "name", "run", "kind", "map", "gang",
]  # fmt: skip
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 10**12, 10**40, 1.5, 1e308, "", "a", "b", "d", "d@1", "d@2", "x",
    "${k}", "${round}", "x${k}", "1h", "2Gi", "map", "p:X", [], {}, [1], ["a"], [{}], {"a": 1},
    {"stage": "a"}, {"carry": "m"}, {"gather": ["a", "d"]}, {"k": 1}, {"k": [1, 2]}, {"k": [True]},
    {"stage": "d", "where": {"round": 1}}, {"m": "judge"}, "judge", "s" * 300,
    "sécret", [[[[[[]]]]]],
]  # fmt: skip
KEYS = [
    "name", "run", "kind", "params", "inputs", "over", "shards", "rowsPerShard", "sweep", "where",
    "resources", "retries", "errorBudget", "timeout", "stage", "gather", "carry", "start", "next",
    "count", "stages", "rounds", "nodes", "memory", "failed", "k", "x", "m", "", "a b", "${k}",
    "fleets", "model", "engine", "url", "keyEnv", "role", "t",
]  # fmt: skip


def broken_texts(rng: random.Random) -> Iterator[str]:
    while True:
        text = TEXT
        for _ in range(rng.choice([1, 1, 2, 3, 8])):
            text = rng.choice(TEXT_CHANGES)(text, rng)
        yield text


def _cut(text: str, rng: random.Random) -> str:
    start = rng.randrange(len(text) + 1)
    return text[:start] + text[start + rng.choice([1, 2, 5, 50]) :]


def _insert(text: str, rng: random.Random) -> str:
    start = rng.randrange(len(text) + 1)
    return text[:start] + rng.choice(WORDS) + text[start:]


def _end_early(text: str, rng: random.Random) -> str:
    return text[: rng.randrange(len(text) + 1)]


def _move_line(text: str, rng: random.Random) -> str:
    lines = text.split("\n")
    line = lines.pop(rng.randrange(len(lines)))
    lines.insert(rng.randrange(len(lines) + 1), " " * rng.randrange(8) + line.strip())
    return "\n".join(lines)


def _repeat_line(text: str, rng: random.Random) -> str:
    lines = text.split("\n")
    start = rng.randrange(len(lines))
    return "\n".join([*lines[: start + 1], *lines[start:]])


def _replace_word(text: str, rng: random.Random) -> str:
    old = rng.choice(text.split() or [""])
    return text.replace(old, rng.choice(WORDS), 1)


TEXT_CHANGES: list[Callable[[str, random.Random], str]] = [
    _cut, _insert, _end_early, _move_line, _repeat_line, _replace_word,
]  # fmt: skip


def broken_trees(rng: random.Random) -> Iterator[str]:
    plain = read_document(TEXT, source="fuzz").value
    while True:
        tree = json.loads(json.dumps(plain))
        for _ in range(rng.choice([1, 1, 2, 3, 8])):
            change(tree, rng)
        yield json.dumps(tree)


def change(tree: Any, rng: random.Random) -> None:
    """Put, take or add something somewhere."""
    holder = rng.choice(list(containers(tree)))
    value = json.loads(json.dumps(rng.choice(VALUES)))
    if isinstance(holder, list):
        if holder and rng.random() < 0.4:
            holder[rng.randrange(len(holder))] = value
        elif holder and rng.random() < 0.5:
            holder.append(holder[0])
        else:
            holder.insert(rng.randrange(len(holder) + 1), value)
    elif holder and rng.random() < 0.3:
        del holder[rng.choice(list(holder))]
    else:
        known = list(holder) if holder and rng.random() < 0.6 else KEYS
        holder[rng.choice(known)] = value


def containers(tree: Any) -> Iterator[Any]:
    if isinstance(tree, dict | list):
        yield tree
        for inner in tree.values() if isinstance(tree, dict) else tree:
            yield from containers(inner)


def is_campaign(text: str) -> bool:
    """Raises anything but CampaignError."""
    try:
        expand(parse_campaign(text, source="fuzz"))
    except CampaignError as error:
        refused = error
    else:
        return True
    assert refused.problems
    for problem in refused.problems:
        assert problem.message
        assert 1 <= problem.line <= len(text.splitlines()) + 1
    return False


def fuzz(texts: Iterator[str], count: int) -> int:
    return sum(is_campaign(next(texts)) for _ in range(count))


def test_the_unbroken_campaign_is_one() -> None:
    assert is_campaign(TEXT)


@pytest.mark.parametrize("broken", [broken_texts, broken_trees])
def test_a_broken_campaign_is_refused_with_problems(
    broken: Callable[[random.Random], Iterator[str]],
) -> None:
    assert 0 < fuzz(broken(random.Random(0)), 400) < 400


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_100_000_broken_campaigns_raise_nothing_else(seed: int) -> None:
    texts, trees = (random.Random(f"{kind}-{seed}") for kind in ("text", "tree"))
    assert 0 < fuzz(broken_texts(texts), 7_000) < 7_000
    assert 0 < fuzz(broken_trees(trees), 3_000) < 3_000
