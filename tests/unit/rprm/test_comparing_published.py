"""Are published numbers shown with all that a reader must know of them?"""

from __future__ import annotations

import pytest

from rprm.comparing.building import views_of
from rprm.comparing.drafting import matches
from rprm.comparing.view import column_title
from rprm.errors import BadInput
from tests.unit.rprm.compared_runs import line, notes, table


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
