"""Are our numbers, their intervals and their differences the right ones?"""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest

from rprm.benchmarks.processbench import evaluate
from rprm.benchmarks.resampling import interval, paired
from rprm.benchmarks.statistics import sums_by_subset, values_of
from rprm.comparing.building import views_of
from rprm.comparing.measured import PRM_CELLS, Artifact, measured_at_every_k, measured_by
from rprm.data.prmbench import CLASSES
from rprm.errors import BadInput
from tests.unit.rprm.compared_runs import (
    SIZES,
    judge,
    line,
    notes,
    outcome_rows,
    outcomes_of,
    solver,
    table,
)


def test_our_numbers_are_those_of_the_benchmark() -> None:
    rows = outcome_rows(0.7)
    view = table(measured_by([judge("ours", rows)]), accuracies=True)
    outcomes = outcomes_of(rows)
    result, ours = evaluate(outcomes), line(view, "ours")
    assert ours.at("average/f1") == pytest.approx(result.f1)
    assert ours.at("math/acc_error") == pytest.approx(result.subsets["math"].acc_error)
    found = ours.cells["average/f1"].value
    strata = sums_by_subset([outcomes])[0]
    expected = interval(strata, lambda sums: values_of(sums, metric="f1"), num_resamples=2000)
    assert found.low == pytest.approx(expected.low, abs=0.6)
    assert found.high == pytest.approx(expected.high, abs=0.6)
    assert ours.comparable


def test_a_difference_to_a_published_number_has_our_interval_and_says_so() -> None:
    view = table(measured_by([judge("ours", outcome_rows(0.7))]), baseline="R-PRM-7B-DPO")
    ours = line(view, "ours")
    value = ours.cells["average/f1"].value
    assert ours.gain is not None
    assert ours.gain.difference.estimate == pytest.approx(value.estimate - 70.4)
    assert ours.gain.difference.low == pytest.approx(value.low - 70.4)
    assert ours.gain.p_value is None
    assert "that of ours alone" in notes(view, ours.marks)
    theirs = line(view, "GPT-4o").gain
    assert theirs is not None
    assert theirs.difference.estimate == pytest.approx(61.9 - 70.4)
    assert math.isnan(theirs.difference.low)


def test_a_published_number_minus_ours_turns_the_interval_round() -> None:
    view = table(measured_by([judge("ours", outcome_rows(0.7))]), baseline="ours")
    value, gain = line(view, "ours").cells["average/f1"].value, line(view, "GPT-4o").gain
    assert gain is not None
    assert (gain.difference.low, gain.difference.high) == pytest.approx(
        (61.9 - value.high, 61.9 - value.low)
    )


def test_two_of_our_runs_on_the_same_data_are_paired() -> None:
    rows = outcome_rows(0.6)
    better = [{**row, "match": max(row["match"], float(i % 9 == 0))} for i, row in enumerate(rows)]
    ours = measured_by([judge("sft", rows), judge("dpo", better)])
    view = table(ours, systems=["none"], baseline="sft")
    dpo = line(view, "dpo")
    assert dpo.gain is not None
    assert dpo.gain.difference.low > 0
    assert dpo.gain.p_value is not None
    assert dpo.gain.p_value < 0.01
    strata = sums_by_subset([outcomes_of(better), outcomes_of(rows)])
    expected = paired(strata[0], strata[1], lambda sums: values_of(sums, metric="f1"))
    assert dpo.gain.difference.estimate == pytest.approx(expected.difference.estimate)
    assert dpo.gain.difference.low == pytest.approx(expected.difference.low, abs=0.3)
    apart = line(view, "sft").cells["average/f1"].value
    assert dpo.gain.difference.high - dpo.gain.difference.low < apart.high - apart.low


