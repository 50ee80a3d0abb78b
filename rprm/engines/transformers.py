"""How does a causal language model in this process answer requests?

Any model that `AutoModelForCausalLM` loads with plain key-value attention, on a CPU or a GPU.
Sampling runs through the model's own forward; see sampling_loop.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import torch

from rprm.engines.base import Completion, Refused, Request, SamplingParams
from rprm.engines.batching import Limits
from rprm.engines.loading import EngineOptions, batch_tokens, load_model, prefill_tokens
from rprm.engines.sampling_checks import check_params, refusal_of
from rprm.engines.sampling_loop import Judge, SamplingLoop
from rprm.engines.stopping import token_texts
from rprm.engines.tokenizers import load_tokenizer, require_folder
from rprm.errors import BadInput


class TransformersEngine:
    """Samples critiques in process; deterministic on one machine with one thread count."""

    def __init__(
        self, model_path: Path | str, *, threads: int, options: EngineOptions | None = None
    ) -> None:
        self.options = options or EngineOptions()
        self.threads = threads
        if threads < 1:
            raise BadInput(f"threads is {threads}.", fix="give at least one thread.")
        torch.set_num_threads(threads)
        self.folder = require_folder(model_path)
        self.tokenizer = load_tokenizer(
            self.folder, trust_remote_code=self.options.trust_remote_code
        )
        self.model = load_model(self.folder, self.options)
        self.vocabulary = int(self.model.get_input_embeddings().weight.shape[0])

    @property
    def name(self) -> str:
        return str(self.folder)

    @cached_property
    def judge(self) -> Judge:
        return Judge(
            model=self.model,
            tokenizer=self.tokenizer,
            eos=frozenset(self._eos_ids()),
            texts_V=token_texts(self.tokenizer, self.vocabulary),
        )

    def sample(
        self, requests: Sequence[Request], params: SamplingParams
    ) -> Iterator[Completion | Refused]:
        """Answer every request.  The same call gives the same answers, byte for byte."""
        check_params(params)
        torch.set_num_threads(self.threads)
        most = getattr(self.model.config, "max_position_embeddings", None)
        accepted: list[Request] = []
        for request in requests:
            self._check(request)
            refusal = refusal_of(request, params, most=most)
            if refusal is not None:
                yield refusal
            elif request.n == 0:
                yield Completion(id=request.id, samples=())
            else:
                accepted.append(request)
        yield from SamplingLoop(self.judge, accepted, params, self._limits()).run()

    def _limits(self) -> Limits:
        return Limits(
            rows=self.options.max_rows,
            batch_tokens=batch_tokens(self.model, self.options),
            prefill_tokens=prefill_tokens(self.model, self.options),
        )

    def _check(self, request: Request) -> None:
        if request.n < 0:
            raise BadInput(f"Request {request.id} asks for {request.n} samples.", fix="ask for 1.")
        if request.prompt_T and not (
            min(request.prompt_T) >= 0 and max(request.prompt_T) < self.vocabulary
        ):
            raise BadInput(
                f"Request {request.id} has token ids outside the {self.vocabulary} of"
                f" {self.folder}.",
                fix="render the prompt with the tokenizer of this very model.",
            )

    def _eos_ids(self) -> set[int]:
        configured = getattr(self.model.generation_config, "eos_token_id", None)
        listed = configured if isinstance(configured, list) else [configured]
        ids = {self.tokenizer.eos_token_id, *(token for token in listed if token is not None)}
        return {token for token in ids if 0 <= token < self.vocabulary}
