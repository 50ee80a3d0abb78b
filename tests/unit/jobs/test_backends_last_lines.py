"""Are a process's last lines fit to be shown, whatever it wrote?"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.backends.last_lines import (
    LINE_CHARS,
    NUM_LINES,
    TAIL_BYTES,
    fit_to_show,
    last_lines,
    secrets_of,
)


@pytest.mark.parametrize(
    ("raw", "lines"),
    [
        (b"", ()),  # said nothing
        (b"one\n\n  \ntwo\n", ("one", "two")),  # blank lines say nothing
        (b"one\r\ntwo", ("one", "two")),  # ends of lines as elsewhere, and a torn last line
        (b"\x1b[1;31mred\x1b[0m\x07", ("red",)),  # colours and a bell
        (b"\x1b]0;title\x07text\x1b]8;;http://x\x1b\\link", ("textlink",)),  # for a terminal
        (b" 10%|#\r 50%|###\r100%|#####\n", ("100%|#####",)),  # a progress bar
        (b"50%|###\r", ("50%|###",)),  # one that was never finished
        (b"  File x.py\n", ("  File x.py",)),  # a traceback keeps its shape
        (b"\xff\xfeoops", ("\ufffd\ufffdoops",)),  # no UTF-8
        (b"a\tb", ("a\tb",)),  # a tab is no control sequence
    ],
)
def test_what_was_written_is_made_readable(raw: bytes, lines: tuple[str, ...]) -> None:
    assert fit_to_show(raw, ()) == lines


def test_only_the_last_lines_are_told() -> None:
    raw = "\n".join(str(number) for number in range(NUM_LINES + 5)).encode()
    assert fit_to_show(raw, ())[0] == "5"


def test_a_long_line_is_cut() -> None:
    (line,) = fit_to_show(b"x" * 2 * LINE_CHARS, ())
    assert len(line) == LINE_CHARS
    assert line.endswith("x…")


def test_a_line_that_lacks_its_beginning_is_left_out() -> None:
    assert fit_to_show(b"half a line\nwhole", (), is_whole=False) == ("whole",)
    assert fit_to_show(b"endless", (), is_whole=False) == ("endless",)


def test_values_of_variables_with_secret_names_are_secrets() -> None:
    environ = {
        "OPENAI_API_KEY": "sk-123456789",
        "hf_token": "hf-123456789-long",
        "KEY_SHORT": "abc",  # would blacken words
        "HOME": "/home/somebody",
    }
    assert secrets_of(environ) == ["hf-123456789-long", "sk-123456789"]


@pytest.mark.parametrize(
    "raw",
    [
        b"key=open-sesame!",
        b"open-\x1b[0msesame",  # a colour in its midst hides nothing
        b"y" * (LINE_CHARS - 4) + b"open-sesame",  # nor does a cut
    ],
)
def test_no_secret_is_told(raw: bytes) -> None:
    told = "".join(fit_to_show(raw, ["open-sesame"]))
    assert "open" not in told


@given(st.binary(max_size=300), st.booleans())
def test_whatever_was_written_there_are_no_more_lines_and_no_control_characters(
    raw: bytes, is_whole: bool
) -> None:
    lines = fit_to_show(raw, (), is_whole=is_whole)
    assert len(lines) <= NUM_LINES
    assert all(line.replace("\t", "").isprintable() or max(line) >= "\u00a0" for line in lines)
    assert not any(char in line for line in lines for char in "\r\n\x1b\x00")


def test_only_the_end_of_a_large_log_is_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"early\n" + b"z" * TAIL_BYTES + b"\nlate\n")
    assert last_lines(log, ()) == ("late",)


def test_what_an_earlier_run_wrote_is_not_told(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"early\nlate\n")
    assert last_lines(log, (), since=6) == ("late",)
    assert last_lines(log, (), since=11) == ()


def test_without_a_log_there_are_no_lines(tmp_path: Path) -> None:
    assert last_lines(tmp_path / "none", ()) == ()