def test_runs_on_other_data_are_not_subtracted() -> None:
    ours = measured_by(
        [judge("a", outcome_rows(0.6)), judge("b", outcome_rows(0.7, seed=1), digest="other")]
    )
    view = table(ours, systems=["none"], baseline="a")
    assert line(view, "b").gain is None
    assert "not measured on the same problems" in notes(view, line(view, "b").marks)


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        # another world
        ({"chain": (10, 10)}, "not comparable with published numbers: measured on chain"),
        # one subset of four
        ({"math": (594, 406)}, "without gsm8k, olympiadbench, omnimath"),
        # fewer rows of a subset
        ({**SIZES, "math": (300, 200)}, "other rows of math"),
    ],
)
def test_what_was_measured_on_other_data_is_marked(
    sizes: Mapping[str, tuple[int, int]], told: str
) -> None:
    ours = measured_by([judge("ours", outcome_rows(0.7, sizes=sizes))])
    view = table(ours, baseline="GPT-4o")
    found = line(view, "ours")
    assert not found.comparable
    assert found.gain is None
    assert told in notes(view, found.marks)
    if "math" in sizes and sizes["math"] != SIZES["math"]:
        cell = found.cells["math/f1"]
        assert "300 solutions with an error and 200 without here" in notes(view, cell.marks)


def test_seeds_of_one_system_are_one_line_with_a_wider_interval() -> None:
    runs = [judge("sft", outcome_rows(0.6 + s / 20, seed=s), rows=4000, seed=s) for s in range(3)]
    other = [judge("dpo", outcome_rows(0.7 + s / 20, seed=9 + s), seed=s) for s in range(3)]
    view = table(measured_by([*runs, *other]), systems=["none"], baseline="dpo")
    many = line(view, "sft rows=4000")
    assert "mean of 3 seeds" in notes(view, many.marks)
    assert many.gain is not None
    assert many.gain.difference.high < 0
    assert many.gain.p_value is None
    one = line(table(measured_by(runs[:1])), "sft rows=4000").cells["average/f1"].value
    wide = many.cells["average/f1"].value
    assert wide.high - wide.low > one.high - one.low


def test_the_largest_k_is_shown_unless_another_is_asked_for() -> None:
    rows = [*outcome_rows(0.5), *outcome_rows(0.8, k=10)]
    by_default, small = measured_by([judge("x", rows)]), measured_by([judge("x", rows)], k=1)
    assert by_default[0].notes == ("K = 10 critiques per step",)
    assert line(table(by_default), "x").at("average/f1") > line(table(small), "x").at("average/f1")
    with pytest.raises(BadInput, match=r"x \(bench-x-\) was not measured with K = 3"):
        measured_by([judge("x", rows)], k=3)


def test_what_scores_without_critiques_stands_beside_any_k() -> None:
    judges = [
        judge("x", [*outcome_rows(0.5), *outcome_rows(0.8, k=4)]),
        judge("peer", outcome_rows(0.4)),
    ]
    assert [one.notes for one in measured_by(judges, k=4)] == [("K = 4 critiques per step",), ()]


def test_a_policy_that_was_measured_with_every_judge_is_one_line() -> None:
    alike = [solver(judge, {"pass_at_1": 0.1, "best_of_n": 0.3}) for judge in ("sft", "dpo")]
    names = [one.name for one in measured_by(alike)]
    assert names == ["pass@1", "sft", "dpo"]
    other = solver("rl", {"pass_at_1": 0.2})
    labels = [
        one.label
        for one in table(measured_by([*alike, other]), "best-of-n", systems=["none"]).lines
    ]
    assert {"pass@1 (bon-sft)", "pass@1 (bon-rl)"} <= set(labels)


def test_names_of_two_runs_stay_apart() -> None:
    ours = measured_by([judge("x", outcome_rows(0.5))])
    other = measured_by([judge("x", outcome_rows(0.5), rows=2)])
    named = [ours[0].renamed("first", alone=True), other[0].renamed("first", alone=True)]
    labels = [one.label for one in table(named, systems=["none"]).lines]
    assert len(set(labels)) == 2
    assert all(label.startswith("first (bench-x") for label in labels)


