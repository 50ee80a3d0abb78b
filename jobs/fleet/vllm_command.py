"""How is a vLLM server started for a model?  A fleet in, a command and an environment out; pure.

What is set here and why:

--generation-config vllm      without it vLLM applies the model repository's own sampling defaults
--enable-prompt-tokens-details   cached tokens are counted
--load-format safetensors     no pickles, which are code
--no-enable-chunked-prefill   on a CPU: vLLM 0.32 dies there of a prompt with a seed that it reads
                              in parts
VLLM_HTTP_TIMEOUT_KEEP_ALIVE  longer than any client keeps a connection, so that none breaks
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.backends.replicas import PORT

ENTRY = "vllm.entrypoints.openai.api_server"
DEFAULT_MAX_NUM_SEQS = 256
"""vLLM's own on most GPUs; 1024 on the largest, where it is worth saying so."""
GIB = 1024**3

CPU_BLOCK = 32
"""Tokens; the CPU build's own is 128.  What is asked about a text is computed again from its last
whole block on, and after every critique its verdict is asked about."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSource:
    """What the server loads."""

    model: str
    """A folder on this machine, or a Hub id."""
    revision: str | None = None
    """Of a Hub id."""
    tokenizer: Path | None = None
    """A folder with the tokenizer's files alone, where the model type would mislead."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Serving:
    """What one fleet's servers have in common."""

    source: ModelSource
    name: str
    """Under which they serve the model."""
    engine: Mapping[str, Any]
    """vLLM's own arguments, with _ for -."""
    cpus: int
    gpus: int
    memory_bytes: int

    @property
    def max_num_seqs(self) -> int:
        value = self.engine.get("max_num_seqs", DEFAULT_MAX_NUM_SEQS)
        return value if isinstance(value, int) else DEFAULT_MAX_NUM_SEQS


def command(python: str, serving: Serving) -> tuple[str, ...]:
    """argv; the host puts the port in."""
    source = serving.source
    return (
        *(python, "-m", ENTRY, "--model", source.model),
        *(("--revision", source.revision) if source.revision else ()),
        *(("--tokenizer", str(source.tokenizer)) if source.tokenizer else ()),
        *("--served-model-name", serving.name, "--host", "127.0.0.1", "--port", PORT),
        *("--generation-config", "vllm", "--enable-prompt-tokens-details"),
        "--disable-uvicorn-access-log",
        *_arguments(_with_defaults(serving)),
    )


def environment(serving: Serving) -> dict[str, str]:
    """On top of the controller's own."""
    shared = {
        "VLLM_HTTP_TIMEOUT_KEEP_ALIVE": "120",
        "VLLM_NO_USAGE_STATS": "1",
        "OMP_NUM_THREADS": str(serving.cpus),
    }
    if serving.gpus:
        return shared
    cache_gib = max(1, serving.memory_bytes // (2 * GIB))
    return shared | {
        "VLLM_CPU_KVCACHE_SPACE": str(cache_gib),
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    }


def _with_defaults(serving: Serving) -> dict[str, Any]:
    defaults: dict[str, Any] = {"seed": 0, "load_format": "safetensors"}
    if not serving.gpus:
        defaults |= {"enable_chunked_prefill": False, "block_size": CPU_BLOCK}
    return defaults | dict(serving.engine)


def _arguments(engine: Mapping[str, Any]) -> Iterator[str]:
    for name, value in engine.items():
        flag = f"--{name.replace('_', '-')}"
        match value:
            case True:
                yield flag
            case False:
                yield f"--no-{name.replace('_', '-')}"
            case dict():
                yield from (flag, json.dumps(value))
            case list() | tuple():
                yield flag
                yield from map(str, value)
            case _:
                yield from (flag, str(value))
