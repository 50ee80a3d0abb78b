"""Which requests does vLLM take, what does it answer to the others, and how does an answer look?

Everything here was read off vLLM 0.32; tests/contract/test_vllm_protocol.py holds it to that.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rprm.data.chain_tokenizer import VOCABULARY
from tests.contract.standin_text import Babble, Drawing, Written, encode

MAX_LOGPROBS = 20
MAX_N = 16384
MAX_SEED = 2**63 - 1

Body = Mapping[str, Any]


class Rejected(Exception):
    """An answer that is no success."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "BadRequestError",
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.kind = kind
        self.param = param

    def to_json(self) -> dict[str, Any]:
        return {
            "error": {
                "message": self.message,
                "type": self.kind,
                "param": self.param,
                "code": self.status,
            }
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A request that is fine."""

    prompts: tuple[tuple[int, ...], ...]
    drawings: tuple[tuple[Drawing, ...], ...]
    """For each prompt, one for each of its n samples."""
    logprobs: int | None
    logprob_token_ids: tuple[int, ...]
    as_token_ids: bool
    return_token_ids: bool


def read_request(body: Any, *, model: str, max_model_len: int) -> Asked:
    """Raises Rejected."""
    if not isinstance(body, Mapping):
        raise _malformed("model_attributes_type", "body", "Input should be a valid dictionary")
    _check_fields(body)
    if body.get("model", model) != model:
        raise Rejected(
            f"The model `{body['model']}` does not exist. Valid aliases: {model}.",
            status=404,
            kind="NotFoundError",
            param="model",
        )
    prompts = _prompts(body["prompt"])
    _check_prompts(prompts, max_model_len)
    _check_sampling(body)
    return Asked(
        prompts=prompts,
        drawings=tuple(_drawings(body, max_model_len - len(prompt)) for prompt in prompts),
        logprobs=body.get("logprobs"),
        logprob_token_ids=tuple(body.get("logprob_token_ids") or ()),
        as_token_ids=bool(body.get("return_tokens_as_token_ids")),
        return_token_ids=bool(body.get("return_token_ids")),
    )


def _check_fields(body: Body) -> None:
    """What vLLM's schema refuses; what it does not know it ignores."""
    prompt = body.get("prompt")
    if prompt is None or prompt == "":
        raise Rejected(
            "Either prompt or prompt_embeds must be provided and non-empty. (parameter=prompt)",
            param="prompt",
        )
    if body.get("logprob_token_ids") and body.get("logprobs") is None:
        raise Rejected(
            "when using `logprob_token_ids`, `logprobs` must be set. (parameter=logprob_token_ids)",
            param="logprob_token_ids",
        )
    if isinstance(prompt, list) and any(isinstance(one, int) and one < 0 for one in prompt):
        place = next(place for place, one in enumerate(prompt) if one < 0)
        wrong = "Input should be greater than or equal to 0"
        raise _malformed("greater_than_equal", f"body.prompt.{place}", wrong)
    seed = body.get("seed")
    if seed is not None and not -(MAX_SEED + 1) <= seed <= MAX_SEED:
        wrong = f"Input should be less than or equal to {MAX_SEED}"
        raise _malformed("less_than_equal", "body.seed", wrong)


def _malformed(kind: str, place: str, wrong: str) -> Rejected:
    message = f"1 validation error:\n  {{'type': '{kind}', 'loc': '{place}', 'msg': '{wrong}'}}"
    return Rejected(message, kind="Bad Request", param=place)


def torn_request() -> Rejected:
    return _malformed("json_invalid", "body.0", "JSON decode error")


def _prompts(prompt: Any) -> tuple[tuple[int, ...], ...]:
    if isinstance(prompt, str):
        return (tuple(encode(prompt)),)
    if prompt and isinstance(prompt[0], list):
        return tuple(tuple(one) for one in prompt)
    if prompt and isinstance(prompt[0], str):
        return tuple(tuple(encode(one)) for one in prompt)
    if not prompt:
        raise Rejected("You must pass at least one prompt")
    return (tuple(prompt),)


def _check_prompts(prompts: Sequence[tuple[int, ...]], max_model_len: int) -> None:
    for prompt in prompts:
        if len(prompt) > max_model_len:
            raise Rejected(
                f"This model's maximum context length is {max_model_len} tokens. However, "
                f"your prompt contains {len(prompt)} input tokens, which exceeds this limit even "
                "without any output tokens. Please reduce the length of the input prompt. "
                f"(parameter=input_tokens, value={len(prompt)})",
                param="input_tokens",
            )
        if len(prompt) == max_model_len:
            raise _too_few(0)
        if max(prompt) >= len(VOCABULARY):
            raise Rejected(f"Token id {max(prompt)} is out of vocabulary")


def _too_few(max_tokens: int) -> Rejected:
    return Rejected(
        f"max_tokens must be at least 1, got {max_tokens}."
        f" (parameter=max_tokens, value={max_tokens})",
        param="max_tokens",
    )


def _check_sampling(body: Body) -> None:
    n, temperature = body.get("n", 1), body.get("temperature", 1.0)
    if n < 1:
        raise Rejected(f"n must be at least 1, got {n}.")
    if n > MAX_N:
        message = f"n must be at most {MAX_N}, got {n}. To increase this limit, set the"
        raise Rejected(f"{message} VLLM_MAX_N_SEQUENCES environment variable.")
    if temperature < 0:
        message = f"temperature must be non-negative, got {float(temperature)}."
        message += f" (parameter=temperature, value={float(temperature)})"
        raise Rejected(message, param="temperature")
    if temperature == 0 and n > 1:
        raise Rejected(f"n must be 1 when using greedy sampling, got {n}.")
    if (tokens := body.get("max_tokens", 16)) is not None and tokens < 1:
        raise _too_few(tokens)
    if "" in _strings(body.get("stop")):
        raise Rejected("stop cannot contain an empty string.")
    _check_logprobs(body)


def _check_logprobs(body: Body) -> None:
    asked, ids = body.get("logprobs"), body.get("logprob_token_ids") or ()
    if unknown := [one for one in ids if not 0 <= one < len(VOCABULARY)]:
        message = f"token_id(s) {unknown} in logprob_token_ids contain out-of-vocab token ids."
        message += f" Vocabulary size: {len(VOCABULARY)}"
        message += f" (parameter=logprob_token_ids, value={unknown})"
        raise Rejected(message, param="logprob_token_ids")
    if not ids and asked is not None and asked > MAX_LOGPROBS:
        message = f"Requested sample logprobs of {asked}, which is greater than max allowed:"
        message += f" {MAX_LOGPROBS} (parameter=logprobs, value={asked})"
        raise Rejected(message, param="logprobs")


def _drawings(body: Body, room: int) -> tuple[Drawing, ...]:
    seed = body.get("seed")
    first = random.getrandbits(62) if seed is None else seed  # without a seed, all differ
    asked = body.get("max_tokens")
    return tuple(
        Drawing(
            seed=first + number,
            temperature=_temperature(body),
            top_p=body.get("top_p") or 1.0,
            max_tokens=min(room, 16 if asked is None else asked),
            stop=_strings(body.get("stop")),
            include_stop=bool(body.get("include_stop_str_in_output")),
            stop_token_ids=frozenset(body.get("stop_token_ids") or ()),
            ignore_eos=bool(body.get("ignore_eos")),
            bias={int(token): value for token, value in (body.get("logit_bias") or {}).items()},
        )
        for number in range(body.get("n", 1))
    )


def _temperature(body: Body) -> float:
    given = body.get("temperature")
    if given is None:
        return 1.0
    return max(0.01, float(given)) if given else 0.0


def _strings(stop: Any) -> tuple[str, ...]:
    if stop is None:
        return ()
    return (stop,) if isinstance(stop, str) else tuple(stop)


def choice(
    index: int, prompt: tuple[int, ...], written: Written, asked: Asked, babble: Babble
) -> dict[str, Any]:
    named = asked.return_token_ids
    return {
        "index": index,
        "text": written.text,
        "logprobs": _logprobs(prompt, written, asked, babble),
        "finish_reason": written.finish,
        "stop_reason": written.stop_reason,
        "token_ids": list(written.token_ids) if named else None,
        "prompt_logprobs": None,
        "prompt_token_ids": list(prompt) if named else None,
        "routed_experts": None,
    }


def _logprobs(
    prompt: tuple[int, ...], written: Written, asked: Asked, babble: Babble
) -> dict[str, Any] | None:
    """For each token: it and those asked for, or the most probable ones.

    The object of a place is keyed by what a token decodes to, so that two tokens with the same
    text are one key; `return_tokens_as_token_ids` tells them apart."""
    if asked.logprobs is None:
        return None
    tokens, of_token, of_others = [], [], []
    context = list(prompt)
    for token in written.token_ids:
        row = babble.logprobs(context)
        others = asked.logprob_token_ids or _most_probable(row, asked.logprobs)
        tokens.append(_name(token, asked))
        of_token.append(row[token])
        of_others.append({_name(one, asked): row[one] for one in dict.fromkeys((token, *others))})
        context.append(token)
    offsets = [0]
    for name in tokens[:-1]:
        offsets.append(offsets[-1] + len(name))
    return {
        "text_offset": offsets,
        "token_logprobs": of_token,
        "tokens": tokens,
        "top_logprobs": of_others,
    }


def _most_probable(row: Sequence[float], count: int) -> list[int]:
    return sorted(range(len(row)), key=lambda token: -row[token])[:count]


def _name(token: int, asked: Asked) -> str:
    """Without the space that the text has before it."""
    return f"token_id:{token}" if asked.as_token_ids else VOCABULARY[token]
