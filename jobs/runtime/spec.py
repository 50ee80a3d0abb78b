"""What is a worker told about its stage?"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from jobs.plan.shards import ShardPlan
from jobs.runtime.resolving import InputRef, Resolved


def spec_of(stage: Resolved, plan: ShardPlan) -> dict[str, Any]:
    """What workers read.  The address covers all of it but `node` and `coordinates`, which are
    the name that the first campaign to come here had for it."""
    return {
        "address": stage.address,
        "node": stage.node.name,
        "coordinates": dict(stage.node.coordinates),
        "stage": stage.node.stage,
        "run": stage.entry.run,
        "kind": stage.entry.kind,
        "version": stage.entry.version,
        "params": dict(stage.params),
        "digests": dict(stage.digests),
        "inputs": {name: [_input(ref) for ref in refs] for name, refs in stage.inputs.items()},
        "over": stage.over,
        "num_rows": plan.num_rows,
        "num_shards": plan.num_shards,
    }


def _input(ref: InputRef) -> dict[str, Any]:
    if not ref.coordinates:
        return {"address": ref.address}
    known = asdict(ref)
    return {key: known[key] for key in ("address", "stage", "coordinates")}
