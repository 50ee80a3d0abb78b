"""Is each trap of PRM800K's raw records met?  Synthetic records, one trap each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rprm.data.prm800k import Prm800k, Prm800kOptions, load_prm800k
from rprm.errors import BadInput

Json = dict[str, Any]


def rated(text: str, rating: int | None, flagged: bool | None = False) -> Json:
    return {"text": text, "rating": rating, "flagged": flagged}


def step(*completions: Json, chosen: int | None = 0, human: Any = None) -> Json:
    return {
        "completions": list(completions),
        "human_completion": human,
        "chosen_completion": chosen,
    }


def record(*steps: Json, finish: str = "solution", **top: Any) -> Json:
    return {
        "labeler": "someone",
        "timestamp": "2022-07-30T23:23:32",
        "generation": None,
        "is_quality_control_question": False,
        "is_initial_screening_question": False,
        "question": {"problem": "What is 1+1?", "ground_truth_answer": "2"},
        "label": {"steps": list(steps), "total_time": 1, "finish_reason": finish},
    } | top


GOOD = step(rated("one and one", 1))
WRONG_LAST = step(rated("is three", -1, None), rated("is two", 1), chosen=None)


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def load_records(*records: Json, **options: Any) -> Prm800k:
        file = tmp_path / "raw.jsonl"
        file.write_text("".join(json.dumps(one) + "\n" for one in records))
        return load_prm800k(str(file), options=Prm800kOptions(**options))

    return load_records


def golds(found: Prm800k) -> list[tuple[str, bool | None]]:
    return [(case.now_step, case.gold) for case in found.cases]


def test_the_path_is_the_chosen_completions(load: Any) -> None:
    found = load(record(GOOD, step(rated("is three", -1), rated("is two", 1), chosen=1)))
    assert golds(found) == [("one and one", True), ("is two", True)]
    (solution,) = found.solutions
    assert (solution.steps, solution.label) == (("one and one", "is two"), -1)
    assert found.cases[1].previous_steps == ("one and one",)
    assert found.cases[1].id == f"{solution.id}:1"


def test_a_human_step_is_the_text_of_its_object_and_right(load: Any) -> None:
    human = {"text": "by counting", "rating": None, "source": "human", "flagged": False}
    found = load(record(GOOD, step(rated("x", -1), chosen=None, human=human)))
    assert golds(found)[1] == ("by counting", True)
    assert found.counts["human_steps"] == 1


def test_a_human_step_written_as_plain_text_is_read_too(load: Any) -> None:
    found = load(record(step(chosen=None, human="by counting")))
    assert golds(found) == [("by counting", True)]


def test_a_blank_human_step_ends_the_path(load: Any) -> None:
    found = load(record(GOOD, step(chosen=None, human={"text": " ", "rating": None})))
    assert len(found.cases) == 1
    assert found.counts["path_ends_unchosen"] == 1


def test_the_wrong_last_step_of_phase_2_is_its_first_completion(load: Any) -> None:
    found = load(record(GOOD, WRONG_LAST, finish="found_error", generation=6))
    assert golds(found) == [("one and one", True), ("is three", False)]
    (solution,) = found.solutions
    assert (solution.label, solution.subset) == (1, "phase2")
    assert found.counts["wrong_last_steps"] == 1


def test_later_completions_of_the_wrong_last_step_are_alternatives(load: Any) -> None:
    raw = record(GOOD, WRONG_LAST, finish="found_error", generation=6)
    found = load(raw, alternatives=True)
    assert golds(found)[2:] == [("is two", True)]
    assert found.cases[2].previous_steps == ("one and one",)


def test_where_the_labeller_gave_up_the_path_ends_without_a_wrong_step(load: Any) -> None:
    raw = record(GOOD, step(rated("x", -1), rated("y", None), chosen=None), finish="give_up")
    found = load(raw)
    assert [(one.steps, one.label) for one in found.solutions] == [(("one and one",), -1)]
    assert load(raw, give_up=False).counts["dropped_give_up"] == 1
    with_others = load(raw, alternatives=True)
    assert golds(with_others)[1:] == [("x", False)]  # rated, though nothing was chosen
    assert with_others.counts["unrated"] == 1


@pytest.mark.parametrize(
    ("raw", "rule"),
    [
        (record(GOOD, is_quality_control_question=True), "quality_control"),
        (record(GOOD, is_initial_screening_question=True), "screening"),
        (record(GOOD, finish="bad_problem"), "bad_problem"),
        (record(), "no_steps"),
        (record(label={"steps": None, "finish_reason": None}), "no_steps"),
        (record(label={"finish_reason": "give_up"}), "no_steps"),  # steps missing altogether
    ],
)
def test_an_unusable_record_is_dropped_and_counted_under_its_rule(
    load: Any, raw: Json, rule: str
) -> None:
    found = load(raw, record(GOOD, timestamp="later"))
    assert found.counts[f"dropped_{rule}"] == 1
    assert found.counts["records"] == 2
    assert len(found.cases) == 1


def test_a_repeated_record_counts_once(load: Any) -> None:
    found = load(record(GOOD), record(GOOD))
    assert len(found.solutions) == 1
    assert found.counts["dropped_repeated"] == 1


@pytest.mark.parametrize(
    ("neutral", "cases", "steps", "label"),
    [
        # rated right, neutral, right
        ("good", [("a", True), ("b", True), ("c", True)], ("a", "b", "c"), -1),
        # the neutral step is no case, but stands in the prefix of the next one
        ("drop", [("a", True), ("c", True)], ("a",), -1),
        # nothing after the first wrong step is labelled
        ("bad", [("a", True), ("b", False)], ("a", "b"), 1),
    ],
)
def test_a_neutral_step_is_what_the_options_say(
    load: Any, neutral: str, cases: list[tuple[str, bool]], steps: tuple[str, ...], label: int
) -> None:
    raw = record(step(rated("a", 1)), step(rated("b", 0)), step(rated("c", 1)))
    found = load(raw, neutral=neutral)
    assert golds(found) == cases
    assert [(one.steps, one.label) for one in found.solutions] == [(steps, label)]
    assert found.counts["neutral"] == 1


@pytest.mark.parametrize("flagged", [None, False])
def test_a_flag_of_null_is_no_flag(load: Any, flagged: bool | None) -> None:
    assert golds(load(record(step(rated("a", 1, flagged))))) == [("a", True)]


def test_a_flagged_step_has_no_gold_but_stays_in_the_prefix(load: Any) -> None:
    found = load(record(GOOD, step(rated("rude", 1, True)), step(rated("is two", 1))))
    assert golds(found) == [("one and one", True), ("is two", True)]
    assert found.cases[1].previous_steps == ("one and one", "rude")
    assert found.solutions[0].steps == ("one and one",)
    assert found.counts["flagged"] == 1


def test_nothing_follows_a_chosen_step_that_is_rated_wrong(load: Any) -> None:
    found = load(record(step(rated("a", -1)), GOOD), alternatives=True)
    assert golds(found) == [("a", False)]


def test_all_alternatives_share_the_chosen_prefix_and_have_ids_of_their_own(load: Any) -> None:
    first = step(rated("a", 1), rated("a2", -1), rated("a", 1), rated(" ", 1))
    second = step(rated("b2", 0), rated("b", 1), chosen=1)
    found = load(record(first, second), alternatives=True)
    assert golds(found) == [("a", True), ("b", True), ("a2", False), ("b2", True)]
    assert [case.previous_steps for case in found.cases] == [(), ("a",), (), ("a",)]
    assert len({case.id for case in found.cases}) == 4
    assert len({case.problem_id for case in found.cases}) == 1
    assert found.counts["alternatives"] == 2
    assert found.counts["alternatives_repeated_or_blank"] == 2


def test_a_problem_has_one_id_whatever_its_layout(load: Any) -> None:
    other = {"problem": "what is  1 + 1"}
    found = load(record(GOOD), record(GOOD, timestamp="later", question=other))
    assert len({one.problem_id for one in found.solutions}) == 1
    assert len({one.id for one in found.solutions}) == 2


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (record(step(rated("a", 2))), "label.steps[0].completions[0].rating: is 2"),
        (record(step(rated("a", 1), chosen=1)), "label.steps[0].chosen_completion: is 1"),
        (record(GOOD, question={}), "question.problem: is missing"),
        (record(GOOD, question=None), "question: is null"),
        (record(GOOD, label=[]), "label: is list"),
        (record(step(*[None])), "completions[0]: is NoneType"),  # type: ignore[arg-type]
        (record(GOOD, finish="done"), "label.finish_reason: is 'done'"),
    ],
)
def test_a_malformed_record_is_named_down_to_the_key(load: Any, raw: Json, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        load(record(GOOD), raw)
    assert f"row 1, {says}" in str(caught.value) or says in str(caught.value)
