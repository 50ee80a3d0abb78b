"""Do the adapters give the scores of the published recipes, whatever runs beside a solution?"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from rprm.data.problem_tables import StepScores
from rprm.data.processbench import load_processbench
from rprm.data.sources import DATA_VARIABLE, DEFAULT_DATA
from rprm.engines.base import Refused
from rprm.peers.base import LaidOut, batches_of
from rprm.peers.factory import make_peer
from tests.contract import peer_models
from tests.contract.peer_models import MANY, PEER_FOLDERS, SOLUTIONS, solution
from tests.contract.peer_recipes import RECIPES, numbers, recipe_qwen, recipe_rlhflow, scores_of

NAMES = tuple(PEER_FOLDERS)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch.set_num_threads(1)
    return {name: PEER_FOLDERS[name](tmp_path_factory.mktemp(name)) for name in NAMES}


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


def test_a_solution_without_steps_has_no_scores(folders: dict[str, Path]) -> None:
    for name in NAMES:
        answers = scores_of(name, folders[name], [solution("none"), SOLUTIONS[0]])
        assert numbers(answers[0]) == []
        assert len(numbers(answers[1])) == 3


def test_batches_hold_neighbours_in_length_and_every_index_once() -> None:
    lengths = [5, 100, 7, 100, 6, 300]
    batches = batches_of(lengths, batch_tokens=200)
    assert batches == [[5], [1, 3], [2, 4, 0]]


@pytest.mark.parametrize("name", NAMES)
def test_real_solutions_have_a_place_for_every_score(name: str, folders: dict[str, Path]) -> None:
    root = Path(os.environ.get(DATA_VARIABLE) or DEFAULT_DATA)
    if not (root / "processbench").is_dir():
        pytest.skip(f"no processbench in {root}; set {DATA_VARIABLE} to the folder that holds it")
    scorer: Any = make_peer(name, model=folders[name])
    for one in load_processbench("data:processbench").solutions[::25]:
        laid = scorer.layout(one)
        assert isinstance(laid, LaidOut), laid
        assert len(laid.positions_S) == len(one.steps), one.id
