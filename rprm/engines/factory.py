"""Which engine does a name stand for?

"recorded:critiques.jsonl"   replays a file
"models/sft" (a folder)      a causal language model in this process
"""

from __future__ import annotations

from pathlib import Path

from rprm.engines.base import Engine
from rprm.errors import BadInput

RECORDED = "recorded:"


def make_engine(
    spec: str | Path,
    *,
    threads: int,
    device: str = "auto",
    dtype: str = "auto",
    max_rows: int | None = None,
    max_batch_tokens: int | None = None,
) -> Engine:
    """Make the engine `spec` names.  Raises BadInput with the choices when it names none."""
    text = str(spec)
    if text.startswith(RECORDED):
        from rprm.engines.recorded import RecordedEngine

        return RecordedEngine(text.removeprefix(RECORDED))
    if "://" in text:
        raise BadInput(
            f"No engine here serves {text}.",
            fix="give a local model folder, or recorded:FILE.jsonl.",
        )
    from rprm.engines.loading import EngineOptions
    from rprm.engines.transformers import TransformersEngine

    options = EngineOptions(
        device=device,
        dtype=dtype,
        max_rows=max_rows or EngineOptions().max_rows,
        max_batch_tokens=max_batch_tokens,
    )
    return TransformersEngine(text, threads=threads, options=options)
