"""Fine-tune a model to write critiques that end in the right verdict.

Reads    data, rows of `select` (or of `pairs`, for the chosen side); model, unless it is a param
Writes   the model of the lowest validation loss, published as `model`
Facts    checkpoint, best_step, examples, tokens, and the evaluation of the best checkpoint
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from rprm.prompting import Renderer
from rprm.stages import training
from rprm.stages.io import ArtifactView, StageIO
from rprm.stages.params import StageParams
from rprm.stages.rows import TRAIN, VALIDATION, read_split
from rprm.training.collate import Example
from rprm.training.params import SftParams
from rprm.verdicts import verdict_of, verdict_string


class Sft:
    kind: ClassVar[str] = "gang"
    version: ClassVar[str] = "1"
    preload: ClassVar[tuple[str, ...]] = training.PRELOAD

    class Params(StageParams):
        model: str | None = None
        """Folder, Hub id or builtin:NAME; None: the input `model`."""
        template: str = "rprm"
        target: Literal["analysis", "verdict"] = "analysis"
        """"verdict" leaves the analysis out: the control that shows what reasoning is worth."""
        column: Literal["text", "chosen"] = "text"
        """"chosen" trains on the right side of pairs: rejection sampling, the control of DPO."""
        training: SftParams

    def __init__(self, params: Params) -> None:
        self.params = params

    def digests(self) -> Mapping[str, str]:
        return training.digests(self.params.template, self.params.model)

    def run(self, io: StageIO) -> None:
        from rprm.training.sft import train_sft

        model = training.init_model(io, self.params.model)
        renderer = training.renderer_for(model, self.params.template, self.params.training)
        data = io.artifact("data")
        train = self._examples(data, TRAIN, renderer)
        validation = self._examples(data, VALIDATION, renderer)
        result = train_sft(model, train, validation, self.params.training, io)
        tokens = sum(one.num_tokens for one in train)
        training.leave(io, result, {"examples": len(train), "tokens": tokens})

    def _examples(self, data: ArtifactView, split: str, renderer: Renderer) -> list[Example]:
        column = self.params.column
        rows = read_split(data.table(), split, [column])
        cases = [case for case, _ in rows]
        texts = [texts[0] for _, texts in rows]
        if self.params.target == "verdict":
            fmt = renderer.template.verdict
            texts = [verdict_string(fmt, verdict_of(bool(case.gold))) for case in cases]
        prompts, completions = renderer.prompts(cases), renderer.completions(texts)
        return [
            Example(id=f"{case.id}#{index}", prompt_T=prompt_T, completion_T=completion_T)
            for index, (case, prompt_T, completion_T) in enumerate(
                zip(cases, prompts, completions, strict=True)
            )
        ]
