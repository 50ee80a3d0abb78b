"""How do tests ask a server that speaks vLLM's protocol, whichever it is?"""

from __future__ import annotations

import http.client
import json
import time
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from rprm.data.chain_tokenizer import VOCABULARY
from rprm.engines.vllm_metrics import ReplicaMetrics, read_metrics
from tests.contract.real_vllm import RealVllm
from tests.contract.vllm_standin import VllmStandin

KEY = "token-of-the-test"
MAX_LEN = 512
MAX_SEQS = 32
BLOCK = 128
"""Of the KV cache, on CPU."""
EOS = 1
YES, NO = VOCABULARY.index("yes"), VOCABULARY.index("no")
PROMPT = [20, 4, 5, 13, 6, 7, 15, 7, 9, 24, 25]


class Server(NamedTuple):
    real: VllmStandin | RealVllm

    @property
    def url(self) -> str:
        return self.real.url


class Answer(NamedTuple):
    status: int
    body: Any


def call(
    server: Server, path: str, body: Any = None, *, key: str | None = KEY, raw: bytes | None = None
) -> Answer:
    data = raw if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=120)
    try:
        connection.request("GET" if data is None else "POST", path, data, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        kind = answer.getheader("Content-Type") or ""
        return Answer(answer.status, json.loads(text) if "json" in kind else text)
    finally:
        connection.close()


def ask(server: Server, **changes: Any) -> Answer:
    body = {
        "model": "judge",
        "prompt": PROMPT,
        "max_tokens": 12,
        "temperature": 1.0,
        "seed": 5,
        "return_token_ids": True,
        "ignore_eos": True,
        **changes,
    }
    return call(server, "/v1/completions", body)


def choices(server: Server, **changes: Any) -> list[dict[str, Any]]:
    answer = ask(server, **changes)
    assert answer.status == 200, answer.body
    found: list[dict[str, Any]] = answer.body["choices"]
    return found


def sample(server: Server, **changes: Any) -> dict[str, Any]:
    (found,) = choices(server, **changes)
    return found


def metrics(server: Server) -> ReplicaMetrics:
    return read_metrics(str(call(server, "/metrics").body))


def long_prompt(start: int) -> list[int]:
    """Long enough for three blocks of the cache; another for every start."""
    return [3 + (start + 7 * place) % 30 for place in range(3 * BLOCK + 5)]


def until(check: Any, seconds: float = 20.0) -> None:
    end_s = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end_s
        time.sleep(0.02)


REFUSED: list[tuple[dict[str, Any], int, str | None, str]] = [
    ({"model": "other"}, 404, "model", r"The model `other` does not exist. Valid aliases: judge."),
    (
        {"prompt": [5] * 600},
        400,
        "input_tokens",
        r"This model's maximum context length is 512 tokens. However, your prompt contains 600 "
        r"input tokens, which exceeds this limit even without any output tokens. Please reduce "
        r"the length of the input prompt. \(parameter=input_tokens, value=600\)",
    ),
    (
        {"prompt": [5] * MAX_LEN},
        400,
        "max_tokens",
        r"max_tokens must be at least 1, got 0. \(parameter=max_tokens, value=0\)",
    ),
    ({"prompt": [5, 4600]}, 400, None, r"Token id 4600 is out of vocabulary"),
    ({"prompt": [5, -1]}, 400, "body.prompt.1", r"(?s).*greater than or equal to 0.*"),
    ({"prompt": []}, 400, None, r"You must pass at least one prompt"),
    ({"prompt": None}, 400, "prompt", r"Either prompt or prompt_embeds must be provided .*"),
    ({"n": 0}, 400, None, r"n must be at least 1, got 0."),
    ({"n": 20000}, 400, None, r"n must be at most 16384, got 20000. To increase .* variable."),
    ({"n": 2, "temperature": 0}, 400, None, r"n must be 1 when using greedy sampling, got 2."),
    (
        {"max_tokens": 0},
        400,
        "max_tokens",
        r"max_tokens must be at least 1, got 0. \(parameter=max_tokens, value=0\)",
    ),
    (
        {"temperature": -1},
        400,
        "temperature",
        r"temperature must be non-negative, got -1.0. \(parameter=temperature, value=-1.0\)",
    ),
    ({"stop": [""]}, 400, None, r"stop cannot contain an empty string."),
    ({"seed": 2**63}, 400, "body.seed", r"(?s).*less than or equal to 9223372036854775807.*"),
    (
        {"logprobs": 30},
        400,
        "logprobs",
        r"Requested sample logprobs of 30, which is greater than max allowed: 20 "
        r"\(parameter=logprobs, value=30\)",
    ),
    (
        {"logprob_token_ids": [3]},
        400,
        "logprob_token_ids",
        r"when using `logprob_token_ids`, `logprobs` must be set. \(parameter=logprob_token_ids\)",
    ),
    (
        {"logprob_token_ids": [4400, 3], "logprobs": 0},
        400,
        "logprob_token_ids",
        r"token_id\(s\) \[4400\] in logprob_token_ids contain out-of-vocab token ids. Vocabulary "
        r"size: 46 \(parameter=logprob_token_ids, value=\[4400\]\)",
    ),
]
