"""Does an address change with what changes the content, and with nothing else?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from jobs.plan.fingerprint import address, fleet_digest
from jobs.plan.graph import Node
from jobs.plan.retry import RetryPolicy
from jobs.spec.campaign import Fleet
from jobs.spec.resources import Resources

NODE = Node(
    name="sft[seed=1]",
    stage="sft",
    run="pkg:Sft",
    kind="map",
    params={},
    inputs={"data": ("seed",)},
    gathered=frozenset(),
    over="data",
    shards=None,
    rows_per_shard=None,
    coordinates={"seed": 1},
    own_axes=("seed",),
    resources=Resources(),
    retries=RetryPolicy(),
    error_budget=0.0,
    timeout_s=60.0,
)
GIVEN: dict[str, Any] = {
    "version": "1",
    "params": {"seed": 1, "optim": {"lr": 1e-5}},
    "inputs": {"data": ["seed-0123456789abcdef"]},
    "digests": {"prm800k": "abc"},
}


def of(node: Node = NODE, **changes: Any) -> str:
    return address(node=node, **{**GIVEN, **changes})


def test_an_address_is_pinned() -> None:
    """Should this change, every artifact of every store is orphaned: say so in the changelog."""
    assert of() == "sft-350e53fd06aaba2b"


@pytest.mark.parametrize(
    "changed",
    [
        of(version="2"),
        of(params={"seed": 2, "optim": {"lr": 1e-5}}),
        of(params={"seed": "1", "optim": {"lr": 1e-5}}),
        of(inputs={"data": ["seed-fedcba9876543210"]}),
        of(inputs={"other": ["seed-0123456789abcdef"]}),
        of(digests={"prm800k": "abd"}),
        of(replace(NODE, run="pkg:Other")),
        of(replace(NODE, over="other")),
        of(replace(NODE, shards=2)),
        of(replace(NODE, rows_per_shard=1)),  # 1 row a shard is not 1 shard
    ],
)
def test_what_changes_the_content_changes_the_address(changed: str) -> None:
    assert changed != of()


@pytest.mark.parametrize(
    "same",
    [
        of(params={"optim": {"lr": 1e-5}, "seed": 1}),  # order of keys
        of(replace(NODE, resources=Resources(cpus=8), timeout_s=1.0, error_budget=0.5)),
        of(replace(NODE, retries=RetryPolicy(failed=0))),
        of(replace(NODE, name="sft@2[x=1]", coordinates={"x": 1}, own_axes=())),
        of(replace(NODE, shards=1)),  # what is meant when nothing is said
        of(replace(NODE, kind=None)),
    ],
)
def test_what_cannot_change_the_content_leaves_the_address(same: str) -> None:
    assert same == of()


def test_order_within_an_input_counts() -> None:
    assert of(inputs={"all": ["a", "b"]}) != of(inputs={"all": ["b", "a"]})


def test_a_long_stage_name_still_makes_a_short_address() -> None:
    made = of(replace(NODE, stage="s" * 63))
    assert len(made) == 40 + 1 + 16


def test_a_param_that_is_no_json_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        of(params={"x": float("nan")})


def served(**fields: Any) -> str:
    engine = {"max_num_seqs": 64, "dtype": "float32", "seed": 1, **fields.pop("engine", {})}
    fleet = {"name": "judge", "role": "judge", "model": "org/name", "engine": engine, **fields}
    return fleet_digest(Fleet.model_validate(fleet))


@pytest.mark.parametrize(
    "other",
    [
        served(engine={"dtype": "bfloat16"}),
        served(engine={"enforce_eager": True}),  # another kernel, other roundings
        served(engine={"quantization": "fp8"}),
        served(url="http://judge:8000"),
        served(engine={"seed": "1"}),
    ],
)
def test_servers_that_could_answer_otherwise_have_another_digest(other: str) -> None:
    assert other != served()


def test_servers_at_another_address_are_others() -> None:
    assert served(url="http://judge:8000") != served(url="http://judge:8001")


@pytest.mark.parametrize(
    "same",
    [
        served(engine={"max_num_seqs": 8, "gpu_memory_utilization": 0.5}),
        served(engine={"max_num_batched_tokens": 4096, "api_server_count": 2}),
        served(minReplicas=2, maxReplicas=8, resources={"cpus": 8, "gpus": 1}),
        served(idleTimeout="1h", startDeadline="1h", drainDeadline="1h"),
        served(name="other", role="policy"),
        served(model="org/other"),  # the model is a param or an input of who calls it
    ],
)
def test_how_many_and_how_fast_servers_are_leaves_their_digest(same: str) -> None:
    assert same == served()
