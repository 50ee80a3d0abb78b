"""Do the real files still hold what the loaders were written for?

Reads the folder RPRM_DATA (default ../shared/data) and skips, saying so, where it is absent.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rprm.data.prm800k import Prm800k, Prm800kOptions, load_prm800k
from rprm.data.processbench import ProcessBench, load_processbench
from rprm.data.sources import DATA_VARIABLE, DEFAULT_DATA
from rprm.data.step_labels import LabelledSteps, exclude_overlap, load_step_labels
from rprm.data.tables import cases_of, solutions_to_table, table_to_solutions

ROOT = Path(os.environ.get(DATA_VARIABLE) or DEFAULT_DATA)


def require(folder: str) -> None:
    if not (ROOT / folder).is_dir():
        pytest.skip(f"no {folder} in {ROOT}; set {DATA_VARIABLE} to the folder that holds it")


@pytest.fixture(scope="module")
def bench() -> ProcessBench:
    require("processbench")
    return load_processbench()


@pytest.fixture(scope="module")
def labels() -> LabelledSteps:
    require("step_labels")
    return load_step_labels()


def prm800k(**options: object) -> Prm800k:
    require("prm800k")
    return load_prm800k(options=Prm800kOptions(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("subset", "errors", "correct", "steps", "deciding", "right_answers"),
    [
        ("gsm8k", 207, 193, 2082, 1568, 7),
        ("math", 594, 406, 6505, 4366, 94),  # R-PRM's own copy has 4368: math-688
        ("olympiadbench", 661, 339, 8819, 5822, 161),
        ("omnimath", 759, 241, 8291, 4792, 259),
    ],
)
def test_processbench_has_its_published_sizes(
    bench: ProcessBench,
    subset: str,
    errors: int,
    correct: int,
    steps: int,
    deciding: int,
    right_answers: int,
) -> None:
    (facts,) = [one for one in bench.subsets if one.subset == subset]
    assert (facts.num_errors, facts.num_solutions - facts.num_errors) == (errors, correct)
    assert (facts.num_steps, facts.num_steps_to_first_error) == (steps, deciding)
    assert facts.num_right_answers_by_wrong_steps == right_answers
    assert facts.copy == "published"
    solutions = [one for one in bench.solutions if one.subset == subset]
    assert sum(len(cases_of(one, up_to_first_error=True)) for one in solutions) == deciding


def test_processbench_has_2839_problems_and_unique_ids(bench: ProcessBench) -> None:
    assert len({one.problem_id for one in bench.solutions}) == 2839
    assert len({one.id for one in bench.solutions}) == 3400
    assert bench.warnings == ()


def test_every_processbench_solution_survives_a_table(bench: ProcessBench) -> None:
    assert table_to_solutions(solutions_to_table(bench.solutions)) == list(bench.solutions)


def test_the_human_labels_lose_only_blank_steps_and_one_solution(labels: LabelledSteps) -> None:
    assert labels.counts == {
        "read": 1920,
        "kept": 1919,
        "steps": 15587,  # 15,625 less 35 blank ones less the 3 others of the dropped solution
        "with_error": 1770,
        "blank_steps": 35,
        "dropped_unlabelled": 1,
    }
    assert all(step.strip() for one in labels.solutions for step in one.steps)


def test_117_human_labelled_solutions_are_of_processbench_problems(
    labels: LabelledSteps, bench: ProcessBench
) -> None:
    left = exclude_overlap(labels.solutions, [one.problem for one in bench.solutions])
    assert (left.num_solutions, left.num_problems) == (117, 25)
    banned = {one.problem_id for one in bench.solutions}
    assert not banned & {one.problem_id for one in left.kept}


def test_the_raw_prm800k_records_give_the_paths_a_person_reads_in_them() -> None:
    found = prm800k()
    assert [(len(one.steps), one.label, one.subset) for one in found.solutions] == [
        (6, -1, "phase1"),  # its second step is a person's
        (7, 6, "phase2"),  # found_error: the last step is completions[0], rated -1
        (5, -1, "phase1"),
        (7, -1, "phase1"),  # its sixth step is completion 3 of 7
        (8, -1, "phase1"),  # gave up: the ninth step has no completions at all
        (29, -1, "phase1"),  # gave up: the thirtieth has only unrated ones
        (6, -1, "phase1"),
    ]
    assert found.counts["dropped_screening"] == 1  # the only other record
    assert found.counts["human_steps"] == 14
    assert found.counts["wrong_last_steps"] == 1
    assert found.counts["path_ends_unchosen"] == 2
    assert found.counts["neutral"] == 1


def test_a_human_step_of_the_raw_records_is_its_text_and_not_an_object() -> None:
    first = prm800k().solutions[0]
    assert first.steps[1] == "We have $3p+e=1.24$ and $5p+e=1.82$."


@pytest.mark.parametrize(
    ("neutral", "cases", "wrong"),
    [
        ("good", 207, 77),
        ("drop", 161, 77),
        ("bad", 199, 122),  # fewer cases than good: a path ends at its neutral step
    ],
)
def test_the_raw_alternatives_are_labelled_cases_with_ids_of_their_own(
    neutral: str, cases: int, wrong: int
) -> None:
    found = prm800k(neutral=neutral, alternatives=True)
    assert (len(found.cases), found.counts["cases_wrong"]) == (cases, wrong)
    assert len({case.id for case in found.cases}) == cases
    assert all(case.gold is not None and case.now_step.strip() for case in found.cases)
