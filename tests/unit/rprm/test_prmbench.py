"""Is PRMBench's number the official one?  Against a straight-line computation of its definition."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm.benchmarks import prmbench as bench
from rprm.benchmarks.prmbench import (
    GROUPS,
    NAMES,
    POSITIVE_ONLY,
    evaluate,
    gather,
    score_intervals,
    sweep,
)
from rprm.data.prmbench import CLASSES, PrmItem
from rprm.schema import Solution


def item(
    id: str, name: str, *, steps: int, wrong: Sequence[int] = (), problem: str = ""
) -> PrmItem:
    solution = Solution(
        id=id,
        problem_id=problem or id,
        subset=name,
        generator="",
        problem="q",
        steps=tuple("s" * steps),
        label=min(wrong, default=-1),
    )
    return PrmItem(solution=solution, error_steps_S=frozenset(wrong))


def straight(
    items: Sequence[PrmItem], scores: dict[str, list[float | None]], threshold: float
) -> dict[str, float]:
    """The official definition, one step at a time, in fractions."""
    names = [one.solution.subset for one in items]
    cells = {name: {"TP": 0, "FP": 0, "TN": 0, "FN": 0} for name in [*names, "all"]}
    first: dict[str, list[int]] = {name: [] for name in [*names, "all"]}
    for one in items:
        if one.solution.id not in scores:
            continue
        for step, value in enumerate(scores[one.solution.id]):
            if value is None:
                continue
            right = value >= threshold
            if step in one.error_steps_S:
                kind = "FP" if right else "TN"
            else:
                kind = "TP" if right else "FN"
            for name in (one.solution.subset, "all"):
                cells[name][kind] += 1
                if one.error_steps_S and step == min(one.error_steps_S):
                    first[name].append(0 if right else 1)
    found: dict[str, float] = {}
    for name, of in cells.items():
        f1 = _official_f1(of["TP"], of["FP"], of["FN"])
        negative = _official_f1(of["TN"], of["FN"], of["FP"])
        alone = name == POSITIVE_ONLY
        found[name] = 100 * (f1 if alone else 0.5 * f1 + 0.5 * negative)
        found[f"{name} first"] = 100 * (sum(first[name]) / len(first[name]) if first[name] else -1)
    return found


def _official_f1(hits: int, false_alarms: int, misses: int) -> float:
    precision = hits / (hits + false_alarms) if hits + false_alarms != 0 else -1
    recall = hits / (hits + misses) if hits + misses != 0 else -1
    both = precision + recall
    return 2 * precision * recall / both if both != 0 else -1


@st.composite
def benchmarks(draw: st.DrawFn) -> tuple[list[PrmItem], dict[str, list[float | None]]]:
    items: list[PrmItem] = []
    scores: dict[str, list[float | None]] = {}
    for number in range(draw(st.integers(1, 12))):
        name = draw(st.sampled_from(CLASSES))
        steps = draw(st.integers(1, 4))
        few = st.sets(st.integers(0, steps - 1))
        wrong = set() if name == POSITIVE_ONLY else draw(few)
        items.append(item(f"{name}_{number}", name, steps=steps, wrong=sorted(wrong)))
        if draw(st.booleans()) or number == 0:
            value = st.one_of(st.none(), st.integers(0, 10).map(lambda one: one / 10))
            scores[f"{name}_{number}"] = draw(st.lists(value, max_size=steps))
    return items, scores


@given(data=benchmarks(), threshold=st.sampled_from([0.0, 0.3, 0.5, 0.61, 1.0]))
def test_every_number_is_the_one_of_the_definition(
    data: tuple[list[PrmItem], dict[str, list[float | None]]], threshold: float
) -> None:
    items, scores = data
    expected = straight(items, scores, threshold)
    result = evaluate(gather(items, scores), threshold=threshold)
    present = {one.solution.subset for one in items if one.solution.id in scores}
    assert set(result.classes) == present
    for name in present:
        assert result.classes[name].score == pytest.approx(expected[name])
        assert result.classes[name].first_error_acc == pytest.approx(expected[f"{name} first"])
    assert result.overall.score == pytest.approx(expected["all"])
    assert result.overall.first_error_acc == pytest.approx(expected["all first"])
    for group, members in GROUPS.items():
        if set(members) <= present:
            mean = sum(expected[name] for name in members) / len(members)
            assert result.groups[group] == pytest.approx(mean)
        else:
            assert math.isnan(result.groups[group])


def test_a_score_on_the_threshold_is_right() -> None:
    items = [item("circular_1", "circular", steps=2, wrong=[1])]
    cells = evaluate(gather(items, {"circular_1": [0.5, 0.5]})).overall.confusion
    assert (cells.tp, cells.fp, cells.tn, cells.fn) == (1, 1, 0, 0)


def test_overall_pools_steps_and_is_no_mean_of_classes() -> None:
    items = [
        item("circular_1", "circular", steps=4, wrong=[0]),
        item("deception_1", "deception", steps=2, wrong=[1]),
    ]
    scores = {"circular_1": [0.0, 1.0, 1.0, 1.0], "deception_1": [0.0, 1.0]}
    result = evaluate(gather(items, scores))
    assert result.classes["circular"].score == 100
    assert result.classes["deception"].score == 0.0 + 0.5 * -100 + 0.5 * -100
    # tp 3, fp 1, tn 1, fn 1
    assert result.overall.score == pytest.approx(50 * 0.75 + 50 * 0.5)


def test_what_is_not_defined_counts_minus_one_and_is_told() -> None:
    items = [item("circular_1", "circular", steps=2)]
    result = evaluate(gather(items, {"circular_1": [0.9, 0.9]}))
    assert result.classes["circular"].f1 == 100
    assert result.classes["circular"].negative_f1 == -100
    assert result.classes["circular"].score == 0
    assert result.undefined == ("circular", "overall")


def test_multi_solutions_is_scored_by_f1_alone() -> None:
    items = [item("multi_solutions_1", POSITIVE_ONLY, steps=4)]
    result = evaluate(gather(items, {"multi_solutions_1": [0.9, 0.9, 0.9, 0.1]}))
    assert result.classes[POSITIVE_ONLY].score == pytest.approx(200 * 0.75 / 1.75)
    assert POSITIVE_ONLY not in result.undefined


def test_a_first_wrong_step_that_was_not_scored_tells_nothing() -> None:
    items = [item("circular_1", "circular", steps=3, wrong=[0, 2])]
    result = evaluate(gather(items, {"circular_1": [None, 0.9, 0.1]}))
    assert result.classes["circular"].first_error_acc == -100
    assert result.classes["circular"].confusion.tn == 1


def many(seed: int = 0) -> tuple[list[PrmItem], dict[str, list[float | None]]]:
    rng = random.Random(seed)
    items = [
        item(
            f"{name}_{number}",
            name,
            steps=6,
            wrong=[] if name == POSITIVE_ONLY else [rng.randrange(6)],
            problem=f"p{number}",
        )
        for number in range(20)
        for name in CLASSES
    ]
    return items, {one.solution.id: [rng.random() for _ in range(6)] for one in items}


def test_a_sweep_gives_what_each_threshold_gives() -> None:
    steps = gather(*many())
    for threshold, result in sweep(steps, [0.2, 0.5, 0.8]).items():
        assert result == evaluate(steps, threshold=threshold)


def test_intervals_hold_the_number_itself_for_every_name() -> None:
    steps = gather(*many())
    found = score_intervals(steps, threshold=0.4, num_resamples=200)
    scores = evaluate(steps, threshold=0.4).scores
    assert tuple(found) == NAMES
    for name in NAMES:
        assert found[name].estimate == pytest.approx(scores[name])
        assert found[name].low < scores[name] < found[name].high


def test_variants_of_one_problem_are_resampled_together() -> None:
    items, scores = many()
    steps = gather(items, scores)
    assert bench.sums_by_problem(steps).shape == (20, 4 * len(CLASSES))
    assert bench.sums_by_problem(steps).sum() == sum(map(len, scores.values()))


@pytest.mark.parametrize(
    ("tp", "fp", "tn", "fn", "overall"),
    [(55_877, 5_224, 7_925, 14_345, 64.92), (59_850, 6_236, 6_913, 10_372, 66.62)],
)
def test_the_published_counts_give_the_published_number(
    tp: int, fp: int, tn: int, fn: int, overall: float
) -> None:
    """Of R-PRM-7B-SFT's recorded outputs, at thresholds 0.61 and 0.5."""
    items = [
        item("circular_0", "circular", steps=tp + fn),
        item("circular_1", "circular", steps=fp + tn, wrong=range(fp + tn)),
    ]
    scores = {"circular_0": [1.0] * tp + [0.0] * fn, "circular_1": [1.0] * fp + [0.0] * tn}
    assert evaluate(gather(items, scores)).overall.score == pytest.approx(overall, abs=0.005)