def test_a_baseline_that_names_nothing_or_too_much_is_told() -> None:
    with pytest.raises(BadInput, match=r"line of the table is called 'GTP-4o'.*did you mean 'GPT"):
        table([], baseline="GTP-4o")
    with pytest.raises(BadInput, match=r"'GenPRM' could be 4 lines"):
        table([], baseline="GenPRM")


def test_ways_to_solve_problems_stand_in_their_tables() -> None:
    found = measured_by(
        [
            solver("dpo", {"pass_at_1": 0.1, "majority": 0.2, "best_of_n": 0.3, "pass_at_n": 0.4}),
            solver("sft", {"guided_search": 0.5}),
        ]
    )
    assert views_of(found) == ["best-of-n", "guided-search"]
    view = table(found, "best-of-n", systems=["R-PRM"], baseline="dpo")
    best = line(view, "dpo")
    assert best.at("aime24") == pytest.approx(30)
    assert not best.comparable  # one of six sets
    assert "step scores joined by min" in notes(view, best.marks)
    majority = line(view, "majority of 8")
    assert majority.group == "The policy alone"
    assert majority.gain is not None
    assert majority.gain.difference.estimate == pytest.approx(-10)
    assert line(table(found, "guided-search"), "sft").at("average") == pytest.approx(50)


def test_counts_of_steps_become_prm_scores() -> None:
    tp, fp, tn, fn = 50, 10, 20, 5
    counts = {"tp": tp, "fp": fp, "tn": tn, "fn": fn}
    rows = [
        {"item_id": f"{name}_{i}", "problem_id": str(i), "subset": name, **counts}
        for name in CLASSES
        for i in range(4)
    ]
    facts = {"system": "ours", "scores": {}, "threshold": 0.61}
    artifact = Artifact(address="p", stage="p", coordinates={}, facts=facts, rows=rows)
    view = table(measured_by([artifact]), "prmbench", systems=["none"])
    f1 = 2 * tp / (2 * tp + fp + fn)
    negative = 2 * tn / (2 * tn + fp + fn)
    ours = line(view, "ours")
    assert ours.at("overall") == pytest.approx(50 * (f1 + negative))
    assert ours.at("soundness") == pytest.approx(50 * (f1 + negative))
    assert ours.at("multi_solutions") == pytest.approx(100 * f1)
    assert "threshold 0.61" in notes(view, ours.marks)
    assert set(PRM_CELLS) == set(counts)


def test_a_part_of_the_same_size_is_compared_where_the_average_is_not() -> None:
    ours = measured_by([judge("ours", outcome_rows(0.7, sizes={"math": SIZES["math"]}))])
    found = line(table(ours, baseline="GPT-4o"), "ours")
    assert set(found.gains) == {"math/f1"}
    value = found.cells["math/f1"].value
    assert found.gains["math/f1"].difference.low == pytest.approx(value.low - 63.6)


def test_a_curve_over_k_has_every_k_that_was_measured() -> None:
    rows = [row for k in (1, 3, 9) for row in outcome_rows(0.5 + k / 30, k=k)]
    view = table(measured_at_every_k([judge("dpo", rows)]), "k-curve", baseline="dpo, K = 1")
    ours = [one for one in view.lines if one.ours]
    assert [one.label for one in ours] == ["dpo, K = 1", "dpo, K = 3", "dpo, K = 9"]
    last = ours[-1].gain
    assert last is not None
    assert last.difference.low > 0
    assert line(view, "R-PRM-7B-DPO, K = 32").gain is not None


def test_with_several_tables_a_name_need_be_in_one_of_them_only() -> None:
    found = measured_by([solver("dpo", {"best_of_n": 0.3}), judge("dpo", outcome_rows(0.7))])
    views = [
        table(found, name, systems=["GPT-4o"], baseline="GPT-4o", lenient=True)
        for name in views_of(found)
    ]
    assert [view.baseline for view in views] == ["GPT-4o", ""]
    assert {one.label for one in views[1].lines if not one.group} == {"dpo"}
