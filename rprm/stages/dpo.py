"""Teach a judge to prefer its right analyses over its wrong ones.

Reads    pairs; model, the judge that wrote them, which is also the frozen reference
Writes   the model of the lowest validation loss, published as `model`
Facts    checkpoint, best_step, pairs, and the evaluation of the best checkpoint
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from rprm.prompting import Renderer
from rprm.stages import training
from rprm.stages.io import ArtifactView, StageIO
from rprm.stages.params import StageParams
from rprm.stages.rows import TRAIN, VALIDATION, read_split
from rprm.training.collate import Pair
from rprm.training.params import DpoParams


class Dpo:
    kind: ClassVar[str] = "gang"
    version: ClassVar[str] = "1"
    preload: ClassVar[tuple[str, ...]] = training.PRELOAD

    class Params(StageParams):
        model: str | None = None
        """Folder, Hub id or builtin:NAME; None: the input `model`."""
        template: str = "rprm"
        training: DpoParams

    def __init__(self, params: Params) -> None:
        self.params = params

    def digests(self) -> Mapping[str, str]:
        return training.digests(self.params.template, self.params.model)

    def run(self, io: StageIO) -> None:
        from rprm.training.dpo import train_dpo

        model = training.init_model(io, self.params.model)
        renderer = training.renderer_for(model, self.params.template, self.params.training)
        data = io.artifact("pairs")
        train, validation = (
            _pairs(data, TRAIN, renderer),
            _pairs(data, VALIDATION, renderer),
        )
        result = train_dpo(model, train, validation, self.params.training, io)
        training.leave(io, result, {"pairs": len(train)})


def _pairs(data: ArtifactView, split: str, renderer: Renderer) -> list[Pair]:
    rows = read_split(data.table(), split, ["chosen", "rejected"])
    prompts = renderer.prompts([case for case, _ in rows])
    chosen = renderer.completions([texts[0] for _, texts in rows])
    rejected = renderer.completions([texts[1] for _, texts in rows])
    return [
        Pair(
            id=f"{rows[index][0].id}#{index}",
            prompt_T=prompts[index],
            chosen_T=chosen[index],
            rejected_T=rejected[index],
        )
        for index in range(len(rows))
    ]
