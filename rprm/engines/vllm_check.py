"""Does this server serve the model that the client means, in a way that the client can use?

Asked of every replica before it gets work, and again before a broken one does:

names       it lists a model under the name that the endpoints document says
length      its max_model_len, beyond which prompts are refused before they are sent
tokenizer   it turns text into the same token ids as the tokenizer that makes the prompts.  A server
            that has none (--skip-tokenizer-init) is fine, and gets no stop strings
vocabulary  it takes the tokenizer's highest token id
beliefs     it answers with token ids and with the log-probabilities of chosen tokens, taken before
            temperature and top_p (vLLM 0.32 and newer, --logprobs-mode raw_logprobs)

That the weights are those that were meant nobody can ask a server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rprm.engines.endpoints import Replica
from rprm.engines.http_faults import Cause, Fault, Remedy
from rprm.engines.tokenizers import Tokenizer
from rprm.engines.verdict_tokens import VerdictTokens
from rprm.engines.vllm_calls import Calls
from rprm.engines.vllm_protocol import gives_raw_logprobs, probe_body
from rprm.engines.vllm_reading import Decode

CHECK_S = 20.0
"""Of each question, while it has nothing to compute."""
PROBE_S = 180.0
"""Of its first token: vLLM on a CPU compiles for half a minute when it is first asked for
log-probabilities."""
SAMPLED_IDS = 48
"""Token ids, spread over the vocabulary, whose text is compared."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """What the client knows of the model."""

    ids_T: tuple[int, ...]
    """Ordinary tokens, the highest among them."""
    text: str
    text_T: tuple[int, ...]
    """Its tokens, which need not be those."""
    folder: str

    @property
    def probe(self) -> tuple[int, ...]:
        """Short, because a small model takes a short prompt only."""
        return self.ids_T[-4:]

    @property
    def verdict(self) -> VerdictTokens:
        """Any two: that they come back is what matters."""
        return VerdictTokens(yes=self.ids_T[0], no=self.ids_T[1])


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """What a server said about itself."""

    model: str
    max_model_len: int | None
    stops: bool
    """It can look for stop strings."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unfit:
    """The server will never do, unless a person changes something."""

    what: str
    fix: str


def expected_of(tokenizer: Tokenizer, decode: Decode, folder: str) -> Expected:
    special = set(tokenizer.all_special_ids)
    ordinary = sorted(set(tokenizer.get_vocab().values()) - special)
    stride = max(1, len(ordinary) // SAMPLED_IDS)
    ids = [*ordinary[::stride][:SAMPLED_IDS], ordinary[-1]]
    text = decode(ids)
    text_T = tuple(tokenizer.encode(text, add_special_tokens=False))
    return Expected(ids_T=tuple(ids), text=text, text_T=text_T, folder=folder)


async def check(calls: Calls, replica: Replica, expected: Expected) -> Served | Unfit | Fault:
    """A Fault is the server's moment: it may do later."""
    listed = await calls.get(f"{replica.url}/v1/models", deadline_s=CHECK_S)
    if isinstance(listed, Fault):
        return _unfit_or(listed, replica)
    card = _card(listed, replica)
    if isinstance(card, Unfit):
        return card
    model = str(card["id"])
    stops = await _reads_alike(calls, replica, model, expected)
    if isinstance(stops, Unfit | Fault):
        return stops
    said = await calls.post(
        f"{replica.url}/v1/completions",
        {"model": model, **probe_body(expected.probe, expected.verdict)},
        deadline_s=PROBE_S,
    )
    problem = _probe_problem(said, replica, expected)
    if problem is not None:
        return problem
    length = card.get("max_model_len")
    return Served(model=model, max_model_len=length if type(length) is int else None, stops=stops)


def _card(listed: Any, replica: Replica) -> Mapping[str, Any] | Unfit:
    cards = listed.get("data") if isinstance(listed, Mapping) else None
    names = [
        card["id"]
        for card in (cards if isinstance(cards, Sequence) else ())
        if isinstance(card, Mapping) and isinstance(card.get("id"), str)
    ]
    if not names or not isinstance(cards, Sequence):
        return Unfit(
            what=f"{replica.url} lists no model under /v1/models",
            fix="give the address of a vLLM server",
        )
    if replica.model is not None and replica.model not in names:
        return Unfit(
            what=f"{replica.url} serves {', '.join(names)} and not {replica.model}",
            fix="start it with --served-model-name, or correct the endpoints document",
        )
    wanted = replica.model or names[0]
    found: Mapping[str, Any] = next(card for card in cards if card["id"] == wanted)
    return found


async def _reads_alike(
    calls: Calls, replica: Replica, model: str, expected: Expected
) -> bool | Unfit | Fault:
    said = await calls.post(
        f"{replica.url}/tokenize",
        {"model": model, "prompt": expected.text, "add_special_tokens": False},
        deadline_s=CHECK_S,
    )
    if isinstance(said, Fault):
        lost = said.cause.remedy is Remedy.AGAIN and said.cause is not Cause.SERVER_ERROR
        return said if lost else False
    tokens = said.get("tokens") if isinstance(said, Mapping) else None
    if tokens == list(expected.text_T):
        return True
    return Unfit(
        what=f"{replica.url} has another tokenizer than {expected.folder}: it reads"
        f" {expected.text[:60]!r} as the tokens {str(tokens)[:60]}, not {expected.text_T[:8]}…",
        fix="serve the model of that folder.  Where its model type has a tokenizer class of its"
        " own, AutoTokenizer takes that one: give vLLM --tokenizer with a folder that holds"
        " tokenizer.json and tokenizer_config.json alone",
    )


def _probe_problem(said: Any, replica: Replica, expected: Expected) -> Unfit | Fault | None:
    if isinstance(said, Fault):
        if "vocab" in said.detail:
            return Unfit(
                what=f"{replica.url} does not know token {expected.ids_T[-1]} of the tokenizer in"
                f" {expected.folder}: {said.detail}",
                fix="serve the model of that folder",
            )
        return _unfit_or(said, replica)
    raw = gives_raw_logprobs(said, expected.verdict)
    if raw is None:
        return Unfit(
            what=f"{replica.url} does not answer with the log-probabilities of chosen tokens",
            fix="serve the model with vLLM 0.32 or newer",
        )
    if not raw:
        return Unfit(
            what=f"the log-probabilities of {replica.url} are those after temperature and top_p",
            fix="start it with --logprobs-mode raw_logprobs, which is vLLM's default",
        )
    return None


def _unfit_or(fault: Fault, replica: Replica) -> Unfit | Fault:
    if fault.cause.remedy is Remedy.AGAIN:
        return fault
    return Unfit(what=f"{replica.url}: {fault.detail}", fix=_FIXES.get(fault.cause, _ADDRESS))


_ADDRESS = "give the address of a vLLM server's root, such as http://judge:8000"
_FIXES = {
    Cause.UNAUTHORIZED: "name the variable that holds the server's key in key_env",
    Cause.FORBIDDEN: "use a key that may use this model",
}
