"""Are the published numbers consistent, and is what is not declared as a misprint?"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm.benchmarks.processbench import f1
from rprm.errors import BadInput
from rprm.published.checking import (
    check_row,
    disagreements,
    means_of,
    recompute,
    recomputed_difference,
)
from rprm.published.reading import Difference, Row, Table, load_published, parse_published

PUBLISHED = load_published()
ROWS = [(table, row) for table in PUBLISHED.tables for row in table.rows]
NAMES = [f"{table.name}: {row.label}" for table, row in ROWS]

SMALL = """
sources: {paper: A paper}
tables:
  - name: small
    benchmark: processbench
    title: Small
    source: paper
    place: Table 1
    columns: [[math/acc_error, math/acc_correct, math/f1], [average/f1]]
    sizes: {math: {error: 594, correct: 406}}
    rows:
      - {system: one, values: [50.0, 60.1, 54.6, 54.6]}
      - system: two
        cells: {average/f1: 40.0}
"""


@pytest.mark.parametrize(("table", "row"), ROWS, ids=NAMES)
def test_a_cell_that_the_others_contradict_is_declared_a_misprint(table: Table, row: Row) -> None:
    assert set(disagreements(table, row)) == set(row.misprint)


@pytest.mark.parametrize(("table", "row"), ROWS, ids=NAMES)
def test_a_misprint_elsewhere_contradicts_the_cells_too(table: Table, row: Row) -> None:
    for other in row.elsewhere:
        right = recompute(table, row, other.cell)
        if other.misprint:
            assert right is not None
            assert abs(other.value - right) > 0.2
        else:
            assert other.value != row.cells[other.cell]


@pytest.mark.parametrize("one", PUBLISHED.differences, ids=lambda one: str(one.value))
def test_a_printed_difference_follows_from_the_table_or_is_a_misprint(one: Difference) -> None:
    off = abs(one.value - recomputed_difference(PUBLISHED, one))
    assert (off > 0.11) == bool(one.misprint)


def test_every_f1_and_every_average_of_the_main_tables_is_checked() -> None:
    for name in ("processbench", "prmbench", "guided-search", "best-of-n", "policy"):
        table = PUBLISHED.table(name)
        for row in table.rows:
            if row.values is None:
                continue
            checked = {one.cell for one in check_row(table, row)}
            wanted = {cell for cell in table.cells if cell.endswith("f1")} | set(means_of(table))
            assert wanted <= checked, row.system


@pytest.mark.parametrize(
    ("table", "system", "cell", "printed", "recomputed"),
    [
        ("processbench", "RLHFlow-DeepSeek-8B", "omnimath/f1", 16.9, 18.0),
        ("processbench", "Skywork-PRM-7B", "math/f1", 53.6, 51.4),
        ("best-of-n", "Qwen2.5-Math-7B-PRM800K", "average", 47.7, 47.0),
    ],
)
def test_known_misprints_are_kept_as_printed_and_recomputed(
    table: str, system: str, cell: str, printed: float, recomputed: float
) -> None:
    found = PUBLISHED.table(table)
    row = found.row(system)
    assert row is not None
    assert row.cells[cell] == printed
    assert recompute(found, row, cell) == pytest.approx(recomputed, abs=0.05)


def test_the_misprinted_average_and_gain_of_version_1_are_kept() -> None:
    row = PUBLISHED.table("processbench").row("Qwen2.5-Math-7B-PRM800K")
    assert row is not None
    [other] = row.elsewhere
    assert (other.value, row.cells["average/f1"], bool(other.misprint)) == (58.5, 56.5, True)
    assert {(one.value, bool(one.misprint)) for one in PUBLISHED.differences} >= {
        (13.9, False),
        (11.9, True),
    }


def test_the_seeds_rows_are_complete() -> None:
    for name, number in (("processbench", 13), ("prmbench", 13), ("best-of-n", 7)):
        table = PUBLISHED.table(name)
        row = table.row("R-PRM-7B-DPO")
        assert row is not None
        assert len(row.cells) == number == len(table.cells)


def test_every_row_says_where_it_stands() -> None:
    for table, row in ROWS:
        assert re.search(r"\d|repository|page", PUBLISHED.source_of(table, row))


def test_a_skywork_score_on_prmbench_carries_its_caveat() -> None:
    table = PUBLISHED.table("prmbench")
    skywork, o1 = table.row("Skywork-PRM-7B"), table.row("o1-mini")
    assert skywork is not None
    assert o1 is not None
    assert "artefact" in skywork.caveat
    assert o1.rows == 394


@given(error=st.integers(0, 594), correct=st.integers(0, 406))
def test_rounding_never_makes_a_misprint(error: int, correct: int) -> None:
    a, b = 100 * error / 594, 100 * correct / 406
    value = round(f1(a, b), 1)
    text = SMALL.replace("[50.0, 60.1, 54.6, 54.6]", str([round(a, 1), round(b, 1), value, value]))
    table = parse_published(text, source="small").tables[0]
    assert not disagreements(table, table.rows[0])


def test_a_wrong_f1_is_found() -> None:
    table = parse_published(SMALL.replace("54.6, 54.6", "55.6, 55.6"), source="small").tables[0]
    found = disagreements(table, table.rows[0])
    assert set(found) == {"math/f1"}
    assert found["math/f1"].recomputed == pytest.approx(54.59, abs=0.01)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        # a list of the wrong length
        ("54.6, 54.6]", "54.6]", r"line 12, tables\[0\].rows\[0\].values: has 3 numbers for 4"),
        # a key that does not exist
        ("title: Small", "titel: Small", r"line 6, tables\[0\].titel: Extra inputs"),
        # a cell that is no column
        ("average/f1: 40.0", "avg: 40.0", r"line 14, tables\[0\].rows\[1\].cells: 'avg' is not"),
        # a source that is not listed
        ("source: paper", "source: papier", r"line 7, tables\[0\].source: 'papier' is not among"),
        # no percentage
        ("50.0, 60.1", "50.0, 601", r"line 12, tables\[0\].rows\[0\]: 601.0 is no percentage"),
        # not a number
        ("40.0", "high", r"line 14, tables\[0\].rows\[1\].cells.average/f1: Input should be"),
        # the same system twice
        ("system: two", "system: one", r"line 13, tables\[0\].rows\[1\].system: 'one' has two"),
        # a point outside a curve
        ("system: two", "system: two\n        at: 4", r"line 14, .*rows\[1\].at: stands in"),
        # not YAML at all
        ("rows:", "rows: [", "is not YAML"),
    ],
)
def test_problems_are_told_with_line_and_key(old: str, new: str, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        parse_published(SMALL.replace(old, new, 1), source="small")


def test_all_problems_are_told_at_once() -> None:
    text = SMALL.replace("source: paper", "source: x").replace("average/f1: 40.0", "avg: 40.0")
    with pytest.raises(BadInput) as caught:
        parse_published(text, source="small.yaml")
    assert "small.yaml: 2 problem(s)" in str(caught.value)


def test_a_table_that_does_not_exist_is_told_with_those_that_do() -> None:
    with pytest.raises(BadInput, match="processbench, prmbench"):
        PUBLISHED.table("prmbenhc")
