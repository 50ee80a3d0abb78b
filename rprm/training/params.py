"""What may a campaign choose about training?  Cheap to import: plans are made without torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Scheduler = Literal["linear", "cosine", "constant", "constant_with_warmup"]


class TrainParams(BaseModel):
    """What supervised and preference training share."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    revision: str | None = None
    """Commit of a Hub model; ignored for a local folder."""

    learning_rate: PositiveFloat
    """Peak of the schedule."""

    epochs: PositiveFloat = 1.0
    """Passes over the training examples; a fraction is allowed."""

    batch_size: PositiveInt = 128
    """Examples per optimizer step over all processes and accumulation steps."""

    per_device_batch_size: PositiveInt | None = None
    """Examples per forward pass of one process; None: no gradient accumulation."""

    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.03
    """Share of all steps in which the learning rate rises from zero."""

    scheduler: Scheduler = "linear"
    """How the learning rate falls after the warm-up."""

    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """AdamW's decoupled decay; biases and norms are exempt."""

    max_grad_norm: Annotated[float, Field(ge=0)] = 1.0
    """Gradients longer than this are scaled down; 0 turns clipping off."""

    max_length: PositiveInt = 4096
    """Longest prompt + completion in tokens.  Longer examples stop the stage before training:
    a cut would delete the verdict.  Batches are padded to their own longest example."""

    group_by_length: bool = False
    """Make batches of examples of similar length: less padding to compute, the same examples."""

    dtype: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic.  bfloat16 keeps float32 master weights; on most CPUs it is slower."""

    attention: str | None = None
    """Attention kernel, such as "sdpa" or "kernels-community/flash-attn2"; None: the model's."""

    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a fifth slower."""

    deepspeed: str | None = None
    """"zero2", "zero3" (shipped with the package) or the path of a DeepSpeed JSON file."""

    eval_every: PositiveInt | None = None
    """Steps between validation losses; checkpoints always get one.  None: only checkpoints."""

    save_every: PositiveInt = 200
    """Steps between committed checkpoints: what a killed attempt can lose at most.  The last step
    is always committed, and the best of the committed ones by validation loss is the result."""

    logging_every: PositiveInt = 10
    """Steps between logged training metrics; each value is the mean since the last."""

    seed: int = 0
    """Of data order and dropout."""


class SftParams(TrainParams):
    """Supervised fine-tuning on accepted critiques: loss on the completion only."""


class DpoParams(TrainParams):
    """Direct preference optimisation on pairs of critiques of one case."""

    beta: PositiveFloat = 0.1
    """How strongly the policy is held to the reference model."""

    preference_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the sigmoid preference loss; 0 leaves rejection-sampling fine-tuning, a control."""

    nll_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the likelihood of the chosen critique; keeps it from falling with the rejected."""

    precompute_reference: bool = True
    """Score every pair with the reference once before training instead of at every step: no
    second model in memory; the scores are kept with the checkpoints."""
