"""Is a file of rows read whatever wrote it, and is what is wrong with it told?"""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rprm.errors import BadInput
from rprm.recorded.reading import read_rows


def found(folder: Path, data: bytes) -> list[object]:
    file = folder / "rows.jsonl"
    file.write_bytes(data)
    return [row.values for row in read_rows(file).rows]


@pytest.mark.parametrize(
    "data",
    [
        b'{"id": "a"}\n{"id": "b"}\n',
        b'\xef\xbb\xbf{"id": "a"}\r\n\r\n{"id": "b"}\r\n',
        b'[{"id": "a"}, {"id": "b"}]',
        b'\n [\n{"id": "a"},\n{"id": "b"}\n]\n',
        gzip.compress(b'{"id": "a"}\n{"id": "b"}'),
    ],
)
def test_lines_lists_and_gzip_are_read_alike(tmp_path: Path, data: bytes) -> None:
    assert found(tmp_path, data) == [{"id": "a"}, {"id": "b"}]


def test_an_object_over_several_lines_is_one_row(tmp_path: Path) -> None:
    assert found(tmp_path, b'{\n  "id": "a"\n}\n') == [{"id": "a"}]


def test_a_line_separator_inside_a_text_ends_no_line(tmp_path: Path) -> None:
    data = '{"id": "a\u2028b"}\n{"id": "c"}'
    assert found(tmp_path, data.encode()) == [{"id": "a\u2028b"}, {"id": "c"}]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "is empty"),
        (b" \n\t\n", "is empty"),
        (b"[]", "empty list"),
        (b'{"id": "a"}\n{bad\n', "line 2: is not JSON (column 2"),
        (b'{"id": "a"}\n[1]\n', "row 1 (line 2): is a list [1], not an object"),
        (b'[{"id": "a"}, 7]', "row 1: is the number 7, not an object"),
        (b'{"id": "a"}\n{"id": "\xff"}', "line 2: is not UTF-8"),
        (b'{"id": ' + b"9" * 5000 + b"}", "line 1: holds a number or a nesting"),
        (b"[" * 3000, "the JSON list: holds a number or a nesting"),
        (b"\x1f\x8b\x08broken", "broken gzip"),
        (gzip.compress(b'{"id": "a"}')[:-6], "broken gzip"),
    ],
)
def test_a_broken_file_is_told_with_its_line(tmp_path: Path, data: bytes, told: str) -> None:
    with pytest.raises(BadInput) as raised:
        found(tmp_path, data)
    assert told in str(raised.value)
    assert "Fix:" in str(raised.value)


def test_a_folder_and_a_mistyped_name_are_told(tmp_path: Path) -> None:
    (tmp_path / "scores.jsonl").write_text("{}")
    with pytest.raises(BadInput, match="one of the files inside"):
        read_rows(tmp_path)
    with pytest.raises(BadInput, match=r"did you mean .*scores\.jsonl"):
        read_rows(tmp_path / "score.jsonl")


def test_many_problems_are_counted_and_the_first_ones_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="30 problem") as raised:
        found(tmp_path, b"{bad\n" * 30)
    assert "line 20:" in str(raised.value)
    assert "line 21:" not in str(raised.value)
    assert "and 10 more" in str(raised.value)


@settings(max_examples=100)
@given(data=st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_whatever_the_bytes_are_they_are_rows_or_bad_input(
    data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    try:
        values = found(tmp_path_factory.getbasetemp(), data)
    except BadInput:
        return
    assert all(isinstance(one, dict) for one in values)
