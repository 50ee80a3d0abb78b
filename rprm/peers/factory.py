"""Which published process reward model does a name stand for, and how is it to be read?

Importing this loads neither torch nor a model: campaigns are planned by people who wait.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rprm.errors import BadInput
from rprm.fetching import fetch_model, is_remote
from rprm.finding import find_model
from rprm.peers.base import PeerOptions, StepScorer

Adapter = Literal["math_shepherd", "skywork", "qwen_prm", "rlhflow"]
Load = Callable[[Path, str, PeerOptions], StepScorer]


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelRule:
    """When is a step right?"""

    text: str
    threshold: float | None
    """Right is a score of at least this; None: it is fitted on a part of the benchmark."""


ABOVE_HALF = LabelRule(text="> 0.5", threshold=math.nextafter(0.5, 1))
AT_LEAST_HALF = LabelRule(text=">= 0.5", threshold=0.5)
BEST_ON_GSM8K = LabelRule(text="best F1 on GSM8K, reused on the other subsets", threshold=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class PeerCard:
    """What was published about one model."""

    name: str
    model: str
    """Hub id."""
    adapter: Adapter
    rule: LabelRule
    aggregator: Literal["min", "last", "product", "mean"]
    """Of step scores, as its authors rank responses in Best-of-N."""
    licence: str
    """Of the weights; read it before you use them."""
    revision: str = "main"
    """What is fetched unless a campaign pins another."""
    note: str = ""


PICKLED = "published as pickles only: convert them once with rprm.peers.converting"

CARDS = (
    PeerCard(
        name="math-shepherd-7b",
        model="peiyi9979/math-shepherd-mistral-7b-prm",
        adapter="math_shepherd",
        rule=ABOVE_HALF,
        aggregator="min",
        licence="none stated",
        revision="refs/pr/5",
        note="main holds pickles only; this revision adds the same weights as safetensors",
    ),
    PeerCard(
        name="skywork-prm-7b",
        model="Skywork/Skywork-o1-Open-PRM-Qwen-2.5-7B",
        adapter="skywork",
        rule=BEST_ON_GSM8K,
        aggregator="mean",
        licence="Skywork Community License",
        note=PICKLED,
    ),
    PeerCard(
        name="skywork-prm-1.5b",
        model="Skywork/Skywork-o1-Open-PRM-Qwen-2.5-1.5B",
        adapter="skywork",
        rule=BEST_ON_GSM8K,
        aggregator="mean",
        licence="Skywork Community License",
        note=PICKLED,
    ),
    PeerCard(
        name="qwen2.5-math-7b-prm800k",
        model="Qwen/Qwen2.5-Math-7B-PRM800K",
        adapter="qwen_prm",
        rule=AT_LEAST_HALF,
        aggregator="product",
        licence="Qwen (other)",
    ),
    PeerCard(
        name="qwen2.5-math-prm-7b",
        model="Qwen/Qwen2.5-Math-PRM-7B",
        adapter="qwen_prm",
        rule=AT_LEAST_HALF,
        aggregator="product",
        licence="Qwen (other)",
    ),
    PeerCard(
        name="qwen2.5-math-prm-72b",
        model="Qwen/Qwen2.5-Math-PRM-72B",
        adapter="qwen_prm",
        rule=AT_LEAST_HALF,
        aggregator="product",
        licence="Qwen (other)",
        note="about 145 GB in bfloat16: device spread lays it over several GPUs",
    ),
    PeerCard(
        name="rlhflow-mistral-8b",
        model="RLHFlow/Llama3.1-8B-PRM-Mistral-Data",
        adapter="rlhflow",
        rule=ABOVE_HALF,
        aggregator="mean",
        licence="none stated; its base model has the Llama 3.1 Community License",
    ),
    PeerCard(
        name="rlhflow-deepseek-8b",
        model="RLHFlow/Llama3.1-8B-PRM-Deepseek-Data",
        adapter="rlhflow",
        rule=ABOVE_HALF,
        aggregator="mean",
        licence="none stated; its base model has the Llama 3.1 Community License",
    ),
)
PEERS = {card.name: card for card in CARDS}


def peer_card(name: str) -> PeerCard:
    """Raises BadInput with the choices."""
    if name in PEERS:
        return PEERS[name]
    near = difflib.get_close_matches(name, PEERS, n=1)
    listed = f"peers: {', '.join(PEERS)}"
    raise BadInput(
        f"no peer is called {name!r}.", fix=f"did you mean {near[0]!r}?" if near else listed
    )


def check_joint(card: PeerCard, joint: str | None) -> None:
    if joint is not None and card.adapter != "rlhflow":
        raise BadInput(
            f"{card.name} has no choice of joint: its input is laid down by its authors.",
            fix="leave joint out.",
        )


def make_peer(
    name: str,
    *,
    model: str | Path | None = None,
    revision: str | None = None,
    label: str | None = None,
    options: PeerOptions | None = None,
) -> StepScorer:
    """Load a peer by name: its own weights from the Hub, or those of `model`.

    `model` is a folder, a Hub id or whatever else names a model; `label` is what rows call it.
    """
    card, options = peer_card(name), options or PeerOptions()
    check_joint(card, options.joint)
    folder = locate(card, model, revision)
    return _load_of(card.adapter)(folder, label or label_of(card, model, revision), options)


def label_of(card: PeerCard, model: str | Path | None, revision: str | None) -> str:
    """Hub id and revision; a local folder is called by the peer's name."""
    given = card.model if model is None else str(model)
    if not is_remote(given):
        return card.name
    return given if "@" in given else f"{given}@{revision or _default(card, given)}"


def locate(card: PeerCard, model: str | Path | None, revision: str | None) -> Path:
    """The folder of the weights; fetched, without any code, where it is on the Hub."""
    given = card.model if model is None else str(model)
    if not is_remote(given) or "@" in given:
        return find_model(given).folder
    return fetch_model(given, revision=revision or _default(card, given))


def _default(card: PeerCard, model: str) -> str:
    return card.revision if model == card.model else "main"


def _load_of(adapter: Adapter) -> Load:
    match adapter:
        case "math_shepherd":
            from rprm.peers import math_shepherd

            return math_shepherd.load
        case "skywork":
            from rprm.peers import skywork

            return skywork.load
        case "qwen_prm":
            from rprm.peers import qwen_prm

            return qwen_prm.load
        case "rlhflow":
            from rprm.peers import rlhflow

            return rlhflow.load
