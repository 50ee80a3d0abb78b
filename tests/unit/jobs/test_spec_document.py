"""Does the YAML reader say what stands where, and refuse what it must, without ever raising?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.spec import document
from jobs.spec.document import read_document


def read(text: str) -> object:
    found = read_document(text, source="x.yaml")
    assert not found.problems, found.problems
    return found.value


def messages(text: str) -> list[str]:
    return [str(problem) for problem in read_document(text, source="x.yaml").problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5),  # YAML 1.1 libraries make this text, and a learning rate becomes a bug
        ("1e5", 1e5),
        (".5", 0.5),
        ("-3", -3),
        ("+3", 3),
        ("0", 0),
        ("0x1F", 31),
        ("0o17", 15),
        ("true", True),
        ("null", None),
        ("~", None),
        ("2024-01-01", "2024-01-01"),  # a date is text, as it is to kubectl
        ("1.2.3", "1.2.3"),
        ("'12'", "12"),  # quoted is text
        ("!!str 12", "12"),
        ("${seed}", "${seed}"),
        ("=", "="),
    ],
)
def test_plain_words_mean_what_yaml_1_2_says(text: str, value: object) -> None:
    found = read(f"a: {text}")
    assert found == {"a": value}
    assert isinstance(found, dict)
    assert type(found["a"]) is type(value)


@pytest.mark.parametrize("word", ["yes", "No", "on", "OFF", "y", "010", "12:30", "1_000", "0_1"])
def test_words_on_which_yaml_versions_disagree_are_problems(word: str) -> None:
    assert "put it in quotes" in messages(f"a: {word}")[0]
    assert read(f"a: '{word}'") == {"a": word}


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ("a: [", 1, "not valid YAML"),
        ("a: 1\n  b: 2", 2, "not valid YAML"),
        ("a: \x00", 1, "not valid YAML"),
        ("a: \ud800", 1, "not valid Unicode"),
        ("", 1, "empty"),
        ("# only a comment\n", 1, "empty"),
        ("a: 1\n---\nb: 2", 2, "second document"),
        ("a: 1\nb: 2\na: 3", 3, "duplicate key"),
        ("a: !!python/object/apply:os.system [ls]", 1, "not supported"),
        ("? [1, 2]\n: 3", 1, "must be a word"),
        ("a: 1\n2: 3", 2, "key 2 is not text"),
        ("a: &x {b: *x}", 1, "contains itself"),
        ("a: *x", 1, "not valid YAML|no anchor"),
        ("a: &x {b: 1}\nc: {<<: *x}", 2, "merge keys"),
        ("a: .inf", 1, "not a finite number"),
        ("a: 1e999", 1, "not a finite number"),
        ("a: 99999999999999999999", 1, "more than 64 bits"),
        ("a: " + "9" * 5000, 1, None),  # too long for a number: it is text
        ("[" * 5000, 1, "nested deeper"),
        ("a:\n" + "- 1\n" * 100_001, 1, "more than 100000 values"),
        ("a: " + "x" * 1_000_001, 1, "more than 1000000"),
    ],
    ids=lambda value: str(value)[:20].replace("\x00", "NUL").encode("ascii", "replace").decode(),
)
def test_what_cannot_be_read_is_one_clear_problem(text: str, line: int, part: str | None) -> None:
    problems = read_document(text, source="x.yaml").problems
    if part is None:
        assert problems == []
        return
    assert any(option in problems[0].message for option in part.split("|"))
    if "values" not in part:
        assert problems[0].line == line


def test_an_alias_bomb_costs_nothing() -> None:
    rows = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    assert "aliases included" in messages("\n".join(rows))[0]


def test_an_alias_stands_for_its_anchor() -> None:
    assert read("a: &x [1, 2]\nb: *x") == {"a": [1, 2], "b": [1, 2]}


def test_lines_are_those_of_the_keys() -> None:
    found = read_document("a:\n  b: 1\n  c:\n    - 2\n    - d: 3\n", source="x")
    assert found.line_of(("a", "c")) == 3
    assert found.line_of(("a", "c", 1, "d")) == 5
    assert found.line_of(("a", "c", 1, "missing", "deeper")) == 5  # the nearest thing around it


def test_all_problems_of_a_text_are_found_at_once() -> None:
    assert len(messages("a: yes\nb: .nan\na: 1\n3: 4\n")) == 4


def test_a_byte_order_mark_is_no_problem() -> None:
    assert read("\ufeffa: 1") == {"a": 1}


def test_the_reader_in_plain_python_agrees_with_the_fast_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = "a: &x [1e-5, 'b', !!str 3]\nc: {d: *x, e: null}\nf: |\n  two\n  lines\n"
    fast = read_document(text, source="x")
    monkeypatch.setattr(document, "_LOADER", document.yaml.SafeLoader)
    slow = read_document(text, source="x")
    assert (fast.value, fast.lines) == (slow.value, slow.lines)


@given(st.text(alphabet=st.characters(codec=None), max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    found = read_document(text, source="x")
    assert all(problem.line >= 1 for problem in found.problems)


@given(st.text(alphabet="ab: -[]{}&*!|>'\"#?,\n\t<=~%@`01.", max_size=80))
def test_any_yaml_like_text_is_read_or_refused(text: str) -> None:
    read_document(text, source="x")
