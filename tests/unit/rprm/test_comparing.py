"""Does a comparison say the right thing of every number, ours and published?"""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from rprm.benchmarks.processbench import Outcome, evaluate
from rprm.benchmarks.resampling import interval, paired
from rprm.benchmarks.statistics import sums_by_subset, values_of
from rprm.comparing import markdown, page, terminal
from rprm.comparing.building import Wanted, build, views_of
from rprm.comparing.drafting import matches
from rprm.comparing.measured import PRM_CELLS, Artifact, Measured, measured_by
from rprm.comparing.recorded import read_result
from rprm.comparing.view import Line, View, column_title
from rprm.data.prmbench import CLASSES
from rprm.errors import BadInput
from rprm.published.reading import load_published

PUBLISHED = load_published()
SIZES = {
    "gsm8k": (207, 193),
    "math": (594, 406),
    "olympiadbench": (661, 339),
    "omnimath": (759, 241),
}
VOID = {"meta", "br", "line", "circle"}


def outcome_rows(
    rate: float, *, seed: int = 0, sizes: Mapping[str, tuple[int, int]] = SIZES, k: int = 1
) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    return [
        {
            "solution_id": f"{subset}-{index}",
            "problem_id": f"{subset}-{index // 2}",
            "subset": subset,
            "erroneous": index < error,
            "k": k,
            "match": float(draw.random() < rate),
        }
        for subset, (error, correct) in sizes.items()
        for index in range(error + correct)
    ]


def outcomes_of(rows: Sequence[Mapping[str, Any]]) -> list[Outcome]:
    return [Outcome(**{key: value for key, value in row.items() if key != "k"}) for row in rows]


def judge(
    system: str, outcomes: Sequence[Mapping[str, Any]], *, digest: str = "same", **point: Any
) -> Artifact:
    return Artifact(
        address=f"bench-{system}-{'-'.join(map(str, point.values()))}",
        stage=f"bench-{system}",
        coordinates=point,
        facts={"system": system, "curve": [{"k": 1}]},
        rows=outcomes,
        digest=digest,
    )


def solver(system: str, methods: Mapping[str, float], *, problems: int = 30) -> Artifact:
    rows = [
        {
            "problem_id": str(index),
            "subset": "aime24",
            "method": method,
            "correct": float(index < share * problems),
        }
        for method, share in methods.items()
        for index in range(problems)
    ]
    facts = {"system": system, "methods": dict.fromkeys(methods), "n": 8, "aggregator": "min"}
    return Artifact(address=f"bon-{system}", stage="bon", coordinates={}, facts=facts, rows=rows)


def table(measured: Sequence[Measured], name: str = "processbench", **wanted: Any) -> View:
    return build(name, PUBLISHED, measured, Wanted(resamples=300, **wanted))


def line(view: View, label: str) -> Line:
    [found] = [one for one in view.lines if one.label == label]
    return found


def notes(view: View, marks: Sequence[int]) -> str:
    return "\n".join(view.notes[mark - 1] for mark in marks)


# --- published lines ------------------------------------------------------------------------------


def test_without_a_run_the_published_table_is_shown_with_its_sources() -> None:
    view = table([])
    assert views_of([]) == ["processbench"]
    seed = line(view, "R-PRM-7B-DPO")
    assert seed.at("average/f1") == 70.4
    assert "Table 1" in notes(view, seed.marks)
    assert [column_title(cell) for cell in view.columns][-1] == "Average F1"
    values = [one.at(view.headline) for one in view.lines]
    assert values == sorted(values, reverse=True)


def test_a_misprint_is_shown_as_printed_with_the_recomputed_value() -> None:
    view = table([])
    cell = line(view, "Skywork-PRM-7B").cells["math/f1"]
    assert cell.value.estimate == 53.6
    assert "a misprint: printed 53.6, recomputed 51.4" in notes(view, cell.marks)
    average = line(view, "Qwen2.5-Math-7B-PRM800K").cells["average/f1"]
    assert "prints 58.5, a misprint (recomputed 56.5)" in notes(view, average.marks)
    assert any("+11.9" in remark and "+13.9" in remark for remark in view.remarks)


def test_sizes_and_artefacts_are_told_in_notes() -> None:
    view = table([], "prmbench")
    assert "on 394 rows only" in notes(view, line(view, "o1-mini").marks)
    skywork = line(view, "Skywork-PRM-7B")
    assert not skywork.comparable
    assert "artefact" in notes(view, skywork.marks)


