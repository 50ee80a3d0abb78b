"""When are two artifacts the same?  When the same code made them of the same things.

The address is a hash of entry point, declared version, effective params, the addresses of the
inputs, the digests of outside data and how the rows are cut.  What cannot change the content is
left out: resources, retries, budgets, names of coordinates.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from jobs.plan.graph import Node

_PREFIX_CHARACTERS = 40


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


def _sharding(node: Node) -> list[object]:
    if node.rows_per_shard is not None:
        return ["rows", node.rows_per_shard]
    return ["shards", node.shards or 1]
