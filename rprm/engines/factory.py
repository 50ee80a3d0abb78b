"""Which engine does a name stand for?

"recorded:critiques.jsonl"   replays a file
"models/sft" (a folder)      a causal language model in this process; with `url`, the vLLM servers
                             there, which serve this very model
"http://a:8000,http://b:8000", "file:///endpoints.json", "dns://judge:8000"
                             vLLM servers; `tokenizer` is the folder of the model that they serve
"""

from __future__ import annotations

import atexit
import gc
from pathlib import Path
from typing import TypedDict, Unpack

from rprm.engines.base import Engine
from rprm.errors import BadInput

RECORDED = "recorded:"
COLLECT_EVERY = 20_000


class InProcess(TypedDict, total=False):
    """How a model in this process uses memory; a server has its own settings."""

    device: str
    dtype: str
    max_rows: int | None
    max_batch_tokens: int | None


def make_engine(
    spec: str | Path,
    *,
    threads: int,
    url: str | None = None,
    key_env: str | None = None,
    tokenizer: str | Path | None = None,
    **sizes: Unpack[InProcess],
) -> Engine:
    """Make the engine `spec` names.  Raises BadInput with the choices when it names none."""
    text = str(spec)
    if text.startswith(RECORDED):
        from rprm.engines.recorded import RecordedEngine

        return RecordedEngine(text.removeprefix(RECORDED))
    if url is not None:
        return _served(url, text, key_env)
    if "://" in text:
        from rprm.engines.endpoints import endpoint_source

        endpoint_source(text)  # says what is wrong with it first
        if tokenizer is None:
            raise BadInput(
                f"{text} serves token ids, and nobody said of which tokenizer.",
                fix="give the folder of the model that it serves as the tokenizer.",
            )
        return _served(text, str(tokenizer), key_env)
    return _in_process(text, threads, sizes)


def _served(url: str, folder: str, key_env: str | None) -> Engine:
    from rprm.engines.endpoint import read_key
    from rprm.engines.tokenizers import load_tokenizer
    from rprm.engines.vllm_http import VllmEngine

    key = None if key_env is None else read_key(key_env)
    engine = VllmEngine(url, tokenizer=load_tokenizer(folder), folder=folder, key=key)
    # An answer is a few objects and thousands of numbers.  A garbage collector that looks through
    # them every 700 objects, and now and then through all libraries, costs a third of a request.
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)  # or extension modules complain of what was never collected
    gc.set_threshold(COLLECT_EVERY, *gc.get_threshold()[1:])
    return engine


def _in_process(folder: str, threads: int, sizes: InProcess) -> Engine:
    from rprm.engines.loading import EngineOptions
    from rprm.engines.transformers import TransformersEngine

    options = EngineOptions(
        device=sizes.get("device", "auto"),
        dtype=sizes.get("dtype", "auto"),
        max_rows=sizes.get("max_rows") or EngineOptions().max_rows,
        max_batch_tokens=sizes.get("max_batch_tokens"),
    )
    return TransformersEngine(folder, threads=threads, options=options)