def test_every_note_is_referred_to() -> None:
    for name in ("processbench", "prmbench", "best-of-n", "guided-search"):
        view = table([], name)
        used = {mark for one in view.lines for mark in one.marks}
        used |= {m for one in view.lines for cell in one.cells.values() for m in cell.marks}
        assert used == set(range(1, len(view.notes) + 1))


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("r-prm", "R-PRM-7B-DPO", True),  # any case
        ("PRM-7B", "PathFinder-PRM-7B", True),  # a word inside
        ("R-PRM", "PathFinder-PRM-7B", False),  # not inside a word
        ("Qwen*", "Qwen2.5-Math-PRM-7B", True),  # a glob
        ("PRM*", "Qwen2.5-Math-PRM-7B", False),  # of the whole name
        ("2.5", "Qwen2x5", False),  # a dot is a dot
    ],
)
def test_systems_are_named_by_words_or_globs(pattern: str, name: str, expected: bool) -> None:
    assert matches(name, pattern) == expected


def test_systems_choose_lines_and_unknown_ones_are_told() -> None:
    assert {one.label for one in table([], systems=["GPT-4o", "R-PRM-7B-SFT"]).lines} == {
        "GPT-4o",
        "R-PRM-7B-SFT",
    }
    with pytest.raises(BadInput, match=r"called 'Skyworks'.*did you mean 'Skywork-PRM-7B'"):
        table([], systems=["Skyworks"])
    with pytest.raises(BadInput, match="nothing to show"):
        table([], systems=["none"])


def test_the_policy_alone_stays_beside_the_chosen_judges() -> None:
    view = table([], "best-of-n", systems=["R-PRM"])
    assert [one.label for one in view.lines] == ["pass@8", "maj@8", "pass@1", "R-PRM-7B-DPO"]
    assert view.groups == ["The policy alone", ""]


# --- our lines ------------------------------------------------------------------------------------


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
    assert ours.gain.estimate == pytest.approx(value.estimate - 70.4)
    assert ours.gain.low == pytest.approx(value.low - 70.4)
    assert ours.p_value is None
    assert "that of ours alone" in notes(view, ours.marks)
    theirs = line(view, "GPT-4o").gain
    assert theirs is not None
    assert theirs.estimate == pytest.approx(61.9 - 70.4)
    assert math.isnan(theirs.low)


def test_a_published_number_minus_ours_turns_the_interval_round() -> None:
    view = table(measured_by([judge("ours", outcome_rows(0.7))]), baseline="ours")
    value, gain = line(view, "ours").cells["average/f1"].value, line(view, "GPT-4o").gain
    assert gain is not None
    assert (gain.low, gain.high) == pytest.approx((61.9 - value.high, 61.9 - value.low))


def test_two_of_our_runs_on_the_same_data_are_paired() -> None:
    rows = outcome_rows(0.6)
    better = [{**row, "match": max(row["match"], float(i % 9 == 0))} for i, row in enumerate(rows)]
    ours = measured_by([judge("sft", rows), judge("dpo", better)])
    view = table(ours, systems=["none"], baseline="sft")
    dpo = line(view, "dpo")
    assert dpo.gain is not None
    assert dpo.gain.low > 0
    assert dpo.p_value is not None
    assert dpo.p_value < 0.01
    both = [
        [Outcome(**{k: v for k, v in row.items() if k != "k"}) for row in of]
        for of in (better, rows)
    ]
    strata = sums_by_subset(both)
    expected = paired(strata[0], strata[1], lambda sums: values_of(sums, metric="f1"))
    assert dpo.gain.estimate == pytest.approx(expected.difference.estimate)
    assert dpo.gain.low == pytest.approx(expected.difference.low, abs=0.3)
    apart = line(view, "sft").cells["average/f1"].value
    assert dpo.gain.high - dpo.gain.low < apart.high - apart.low


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
    assert many.gain.high < 0
    assert many.p_value is None
    one = line(table(measured_by(runs[:1])), "sft rows=4000").cells["average/f1"].value
    wide = many.cells["average/f1"].value
    assert wide.high - wide.low > one.high - one.low


def test_the_largest_k_is_shown_unless_another_is_asked_for() -> None:
    rows = [*outcome_rows(0.5), *outcome_rows(0.8, k=10)]
    by_default, small = measured_by([judge("x", rows)]), measured_by([judge("x", rows)], k=1)
    assert by_default[0].notes == ("K = 10 critiques per step",)
    assert line(table(by_default), "x").at("average/f1") > line(table(small), "x").at("average/f1")
    assert not measured_by([judge("x", rows)], k=3)


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


