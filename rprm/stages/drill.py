"""Train the small world's base model from scratch: digit drills, no labels and no verdicts.

Writes   the base model, published as `model`
Facts    checkpoint, best_step, examples, tokens
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from rprm.prompting import Renderer, load_template
from rprm.stages import training
from rprm.stages.io import StageIO
from rprm.stages.params import StageParams
from rprm.training.params import SftParams

TEMPLATE = "chain"


class Drill:
    kind: ClassVar[str] = "gang"
    version: ClassVar[str] = "1"
    preload: ClassVar[tuple[str, ...]] = training.PRELOAD

    class Params(StageParams):
        examples: int = Field(gt=0)
        validation_examples: int = Field(default=500, ge=0)
        data_seed: int = 0
        hidden: int = 128
        layers: int = 3
        heads: int = 4
        kv_heads: int = 2
        ffn: int = 384
        initializer_range: float = 0.08
        """The usual 0.02 needs far more steps at this size."""
        training: SftParams

    def __init__(self, params: Params) -> None:
        self.params = params

    def digests(self) -> Mapping[str, str]:
        return {"template": load_template(TEMPLATE).sha256}

    def run(self, io: StageIO) -> None:
        from rprm.data.chain_drills import drill_examples
        from rprm.data.chain_tokenizer import chain_tokenizer
        from rprm.training.sft import train_sft
        from rprm.training.tiny_model import TinyShape, build_tiny_qwen2

        params, tokenizer = self.params, chain_tokenizer()
        shape = TinyShape(
            hidden=params.hidden,
            layers=params.layers,
            heads=params.heads,
            kv_heads=params.kv_heads,
            ffn=params.ffn,
            initializer_range=params.initializer_range,
        )
        fresh = io.scratch / "fresh"
        build_tiny_qwen2(fresh, tokenizer=tokenizer, shape=shape, seed=params.training.seed)
        renderer = Renderer(load_template(TEMPLATE), tokenizer)
        end = params.examples + params.validation_examples
        train = drill_examples(params.data_seed, range(params.examples), renderer)
        validation = drill_examples(params.data_seed, range(params.examples, end), renderer)
        result = train_sft(fresh, train, validation, params.training, io)
        tokens = sum(one.num_tokens for one in train)
        training.leave(io, result, {"examples": len(train), "tokens": tokens})
