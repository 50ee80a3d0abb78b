"""Do the adapters give the scores of the published recipes, whatever runs beside a solution?

The recipes are written out here once more, straight from their sources: one solution at a time, no
padding, the library's own model classes, and a whole forward pass with the full head.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    LlamaForCausalLM,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2Model,
)

from rprm.data.problem_tables import StepScores
from rprm.engines.base import Refused
from rprm.errors import BadInput
from rprm.peers.base import PeerOptions, batches_of
from rprm.peers.factory import PEERS, make_peer
from rprm.schema import Solution
from tests.contract import peer_models
from tests.contract.peer_models import MANY, SOLUTIONS, solution

Scores = list[float]
NAMES = ("math-shepherd-7b", "skywork-prm-7b", "qwen2.5-math-prm-7b", "rlhflow-mistral-8b")
BUILD = {
    "math-shepherd-7b": peer_models.math_shepherd,
    "skywork-prm-7b": peer_models.skywork,
    "qwen2.5-math-prm-7b": peer_models.qwen_prm,
    "rlhflow-mistral-8b": peer_models.rlhflow,
}


def tokenizer_of(folder: Path) -> Any:
    return PreTrainedTokenizerFast.from_pretrained(str(folder))


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    shards = [load_file(file) for file in sorted(folder.glob("*.safetensors"))]
    return {name: tensor for shard in shards for name, tensor in shard.items()}


def recipe_math_shepherd(folder: Path, one: Solution) -> Scores:
    """The card's, cut after each tag in turn: the score of a step is that of the last token."""
    tokenizer, model = tokenizer_of(folder), MistralForCausalLM.from_pretrained(folder).eval()
    candidates = tokenizer.encode("+ -")[1:]
    tag = tokenizer.encode("ки")[-1]
    text, found = one.problem, []
    for number, step in enumerate(one.steps, start=1):
        step = step.strip()
        text += " " if number == 1 else "\n"
        text += step if re.match(r"Step \d+\s*:", step) else f"Step {number}: {step}"
        text += " ки"
        ids = tokenizer.encode(text)
        assert ids[-1] == tag
        logits = model(torch.tensor([ids])).logits[:, :, candidates]
        found.append(float(logits.softmax(dim=-1)[0, -1, 0]))
    return found


def recipe_skywork(folder: Path, one: Solution) -> Scores:
    tokenizer, weights = tokenizer_of(folder), weights_of(folder)
    config = Qwen2Config.from_pretrained(folder)
    model = Qwen2ForCausalLM(config).eval()
    model.load_state_dict({k: v for k, v in weights.items() if not k.startswith("v_head")})
    ids = tokenizer.encode(tokenizer.bos_token + one.problem + "\n")
    flags = [0] * len(ids)
    for step in one.steps:
        while step.endswith("\n"):
            step = step[:-1]
        piece = [*tokenizer.encode(" ".join(step.split("\n"))), tokenizer.encode("\n")[-1]]
        ids += piece
        flags += [0] * (len(piece) - 1) + [1]
    hidden = model(torch.tensor([ids]), output_hidden_states=True).hidden_states[-1][0]
    values = hidden @ weights["v_head.summary.weight"][0] + weights["v_head.summary.bias"]
    return [float(torch.sigmoid(value)) for value, flag in zip(values, flags, strict=True) if flag]


def recipe_qwen(folder: Path, one: Solution, dtype: torch.dtype = torch.float32) -> Scores:
    """The card's, one conversation per step: a step's score is that of the last <extra_0>."""
    tokenizer, weights = tokenizer_of(folder), weights_of(folder)
    model = Qwen2Model(Qwen2Config.from_pretrained(folder)).eval()
    inner = {k.removeprefix("model."): v for k, v in weights.items() if k.startswith("model.")}
    model.load_state_dict(inner)
    model = model.to(dtype)
    head = {k: v.to(dtype) for k, v in weights.items()}
    separator = tokenizer.encode("<extra_0>")[0]
    found = []
    for number in range(1, len(one.steps) + 1):
        system = "Please reason step by step, and put your final answer within \\boxed{}."
        messages = [
            {"role": "system", "content": system},
            {"role": "user", "content": one.problem},
            {"role": "assistant", "content": "<extra_0>".join(one.steps[:number]) + "<extra_0>"},
        ]
        ids = tokenizer.encode(
            tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=False)
        )
        hidden = model(torch.tensor([ids])).last_hidden_state[0]
        inner_states = torch.relu(hidden @ head["score.0.weight"].T + head["score.0.bias"])
        logits = inner_states @ head["score.2.weight"].T + head["score.2.bias"]
        last = max(place for place, token in enumerate(ids) if token == separator)
        found.append(float(logits.softmax(dim=-1)[last, 1]))
    return found


