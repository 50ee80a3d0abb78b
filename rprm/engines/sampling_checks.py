"""Which sampling parameters and requests mean nothing, whatever the engine?"""

from __future__ import annotations

from rprm.engines.base import Refused, Request, SamplingParams
from rprm.errors import BadInput


def check_params(params: SamplingParams) -> None:
    """Raises BadInput for parameters that mean nothing."""
    wrong = [
        (params.max_tokens < 1, f"max_tokens is {params.max_tokens}", "sample at least 1 token"),
        (params.temperature < 0, f"temperature is {params.temperature}", "use 0 for greedy"),
        (not 0 < params.top_p <= 1, f"top_p is {params.top_p}", "use a number in (0, 1]"),
        (any(not stop for stop in params.stop), "a stop string is empty", "leave it out"),
    ]
    for is_wrong, what, fix in wrong:
        if is_wrong:
            raise BadInput(f"Sampling: {what}.", fix=f"{fix}.")


def refusal_of(request: Request, params: SamplingParams, *, most: int | None) -> Refused | None:
    """Of a prompt that is empty, or too long for the `most` positions of the model."""
    length = len(request.prompt_T)
    if length == 0:
        return Refused(id=request.id, cause="empty_prompt", detail="the prompt has no token")
    if most is not None and length + params.max_tokens > most:
        return Refused(
            id=request.id,
            cause="prompt_too_long",
            detail=f"{length} prompt tokens + {params.max_tokens} to sample > {most} positions",
        )
    return None