# --- other benchmarks -----------------------------------------------------------------------------


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
    assert majority.gain.estimate == pytest.approx(-10)
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


# --- recorded results -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "view_name", "cell", "expected"),
    [
        # ProcessBench: subsets and their average
        ({"math": {"acc_error": 50, "acc_correct": 60, "f1": 54.5}, "average": 54.5},
         "processbench", "average/f1", 54.5),
        # PRMBench: classes, groups, overall
        ({"confidence": 60.0, "soundness": None, "overall": 61.5, "counts": {"tp": 1}},
         "prmbench", "overall", 61.5),
        # Best-of-N of one set
        ({"pass_at_1": 91.0, "pass_at_n": 96.0, "majority": 93.0, "best_of_n": 94.0},
         "best-of-n", "average", 94.0),
        # Best-of-N of several sets
        ({"best_of_n": 90.0, "subsets": {"math500": {"best_of_n": 80.0}}},
         "best-of-n", "math500", 80.0),
    ],
)  # fmt: skip
def test_recorded_results_are_lines_without_an_interval(
    result: dict[str, Any], view_name: str, cell: str, expected: float, tmp_path: Path
) -> None:
    file = tmp_path / "scores.json"
    file.write_text(json.dumps(result))
    found = read_result(file, name="mine")
    assert views_of(found) == [view_name]
    ours = line(table(found, view_name), "mine")
    assert ours.at(cell) == expected
    assert math.isnan(ours.cells[cell].value.low)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is not JSON"),
        ("[]", "holds no JSON object"),
        ('{"f1": 3}', "none of the keys average, overall and best_of_n"),
        ('{"average": "high"}', "average: 'high' is no number"),
    ],
)
def test_a_file_that_is_no_result_is_told(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "scores.json"
    file.write_text(text)
    with pytest.raises(BadInput, match=told):
        read_result(file, name="mine")


# --- what it looks like ---------------------------------------------------------------------------


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.ids += [given["id"]] if given.get("id") else []  # type: ignore[list-item]
        self.links += [given["href"]] if given.get("href") else []  # type: ignore[list-item]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def views() -> list[View]:
    hostile = judge('<script>"x"</script>', outcome_rows(0.7))
    ours = measured_by([hostile, judge("sft", outcome_rows(0.6, seed=3))])
    return [table(ours, baseline="sft"), table([], "best-of-n")]


def test_the_page_is_whole_self_contained_and_linked() -> None:
    text = page.render(views())
    parsed = _Page()
    parsed.feed(text)
    assert parsed.open == []
    assert len(parsed.ids) == len(set(parsed.ids))
    assert {link.removeprefix("#") for link in parsed.links} <= set(parsed.ids)
    assert "script" not in parsed.tags
    assert "://" not in re.sub(r"http://www\.w3\.org/\S+", "", text)
    assert text.count('scope="row"') == sum(len(view.lines) for view in views())
    assert text.count('<svg role="img" aria-label=') == 2


def test_the_plot_draws_an_interval_for_ours_only() -> None:
    text = page.render(views()[:1])
    assert len(re.findall(r'<line class="ours"', text)) == 2
    assert '<line class="theirs"' not in text
    assert text.count("<circle") == len(views()[0].lines)


def test_markdown_has_footnotes_and_as_many_cells_as_columns() -> None:
    view = views()[0]
    text = markdown.render(view)
    rows = [one for one in text.splitlines() if one.startswith("| ")]
    assert len({row.count(" | ") for row in rows}) == 1
    assert set(re.findall(r"(?<!^)\[\^(\d+)\](?!:)", text)) <= {
        str(number) for number in range(1, len(view.notes) + 1)
    }
    assert "p = 0." in text


def test_json_holds_every_cell_and_no_nan() -> None:
    view = views()[0]
    found = json.loads(json.dumps(markdown.as_dict(view), allow_nan=False))
    assert found["baseline"] == "sft"
    assert len(found["rows"]) == len(view.lines)
    seed = next(row for row in found["rows"] if row["system"] == "R-PRM-7B-DPO")
    assert seed["cells"]["average/f1"] == {"value": 70.4, "low": None, "high": None, "notes": []}
    assert {str(mark) for row in found["rows"] for mark in row["notes"]} <= set(found["notes"])


def test_the_terminal_shows_intervals_differences_and_notes() -> None:
    text = terminal.text(views()[:1], to_file=True)
    assert "\x1b" not in text
    assert re.search(r"sft \[\d", text)
    assert re.search(r"\d\d\.\d to \d\d\.\d", text)
    assert "over sft" in text
    assert "[1] " in text
