"""When are two artifacts the same?  When the same code made them of the same things.

The address is a hash of entry point, declared version, effective params, the addresses of the
inputs, the digests of outside data and how the rows are cut.  What cannot change the content is
left out: resources, retries, budgets, names of coordinates.

A model that a fleet runs answers as its servers are set up, so how they are is a digest of those
who call it; how many there are, and how fast, is not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from jobs.plan.graph import Node
from jobs.spec.campaign import Fleet

_PREFIX_CHARACTERS = 40
_PACE = frozenset(
    {
        "max_num_seqs", "max_num_batched_tokens", "max_num_queued_reqs", "gpu_memory_utilization",
        "kv_cache_memory_bytes", "api_server_count", "performance_mode",
    }
)  # fmt: skip
"""Arguments of vLLM that change speed or memory, never what is meant to be written."""


def address(
    *,
    node: Node,
    version: str,
    params: Mapping[str, Any],
    inputs: Mapping[str, Sequence[str]],
    digests: Mapping[str, str],
) -> str:
    """Name of the artifact, such as "sft-3f9a0c1d2e4b5a69".

    `params` are the effective ones, as JSON values with defaults filled in; `inputs` maps every
    input name to the addresses it reads."""
    body = {
        "run": node.run,
        "version": version,
        "params": dict(params),
        "inputs": {name: list(addresses) for name, addresses in inputs.items()},
        "digests": dict(digests),
        "over": node.over,
        "sharding": _sharding(node),
    }
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return f"{node.stage[:_PREFIX_CHARACTERS]}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def fleet_digest_name(role: str) -> str:
    """Under which a caller's digests tell how the model of that role is served."""
    return f"fleet.{role}"


def fleet_digest(fleet: Fleet) -> str:
    """Equal for fleets that answer alike; the model itself is not in it."""
    arguments = {name: value for name, value in fleet.engine.items() if name not in _PACE}
    how = {"engine": "vllm", "args": arguments} if fleet.url is None else {"url": fleet.url}
    text = json.dumps(how, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _sharding(node: Node) -> list[object]:
    if node.rows_per_shard is not None:
        return ["rows", node.rows_per_shard]
    return ["shards", node.shards or 1]
