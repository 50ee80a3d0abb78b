"""Make a tiny, randomly initialised byte-level model: to test plumbing, never to judge.

Writes   the model, published as `model`
"""

from __future__ import annotations

from typing import ClassVar

from rprm.stages.io import StageIO
from rprm.stages.params import StageParams


class NoiseModel:
    kind: ClassVar[str] = "single"
    version: ClassVar[str] = "1"
    preload: ClassVar[tuple[str, ...]] = ("torch",)

    class Params(StageParams):
        seed: int = 0
        hidden: int = 32
        layers: int = 2
        heads: int = 2
        kv_heads: int = 1
        ffn: int = 64
        max_position_embeddings: int = 4096

    def __init__(self, params: Params) -> None:
        self.params = params

    def run(self, io: StageIO) -> None:
        from rprm.data.byte_tokenizer import build_byte_tokenizer
        from rprm.training.tiny_model import TinyShape, build_tiny_qwen2

        shape = TinyShape(**self.params.model_dump(exclude={"seed"}))
        folder = io.scratch / "model"
        tokenizer = build_byte_tokenizer()
        build_tiny_qwen2(folder, tokenizer=tokenizer, shape=shape, seed=self.params.seed)
        io.note(checkpoint=None)
        io.publish(folder, "model")
