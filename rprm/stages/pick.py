"""Choose a hyper-parameter on held-out problems, then pass on the model that was trained with it.

Reads    benches, on a development set, over all values and seeds; models, the judges measured
Writes   the chosen model of one seed, published as `model`
Facts    axis, chosen, means (dev F1 by value), and the facts of the chosen model
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, ClassVar

from pydantic import Field

from rprm.errors import BadInput
from rprm.stages.io import ArtifactView, StageIO
from rprm.stages.params import StageParams

SEED = "seed"


class Pick:
    kind: ClassVar[str] = "single"
    version: ClassVar[str] = "1"
    preload: ClassVar[tuple[str, ...]] = ()

    class Params(StageParams):
        axis: str
        """The swept hyper-parameter, such as "training.learning_rate"."""
        k: int = Field(gt=0)
        """Critiques per step to compare at."""
        seed: int
        """Whose model to pass on.  The value is chosen by the mean over all seeds, so that one
        lucky run does not decide."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def run(self, io: StageIO) -> None:
        means = mean_by_value(io.artifacts("benches"), axis=self.params.axis, k=self.params.k)
        chosen = max(means, key=lambda value: means[value])
        model = self._model(io.artifacts("models"), chosen)
        io.note(**model.facts)
        io.note(
            axis=self.params.axis,
            chosen=chosen,
            means=[{"value": value, "f1": mean} for value, mean in means.items()],
            picked=model.address,
        )
        io.publish(model.path("model"), "model")

    def _model(self, models: Sequence[ArtifactView], chosen: Any) -> ArtifactView:
        wanted = {self.params.axis: chosen, SEED: self.params.seed}
        found = [
            one
            for one in models
            if all(one.coordinates.get(axis) == value for axis, value in wanted.items())
        ]
        if len(found) != 1:
            raise BadInput(
                f"{len(found)} models have {wanted}.",
                fix="gather the models of exactly the stages that the benches measured",
            )
        return found[0]


def mean_by_value(benches: Sequence[ArtifactView], *, axis: str, k: int) -> dict[Any, float]:
    """Mean F1 over seeds for each value of the axis; BadInput where it was not measured."""
    found: dict[Any, list[float]] = {}
    for bench in benches:
        if axis not in bench.coordinates:
            raise BadInput(
                f"bench {bench.address} has no axis {axis!r}.",
                fix=f"its axes are {', '.join(bench.coordinates) or 'none'}",
            )
        found.setdefault(bench.coordinates[axis], []).append(_f1(bench.facts, k))
    if not found:
        raise BadInput("nothing to choose from.", fix="gather bench stages as inputs.benches")
    return {value: fmean(numbers) for value, numbers in found.items()}


def _f1(facts: Mapping[str, Any], k: int) -> float:
    for point in facts["curve"]:
        if point["k"] == k:
            return float(point["f1"]["value"])
    raise BadInput(f"the benches have no K={k}.", fix="use one of their ks")
