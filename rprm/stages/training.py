"""What do the training stages share?  Where the model comes from, and what is left of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from rprm.errors import BadInput
from rprm.models import locate_model, model_digest
from rprm.prompting import Renderer, load_template
from rprm.stages.io import StageIO
from rprm.training.params import TrainParams

PRELOAD = (
    "torch",
    "transformers.models.qwen2.modeling_qwen2",
    "rprm.training.sft",
    "rprm.training.dpo",
)
"""What every training worker imports."""


class Result(Protocol):
    """What a finished training hands over."""

    @property
    def best_step(self) -> int: ...

    @property
    def best_uri(self) -> str: ...

    @property
    def metrics(self) -> Mapping[str, float]: ...

    @property
    def weights(self) -> Path: ...


def init_model(io: StageIO, model: str | None) -> str:
    """Folder or Hub id of the model to train: the input `model`, or the param of that name."""
    given = io.artifacts("model")
    if given and model is not None:
        raise BadInput(
            f"stage {io.stage}: the model comes from the input `model` and from the param too.",
            fix="give one of them",
        )
    if given:
        return str(io.artifact("model").path("model"))
    if model is None:
        raise BadInput(
            f"stage {io.stage}: no model to train.",
            fix="give inputs.model (a training stage) or params.model (a folder or a Hub id)",
        )
    return locate_model(model)


def digests(template: str, model: str | None) -> dict[str, str]:
    """Outside data of a training stage."""
    found = {"template": load_template(template).sha256}
    return found if model is None else found | {"model": model_digest(model)}


def renderer_for(model: str, template: str, params: TrainParams) -> Renderer:
    """With the tokenizer of the model that is trained; a Hub id is fetched without its weights."""
    from rprm.engines.tokenizers import load_tokenizer
    from rprm.training.loading import fetch_model

    return Renderer(load_template(template), load_tokenizer(fetch_model(model, params)))


def leave(io: StageIO, result: Result, facts: Mapping[str, Any]) -> None:
    """Publish the best weights as `model`, and note which checkpoint they are."""
    io.note(best_step=result.best_step, checkpoint=result.best_uri, **facts)
    io.note(**{name.replace("/", "_"): value for name, value in result.metrics.items()})
    if io.rank == 0:
        io.publish(result.weights, "model")