def recipe_rlhflow(folder: Path, one: Solution, joint: str = "\n\n") -> Scores:
    tokenizer, model = tokenizer_of(folder), LlamaForCausalLM.from_pretrained(folder).eval()
    candidates = [tokenizer.encode("+")[-1], tokenizer.encode("-")[-1]]
    conversation: list[dict[str, str]] = []
    found = []
    for number, step in enumerate(one.steps):
        content = one.problem + joint + step if number == 0 else step
        conversation.append({"content": content, "role": "user"})
        conversation.append({"content": "+", "role": "assistant"})
        text = tokenizer.apply_chat_template(conversation, tokenize=False)
        ids = tokenizer.encode(text, add_special_tokens=False)
        logits = model(torch.tensor([ids])).logits[:, -3, candidates]
        found.append(float(logits.softmax(dim=-1)[0, 0]))
    return found


RECIPES: dict[str, Callable[[Path, Solution], Scores]] = {
    "math-shepherd-7b": recipe_math_shepherd,
    "skywork-prm-7b": recipe_skywork,
    "qwen2.5-math-prm-7b": recipe_qwen,
    "rlhflow-mistral-8b": recipe_rlhflow,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch.set_num_threads(1)
    return {name: BUILD[name](tmp_path_factory.mktemp(name)) for name in NAMES}


def scores_of(
    name: str, folder: Path, solutions: Sequence[Solution], **options: Any
) -> list[StepScores | Refused]:
    scorer = make_peer(name, model=folder, options=PeerOptions(**options))
    return list(scorer.score(solutions))


def numbers(answer: StepScores | Refused) -> list[Any]:
    assert isinstance(answer, StepScores), answer
    assert answer.scores_S is not None
    return list(answer.scores_S)


@pytest.mark.parametrize("name", NAMES)
@torch.inference_mode()
def test_a_batch_gives_the_scores_of_the_published_recipe(
    name: str, folders: dict[str, Path]
) -> None:
    answers = scores_of(name, folders[name], SOLUTIONS)
    for one, answer in zip(SOLUTIONS, answers, strict=True):
        found = numbers(answer)
        assert len(found) == len(one.steps), one.id
        recipe = RECIPES[name](folders[name], one)
        assert found == pytest.approx(recipe, abs=1e-5), one.id
    spread = [value for answer in answers for value in numbers(answer)]
    assert max(spread) - min(spread) > 0.3, "all scores alike would hide a wrong position"


@pytest.mark.parametrize("name", NAMES)
def test_a_solution_scores_the_same_alone_and_beside_others(
    name: str, folders: dict[str, Path]
) -> None:
    together = scores_of(name, folders[name], SOLUTIONS, batch_tokens=100_000)
    small = scores_of(name, folders[name], SOLUTIONS, batch_tokens=600)
    alone = scores_of(name, folders[name], SOLUTIONS, batch_tokens=1)
    for one, *answers in zip(SOLUTIONS, together, small, alone, strict=True):
        for answer in answers:
            assert isinstance(answer, StepScores)
            assert answer.solution_id == one.id
            assert numbers(answer) == pytest.approx(numbers(answers[-1]), abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_solutions_changes_no_score(name: str, folders: dict[str, Path]) -> None:
    forward = scores_of(name, folders[name], SOLUTIONS)
    backward = scores_of(name, folders[name], SOLUTIONS[::-1])
    for one, other in zip(forward, reversed(backward), strict=True):
        assert numbers(one) == pytest.approx(numbers(other), abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_solution_that_is_too_long_is_refused_with_its_size(
    name: str, folders: dict[str, Path]
) -> None:
    answers = scores_of(name, folders[name], SOLUTIONS, max_length=400)
    refused = {one.id: one for one in answers if isinstance(one, Refused)}
    assert "many" in refused
    assert {one.cause for one in refused.values()} == {"too_long"}
    assert re.match(rf"\d+ tokens > 400; \d+ of {MANY} steps would fit", refused["many"].detail)
    assert len(refused) < len(SOLUTIONS)


@pytest.mark.parametrize("name", NAMES)
def test_truncation_drops_whole_trailing_steps_and_says_so(
    name: str, folders: dict[str, Path]
) -> None:
    many = SOLUTIONS[2]
    (whole,) = scores_of(name, folders[name], [many])
    (cut,) = scores_of(name, folders[name], [many], max_length=400, overlong="truncate")
    assert isinstance(cut, StepScores)
    kept = [value for value in numbers(cut) if value is not None]
    assert 0 < len(kept) < MANY
    assert kept == pytest.approx(numbers(whole)[: len(kept)], abs=1e-5)
    assert numbers(cut)[len(kept) :] == [None] * (MANY - len(kept))
    assert cut.texts == (f"truncated: {len(kept)} of {MANY} steps fit 400 tokens",)
    (nothing,) = scores_of(name, folders[name], [many], max_length=3, overlong="truncate")
    assert isinstance(nothing, Refused)


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_stays_near_float32(name: str, folders: dict[str, Path]) -> None:
    exact = scores_of(name, folders[name], SOLUTIONS[:4])
    rough = scores_of(name, folders[name], SOLUTIONS[:4], dtype="bfloat16")
    gaps = [
        abs(a - b)
        for one, other in zip(exact, rough, strict=True)
        for a, b in zip(numbers(one), numbers(other), strict=True)
    ]
    assert 0 < max(gaps) < 0.15
    assert sum(gaps) / len(gaps) < 0.03


@torch.inference_mode()
def test_a_probability_of_exactly_zero_keeps_its_place(tmp_path: Path) -> None:
    folder = peer_models.qwen_prm(tmp_path, scale=1e5)
    answers = scores_of("qwen2.5-math-prm-7b", folder, SOLUTIONS, dtype="bfloat16")
    for one, answer in zip(SOLUTIONS, answers, strict=True):
        if one.id in {"tags", "unicode"}:
            found = numbers(answer)
            assert {0.0, 1.0} == set(found), "a recipe that drops zeros would misplace these"
            assert found == recipe_qwen(folder, one, torch.bfloat16)


@torch.inference_mode()
def test_rlhflow_joins_problem_and_first_step_as_asked(folders: dict[str, Path]) -> None:
    folder = folders["rlhflow-mistral-8b"]
    (answer,) = scores_of("rlhflow-mistral-8b", folder, SOLUTIONS[:1], joint=" ")
    recipe = recipe_rlhflow(folder, SOLUTIONS[0], joint=" ")
    assert numbers(answer) == pytest.approx(recipe, abs=1e-5)
    assert numbers(answer) != pytest.approx(recipe_rlhflow(folder, SOLUTIONS[0]), abs=1e-5)


def test_skyworks_value_head_stays_in_float32(folders: dict[str, Path]) -> None:
    options = PeerOptions(dtype="bfloat16")
    scorer: Any = make_peer("skywork-prm-7b", model=folders["skywork-prm-7b"], options=options)
    weight = scorer.network.head.__self__.v_head.summary.weight
    assert weight.dtype == torch.float32
    assert torch.equal(weight, weights_of(folders["skywork-prm-7b"])["v_head.summary.weight"])


def test_layers_can_be_spread_over_devices(folders: dict[str, Path]) -> None:
    name = "qwen2.5-math-prm-7b"
    (spread,) = scores_of(name, folders[name], SOLUTIONS[:1], device="spread", dtype="float32")
    (plain,) = scores_of(name, folders[name], SOLUTIONS[:1])
    assert numbers(spread) == pytest.approx(numbers(plain), abs=1e-6)


def test_a_solution_without_steps_has_no_scores(folders: dict[str, Path]) -> None:
    for name in NAMES:
        answers = scores_of(name, folders[name], [solution("none"), SOLUTIONS[0]])
        assert numbers(answers[0]) == []
        assert len(numbers(answers[1])) == 3


@pytest.mark.parametrize(("name", "other"), list(permutations(NAMES, 2)))
def test_the_weights_of_another_peer_are_not_taken_for_its_own(
    name: str, other: str, folders: dict[str, Path]
) -> None:
    with pytest.raises(BadInput):
        scores_of(name, folders[other], SOLUTIONS[:1])


def test_pickled_weights_are_not_loaded(folders: dict[str, Path], tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((folders["math-shepherd-7b"] / name).read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(BadInput, match=r"pickled weights \(pytorch_model.bin\)"):
        scores_of("math-shepherd-7b", tmp_path, SOLUTIONS[:1])


def test_a_length_beyond_the_models_positions_is_an_error(folders: dict[str, Path]) -> None:
    with pytest.raises(BadInput, match="4096 positions"):
        scores_of("qwen2.5-math-prm-7b", folders["qwen2.5-math-prm-7b"], [], max_length=5000)


def test_every_published_peer_loads_by_its_adapter(folders: dict[str, Path]) -> None:
    by_adapter = {PEERS[name].adapter: folders[name] for name in NAMES}
    for card in PEERS.values():
        scorer = make_peer(card.name, model=by_adapter[card.adapter])
        assert scorer.name == card.name
        assert len(numbers(next(iter(scorer.score(SOLUTIONS[:1]))))) == 3


def test_batches_hold_neighbours_in_length_and_every_index_once() -> None:
    lengths = [5, 100, 7, 100, 6, 300]
    batches = batches_of(lengths, batch_tokens=200)
    assert batches == [[5], [1, 3], [2, 4, 0]]
