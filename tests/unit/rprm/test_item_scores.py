"""Does every step of a PRMBench item get the score that its critiques or its peer gave it?"""

from __future__ import annotations

import math

import pyarrow as pa
import pytest

from rprm.data.prmbench import PrmItem
from rprm.data.problem_tables import StepScores, scores_to_table
from rprm.data.tables import cases_of
from rprm.errors import BadInput
from rprm.schema import Critique, Solution, Unparsed, Verdict
from rprm.scoring import Aggregate
from rprm.stages.item_scores import scores_of_judged, scores_of_table
from rprm.stages.judged import JudgedCase, judged_to_table


def item(id: str, *, steps: int = 3, wrong: int = 1, name: str = "circular") -> PrmItem:
    solution = Solution(
        id=id,
        problem_id=id,
        subset=name,
        generator="",
        problem="q",
        steps=tuple("s" * steps),
        label=wrong,
    )
    return PrmItem(solution=solution, error_steps_S=frozenset([wrong]))


def critique(belief: float | None) -> Critique | Unparsed:
    if belief is None:
        return Unparsed(text="", cause="no_marker", num_tokens=1)
    verdict = Verdict.YES if belief > 0.5 else Verdict.NO
    return Critique(text="", verdict=verdict, p_yes=belief, num_tokens=1)


def judged(one: PrmItem, beliefs: list[list[float | None]], *, whole: bool = True) -> pa.Table:
    cases = cases_of(one.solution, up_to_first_error=not whole)
    return judged_to_table(
        JudgedCase(case=case, engine="e", critiques_K=tuple(map(critique, beliefs_K)))
        for case, beliefs_K in zip(cases, beliefs, strict=True)
    )


def test_soft_scores_are_means_and_hard_ones_votes() -> None:
    one = item("a")
    table = judged(one, [[0.9, 0.6], [0.3, None], [None, None]])
    soft = scores_of_judged(table, [one], Aggregate.SOFT).scores["a"]
    assert soft == [pytest.approx(0.75), 0.3, None]
    assert scores_of_judged(table, [one], Aggregate.HARD).scores["a"] == [1.0, 0.0, None]


def test_tables_in_pieces_and_items_that_were_refused() -> None:
    items = [item("a"), item("b"), item("c")]
    pieces = [judged(items[0], [[0.9], [0.1], [0.8]]), judged(items[1], [[0.7], [0.2], [0.4]])]
    whole = pa.concat_tables(pieces).slice(1)  # the first step of a was refused
    found = scores_of_judged(whole, items, Aggregate.SOFT).scores
    assert found == {"a": [None, 0.1, 0.8], "b": [0.7, 0.2, 0.4]}


def test_critiques_that_end_at_the_first_wrong_step_are_not_enough() -> None:
    one = item("a")
    with pytest.raises(BadInput, match="all_steps: true"):
        scores_of_judged(judged(one, [[0.9], [0.1]], whole=False), [one], Aggregate.SOFT)


def test_critiques_of_other_solutions_are_refused() -> None:
    with pytest.raises(BadInput, match="of no item, such as 'a'"):
        scores_of_judged(judged(item("a"), [[0.9]] * 3), [item("b")], Aggregate.SOFT)


def told(*rows: tuple[str, list[float | None] | None]) -> pa.Table:
    return scores_to_table(
        StepScores(solution_id=name, engine="e", scores_S=None if values is None else tuple(values))
        for name, values in rows
    )


def test_an_answer_that_could_not_be_read_leaves_its_item_out() -> None:
    found = scores_of_table(told(("a", [0.1, None]), ("b", None)), [item("a"), item("b")])
    assert found.scores == {"a": (0.1, None)}


def test_what_a_critic_says_of_steps_that_are_not_there_is_dropped_and_counted() -> None:
    found = scores_of_table(told(("a", [0.1, 0.2, 0.3, 0.4, 0.5])), [item("a")])
    assert (found.scores["a"], found.num_beyond) == ((0.1, 0.2, 0.3), 2)


def test_redundancy_decides_in_its_two_classes_only() -> None:
    items = [item("a"), item("b", name="deception")]
    table = told(("a", [0.9, 0.9, 0.9]), ("b", [0.9, 0.9, 0.9]))
    redundancy = pa.array([[0.2, 0.8, None]] * 2, type=pa.list_(pa.float64()))
    found = scores_of_table(table.append_column("redundancy", redundancy), items).scores
    assert found["a"] == [math.inf, -math.inf, None]
    assert found["b"] == (0.9, 0.9, 0.9)


def test_a_critic_that_names_an_index_cannot_be_measured_on_prmbench() -> None:
    named = scores_to_table([StepScores(solution_id="a", engine="e", scores_S=None, prediction=1)])
    with pytest.raises(BadInput, match="prmbench protocol"):
        scores_of_table(named, [item("a")])
