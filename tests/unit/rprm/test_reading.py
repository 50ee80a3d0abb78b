"""Does every hand-over of solutions give solutions, or every problem with its place and fix?"""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rprm.errors import BadInput
from rprm.reading import Format, Given, decode, read_solutions


def read(text: str, **options: object) -> list[Given]:
    return read_solutions(text, source="stdin", **options)  # type: ignore[arg-type]


def problems_of(text: str, source: str = "in.jsonl") -> str:
    with pytest.raises(BadInput) as caught:
        read_solutions(text, source=source)
    assert caught.value.exit_code == 64
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "problem", "steps"),
    [
        ("What?\n\na\nb\n", "What?", ("a", "b")),  # one step per line
        ("What?\n\na\nb\n\nc", "What?", ("a\nb", "c")),  # paragraphs may hold several lines
        ("What?\na\nb", "What?", ("a", "b")),  # no blank line at all
        ("Two\nlines\n\na", "Two\nlines", ("a",)),  # the problem may hold several lines
        ("Problem: What?\r\n\r\na\r\nb", "What?", ("a", "b")),  # a label, and Windows newlines
        ("What?\n\nStep 1: a\nStep 2: b", "What?", ("a", "b")),  # the template numbers steps
        ("What?\n\n1. a\n2) b", "What?", ("a", "b")),
        ("What?\n\n#1 a\n#2 b", "What?", ("a", "b")),
        ("What?\n\n2. a\n3. b", "What?", ("2. a", "3. b")),  # does not count from 1
        ("What?\n\n1.5 a\n2 b", "What?", ("1.5 a", "2 b")),  # numbers that count nothing
        ("[x] is\n\na", "[x] is", ("a",)),  # a bracket alone makes no JSON
    ],
)
def test_text_is_a_problem_and_its_steps(text: str, problem: str, steps: tuple[str, ...]) -> None:
    [found] = read(text)
    assert (found.solution.problem, found.solution.steps) == (problem, steps)
    assert found.label is None


def test_with_a_problem_the_text_holds_steps_alone() -> None:
    [found] = read("a\nb", problem="What?")
    assert (found.solution.problem, found.solution.steps) == ("What?", ("a", "b"))


def test_steps_that_look_like_json_stay_text_where_the_problem_is_given() -> None:
    [found] = read('{"a": 1}', problem="What?")
    assert found.solution.steps == ('{"a": 1}',)


ROW = {"problem": "p", "steps": ["a", "b"], "label": 1, "id": "x", "generator": "someone"}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ROW),
        json.dumps(ROW, indent=2),
        json.dumps([ROW]),
        "\n\n" + json.dumps(ROW) + "\n",
        decode(b"\xef\xbb\xbf" + json.dumps(ROW).encode(), source="x"),  # a byte-order mark
    ],
)
def test_one_object_reads_the_same_however_it_is_written(text: str) -> None:
    [found] = read(text)
    assert (found.solution.id, found.solution.steps, found.label) == ("x", ("a", "b"), 1)


def test_lines_without_ids_are_numbered() -> None:
    row = json.dumps({"problem": "p", "steps": ["a"]})
    assert [one.solution.id for one in read(f"{row}\n\n{row}\n")] == ["1", "2"]


def test_a_row_of_a_data_set_is_taken_as_it_is() -> None:
    row = {"id": 7, "generator": "g", "problem": "p", "steps": ["a"], "label": -1, "correct": True}
    [found] = read(json.dumps(row))
    assert (found.solution.id, found.label) == ("7", -1)


def test_a_null_label_is_no_label() -> None:
    assert read('{"problem": "p", "steps": ["a"], "label": null}')[0].label is None


def test_every_problem_is_named_with_its_line_and_key() -> None:
    lines = ['{"problem": "p"}', '{"problem": 3, "steps": ["a", ""]}', '{"problem": "p", "steps"']
    said = problems_of("\n".join(lines[:2]))
    assert "in.jsonl: 3 problem(s)" in said
    assert "line 1, steps: is missing" in said
    assert "line 2, problem: is int 3, not text" in said
    assert "line 2, steps[1]: is blank" in said
    assert "line 3, column 25: not JSON" in problems_of("\n".join(lines))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("{}", "problem: is missing"),
        ('{"problem": "p", "steps": []}', "steps: is empty"),
        ('{"problem": "p", "steps": "a"}', "steps: is str 'a', not a list of texts"),
        ('{"problem": "p", "steps": ["a"], "label": 1}', "label: is 1 but there are 1 steps"),
        ('{"question": "p", "steps": ["a"]}', "Fix: rename 'question' to 'problem'"),
        ('{"problem": "p", "steps": ["a"]', "line 1, column 32: not JSON"),
        ('{\n "problem": "p",\n "steps": [}', "line 3, column 12: not JSON"),  # a torn document
        ("[]", "an empty list"),
        ("[1, 2]", "is int 1, not an object"),
        ('{"problem": "\\ud800", "steps": ["a"]}', "problem: holds half of a character"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_cannot_be_read_says_why(text: str, said: str) -> None:
    assert said in problems_of(text)


def test_items_of_a_list_are_placed_by_their_line() -> None:
    row = {"problem": "p", "steps": ["a"], "id": "x"}
    text = "[\n" + json.dumps(row) + ",\n\n" + json.dumps(row) + "]"
    assert "line 4, id: 'x' is already used on line 2" in problems_of(text, "in.json")


def test_a_text_without_steps_says_how_to_write_them() -> None:
    assert "a problem but no steps" in problems_of("only this", "stdin")


def test_bytes_that_are_no_text_are_placed() -> None:
    with pytest.raises(BadInput, match="line 2: not UTF-8"):
        decode(b"a\n\xff", source="in.txt")


@given(st.text() | st.text(alphabet='{}[]":, \n\\abu019'))
@settings(max_examples=300)
def test_no_text_raises_anything_but_bad_input(text: str) -> None:
    for fmt in Format:
        try:
            found = read(text, fmt=fmt)
        except BadInput:
            continue
        assert all(one.solution.problem.strip() and one.solution.steps for one in found)
