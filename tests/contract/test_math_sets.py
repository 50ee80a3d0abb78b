"""Do the real sets of problems have their published sizes, and are their answers read?

Reads the folder RPRM_DATA (default ../shared/data) and skips, saying so, where it is absent.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rprm.data.math_sets import MATH_SETS, MathSet, MathSetName, load_math_set
from rprm.data.sources import DATA_VARIABLE, DEFAULT_DATA, sha256_of

ROOT = Path(os.environ.get(DATA_VARIABLE) or DEFAULT_DATA, "math")


def load(name: MathSetName, *, seed_subset: bool = False) -> MathSet:
    if not ROOT.is_dir():
        pytest.skip(f"no {ROOT}; set {DATA_VARIABLE} to the folder that holds it")
    return load_math_set(name, seed_subset=seed_subset)


@pytest.mark.parametrize(
    ("name", "size", "seed_size", "first"),
    [
        ("aime24", 30, 30, "204"),
        ("amc23", 40, 40, "27"),
        ("math500", 500, 500, r"\left( 3, \frac{\pi}{2} \right)"),
        ("olympiadbench", 675, 200, "2"),
        ("college_math", 2818, 200, "$10-4 n$"),
        ("minerva_math", 272, 272, "1.6"),
        ("gsm8k", 1319, 1319, "18"),
    ],
)
def test_a_set_has_its_published_size_and_answers(
    name: MathSetName, size: int, seed_size: int, first: str
) -> None:
    whole, seed = load(name), load(name, seed_subset=True)
    assert (len(whole.problems), len(seed.problems)) == (size, seed_size)
    assert not whole.warnings
    assert whole.problems[0].answer == first
    assert all(one.answer and one.problem and one.subset == name for one in whole.problems)
    assert len({one.id for one in whole.problems}) == size
    assert set(seed.problems) <= set(whole.problems)
    assert (seed.seed_source is not None) == (seed_size < size)
    assert whole.source.digest == sha256_of(whole.source.files[0])


def test_math500_is_the_published_file() -> None:
    assert load("math500").source.digest.startswith("35dc4108")


def test_every_set_is_known() -> None:
    assert sum(facts.size for facts in MATH_SETS.values()) == 5654
