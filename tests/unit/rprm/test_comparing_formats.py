"""Can every format of a comparison be read: page, Markdown, terminal, JSON, recorded results?"""

from __future__ import annotations

import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from rprm.comparing import markdown, page, terminal
from rprm.comparing.as_json import as_dict
from rprm.comparing.building import views_of
from rprm.comparing.measured import measured_by
from rprm.comparing.recorded import read_result
from rprm.comparing.view import View
from rprm.errors import BadInput
from tests.unit.rprm.compared_runs import judge, line, outcome_rows, table

VOID = {"meta", "br"}

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


def test_the_thresholds_of_a_recorded_result_are_no_cell_of_its_table(tmp_path: Path) -> None:
    file = tmp_path / "scores.json"
    file.write_text(json.dumps({"overall": 61.5, "counts": {}, "sweep": {"0.5": {}}}))
    assert list(read_result(file, name="mine")[0].points) == ["overall"]


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
    found = json.loads(json.dumps(as_dict(view), allow_nan=False))
    assert found["baseline"] == "sft"
    assert len(found["rows"]) == len(view.lines)
    seed = next(row for row in found["rows"] if row["system"] == "R-PRM-7B-DPO")
    assert seed["cells"]["average/f1"] == {"value": 70.4, "low": None, "high": None, "notes": []}
    assert {str(mark) for row in found["rows"] for mark in row["notes"]} <= set(found["notes"])


@pytest.mark.parametrize("width", ["20", "80", "300"])
def test_a_narrow_terminal_cuts_nothing_off(width: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", width)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    text = terminal.text([table([], accuracies=True, baseline="GPT-4o")], to_file=False)
    assert "…" not in text
    [seed] = [one for one in text.splitlines() if "R-PRM-7B-SFT" in one]
    assert re.findall(r"\d+\.\d", seed)[-2:] == ["65.2", "3.3"]


def test_the_terminal_shows_intervals_differences_and_notes() -> None:
    text = terminal.text(views()[:1], to_file=True)
    assert "\x1b" not in text
    assert re.search(r"sft \[\d", text)
    assert re.search(r"\d\d\.\d to \d\d\.\d", text)
    assert "differences to sft" in text
    assert "[1] " in text
