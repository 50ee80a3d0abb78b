"""Should this judge become the champion?  A rule decides, and the decision is kept for good.

Reads    candidate, a bench artifact; model, the training artifact it measured
Writes   decision.json, and an entry of the registry's ledger
Facts    promoted, reason, gain, p_value
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

from pydantic import Field

from rprm.benchmarks.processbench import Outcome, evaluate, metrics
from rprm.benchmarks.statistics import Comparison, paired_bootstrap
from rprm.errors import BadInput
from rprm.stages.bench import read_outcomes
from rprm.stages.io import StageIO
from rprm.stages.params import StageParams


class Promote:
    kind: ClassVar[str] = "single"
    version: ClassVar[str] = "1"
    preload: ClassVar[tuple[str, ...]] = ()

    class Params(StageParams):
        registry: str = "r-prm"
        """Name of the registered model."""
        k: int | None = Field(default=None, gt=0)
        """Critiques per step to compare at; None: the benchmark's largest."""
        min_gain: float = 0.0
        """F1 points the candidate must gain at least."""
        max_p: float = Field(default=0.05, gt=0, le=1)
        """Largest p-value of "no gain" in the paired bootstrap over problems."""
        max_subset_loss: float = Field(default=5.0, ge=0)
        """F1 points no subset may lose."""
        seed: int = 0

    def __init__(self, params: Params) -> None:
        self.params = params

    def run(self, io: StageIO) -> None:
        bench, model = io.artifact("candidate"), io.artifact("model")
        k = self.params.k or max(point["k"] for point in bench.facts["curve"])
        ours = read_outcomes(bench.table(), k=k)
        if not ours:
            known = sorted({point["k"] for point in bench.facts["curve"]})
            raise BadInput(f"the benchmark has no K={k}.", fix=f"use one of {known}")
        verdict = self._verdict(ours, io.champion(self.params.registry))
        decision = {
            **verdict,
            "rule": self.params.model_dump(),
            "k": k,
            "benchmark": bench.facts["benchmark"],
            "candidate": bench.address,
            "model": model.address,
            "checkpoint": model.facts["checkpoint"],
            "metrics": metrics(evaluate(ours), prefix=bench.facts["benchmark"]),
            "outcomes": [asdict(one) for one in ours],
        }
        io.promote(self.params.registry, decision)
        page = io.scratch / "decision.json"
        page.write_text(json.dumps(decision, indent=1, sort_keys=True))
        io.publish(page, "decision.json", track=True)
        io.note(**verdict)
        io.log({"promote/promoted": float(verdict["promoted"])})

    def _verdict(
        self, ours: Sequence[Outcome], champion: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """promoted, reason, and what they rest on."""
        if champion is None:
            return {"promoted": True, "reason": "the registry had no champion", "champion": None}
        theirs = [Outcome(**one) for one in champion["outcomes"]]
        told = {"champion": champion["candidate"]}
        if {one.solution_id for one in ours} != {one.solution_id for one in theirs}:
            reason = "the champion was measured on other solutions, so nothing can be compared"
            return {**told, "promoted": False, "reason": reason}
        found = paired_bootstrap(ours, theirs, seed=self.params.seed)
        told |= {"gain": found.difference.estimate, "p_value": found.p_value}
        reasons = self._objections(found, ours, theirs)
        gain = f"{found.difference.estimate:+.1f} F1 (p = {found.p_value:.3f})"
        return {**told, "promoted": not reasons, "reason": "; ".join(reasons) or f"gains {gain}"}

    def _objections(
        self, found: Comparison, ours: Sequence[Outcome], theirs: Sequence[Outcome]
    ) -> list[str]:
        params, objections = self.params, []
        if found.difference.estimate < params.min_gain:
            objections.append(
                f"gains {found.difference.estimate:+.1f} F1, less than {params.min_gain:+.1f}"
            )
        if found.p_value > params.max_p:
            objections.append(f"p = {found.p_value:.3f} of no gain, more than {params.max_p}")
        before = evaluate(theirs).subsets
        for name, subset in evaluate(ours).subsets.items():
            loss = before[name].f1 - subset.f1
            if loss > params.max_subset_loss:
                objections.append(f"{name} loses {loss:.1f} F1")
        return objections
