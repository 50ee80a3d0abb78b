"""Train a policy: a model that writes solutions, from solutions without an error.

Reads    solutions, labelled; model, unless it is a param
Writes   the model of the lowest validation loss, published as `model`
Facts    checkpoint, best_step, examples, tokens, and the evaluation of the best checkpoint
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field

from rprm.data.tables import table_to_solutions
from rprm.errors import BadInput
from rprm.models import model_digest
from rprm.policy import SYSTEM_PROMPT, FormatName, PolicyFormat, make_policy_format
from rprm.schema import Solution
from rprm.selection import rank
from rprm.stages import training
from rprm.stages.io import StageIO
from rprm.stages.params import StageParams
from rprm.training.collate import Example
from rprm.training.params import SftParams


class Policy:
    kind: ClassVar[str] = "gang"
    version: ClassVar[str] = "1"
    preload: ClassVar[tuple[str, ...]] = training.PRELOAD

    class Params(StageParams):
        model: str | None = None
        """Folder, Hub id or builtin:NAME; None: the input `model`."""
        format: FormatName = "chat"
        system: str | None = SYSTEM_PROMPT
        """What a chat policy is told first; null: no system turn."""
        validation_solutions: int = Field(default=300, ge=0)
        """Whole problems are held out until they have so many solutions."""
        split_seed: int = 0
        training: SftParams

    def __init__(self, params: Params) -> None:
        self.params = params

    def digests(self) -> Mapping[str, str]:
        model = self.params.model
        return {} if model is None else {"model": model_digest(model)}

    def run(self, io: StageIO) -> None:
        from rprm.engines.tokenizers import load_tokenizer
        from rprm.training.loading import fetch_model
        from rprm.training.sft import train_sft

        params = self.params
        model = training.init_model(io, params.model)
        tokenizer = load_tokenizer(fetch_model(model, params.training))
        fmt = make_policy_format(params.format, tokenizer, system=params.system)
        train, validation = self._parts(io, fmt)
        result = train_sft(model, train, validation, params.training, io)
        tokens = sum(one.num_tokens for one in train)
        training.leave(io, result, {"examples": len(train), "tokens": tokens})

    def _parts(self, io: StageIO, fmt: PolicyFormat) -> tuple[list[Example], list[Example]]:
        """For training and for validation; they share no problem."""
        wanted = self.params.validation_solutions
        solutions = table_to_solutions(io.artifact("solutions").table(), source=io.stage)
        right = [one for one in solutions if one.label == -1]
        held = held_out(right, wanted, seed=self.params.split_seed)
        train = [one for one in right if one.problem_id not in held]
        if right and not train:
            raise BadInput(
                f"stage {io.stage}: holding out {wanted} of {len(right)} right solutions leaves "
                "none to train on.",
                fix="set validation_solutions lower, or give more solutions",
            )
        return _examples(train, fmt), _examples([r for r in right if r.problem_id in held], fmt)


def held_out(solutions: Sequence[Solution], wanted: int, *, seed: int) -> frozenset[str]:
    """Problems of the validation split.  A problem keeps its place when others come or go."""
    sizes = Counter(one.problem_id for one in solutions)
    held, count = set[str](), 0
    for problem in sorted(sizes, key=lambda problem: (rank(f"split-{seed}", problem), problem)):
        if count >= wanted:
            break
        held.add(problem)
        count += sizes[problem]
    return frozenset(held)


def _examples(solutions: Sequence[Solution], fmt: PolicyFormat) -> list[Example]:
    return [
        Example(
            id=one.id,
            prompt_T=fmt.prompt(one.problem, ()),
            completion_T=fmt.completion(one.steps),
        )
        for one in solutions
    ]
