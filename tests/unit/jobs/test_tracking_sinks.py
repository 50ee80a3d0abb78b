"""Are servers told apart, and do passwords stay out of every message?"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.tracking.sinks import redact, sink_of, sqlite_path


@pytest.mark.parametrize(
    ("uri", "other", "same"),
    [
        ("http://a:5000", "http://b:5000", False),  # another server
        ("http://a:5000", "http://a:5000/", True),  # a slash means nothing
        ("http://u:old@a:5000", "http://u:new@a:5000", True),  # a changed password
        ("sqlite:///m.db", f"sqlite:///{Path('m.db').absolute()}", True),  # the same file
        ("sqlite:///m.db", "sqlite:///n.db", False),  # another file
        ("postgresql://u:p@h/one", "postgresql://u:p@h/two", False),  # another database
    ],
)
def test_a_sink_is_a_server_whatever_its_uri_looks_like(uri: str, other: str, same: bool) -> None:
    assert (sink_of(uri, "q") == sink_of(other, "q")) is same


def test_experiments_of_one_server_are_different_sinks() -> None:
    assert sink_of("http://a", "one") != sink_of("http://a", "two")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://user:pw@host:5000/x", "http://***@host:5000/x"),  # name and password
        ("https://token@host", "https://***@host"),  # a token as the user
        ("http://u:p@ss@host/x", "http://***@host/x"),  # an @ in the password
        ("postgresql+psycopg2://u:p@h/db", "postgresql+psycopg2://***@h/db"),  # a driver
        ("x 'http://u:p@h' and http://v:q@i", "x 'http://***@h' and http://***@i"),  # in prose
        ("mssql://h/db?Password=pw&x=1", "mssql://h/db?Password=***&x=1"),  # in the query
        ("http://h/?access_token=abc", "http://h/?access_token=***"),  # a longer name
        ("sqlite:///m.db", "sqlite:///m.db"),  # nothing to hide
        ("mail me@host about http://host", "mail me@host about http://host"),  # no credentials
    ],
)
def test_a_message_holds_no_credentials(text: str, shown: str) -> None:
    assert redact(text) == shown


@given(
    st.text(st.characters(exclude_characters="/ \t\n", exclude_categories=["C", "Z"]), min_size=9),
    st.text(max_size=10),
)
def test_no_password_survives(password: str, around: str) -> None:
    shown = redact(f"{around} http://user:{password}@host:5000/api {around}")
    assert f"user:{password}" not in shown


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("sqlite:///m.db", Path("m.db").absolute()),  # three slashes: relative
        ("sqlite:////data/m.db", Path("/data/m.db")),  # four: absolute
        ("sqlite+pysqlite:////data/m.db?timeout=5", Path("/data/m.db")),  # driver and options
        ("sqlite:////my%20data/m.db", Path("/my data/m.db")),  # quoted
        ("http://host/m.db", None),  # a server
        ("sqlite://", None),  # in memory
    ],
)
def test_the_path_of_a_sqlite_uri(uri: str, path: Path | None) -> None:
    assert sqlite_path(uri) == path
