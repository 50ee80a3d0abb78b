"""Are data found where the user said, digested, and read in every format?"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm.data.hub import Fetched, HubName, parse_hub_name, patterns_of
from rprm.data.sources import SUFFIXES, read_source, resolve, rows_of, sha256_of
from rprm.errors import BadInput, RprmError

ROWS = [{"text": "a\u2028b"}, {"text": "é"}]


@dataclass
class FakeHub:
    """Serves a local folder as if it were a snapshot; the real Hub needs a network."""

    folder: Path
    asked: list[HubName] = field(default_factory=list)

    def fetch(self, name: HubName, suffixes: tuple[str, ...]) -> Fetched:
        self.asked.append(name)
        return Fetched(path=self.folder / (name.path or ""), revision="c0ffee")


def write_json_lines(path: Path, rows: list[dict[str, str]] = ROWS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def test_a_name_with_data_is_looked_up_below_the_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_json_lines(tmp_path / "set/rows.jsonl")
    monkeypatch.setenv("RPRM_DATA", str(tmp_path))
    found = resolve("data:set/rows.jsonl")
    assert found.files == (file,)
    assert found.name == "data:set/rows.jsonl"
    assert found.digest == hashlib.sha256(file.read_bytes()).hexdigest()
    assert found.revision is None


def test_without_the_variable_the_default_folder_beside_the_checkout_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_json_lines(tmp_path / "shared/data/rows.jsonl")
    (tmp_path / "checkout").mkdir()
    monkeypatch.delenv("RPRM_DATA", raising=False)
    monkeypatch.chdir(tmp_path / "checkout")
    assert len(resolve("data:rows.jsonl").files) == 1


def test_a_missing_set_says_where_it_looked_and_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RPRM_DATA", str(tmp_path))
    with pytest.raises(BadInput) as caught:
        resolve("data:processbench/gsm8k.json")
    text = str(caught.value)
    assert str(tmp_path / "processbench/gsm8k.json") in text
    assert "set RPRM_DATA" in text
    assert "hf://" in text


@pytest.mark.parametrize(
    ("written", "files"),
    [
        ("a.jsonl", ["a.jsonl"]),
        (".", ["a.jsonl", "sub/b.jsonl"]),  # a folder: every data file below it, by name
        ("*.jsonl", ["a.jsonl"]),
        ("s?b/*", ["sub/b.jsonl"]),
    ],
)
def test_a_file_a_folder_and_a_glob_are_local(
    tmp_path: Path, written: str, files: list[str]
) -> None:
    write_json_lines(tmp_path / "a.jsonl")
    write_json_lines(tmp_path / "sub/b.jsonl")
    (tmp_path / "notes.txt").write_text("no data")
    assert list(resolve(str(tmp_path / written)).files) == [tmp_path / name for name in files]


def test_the_digest_of_a_folder_does_not_depend_on_where_it_lies(tmp_path: Path) -> None:
    for place in ("here", "there/deeper"):
        write_json_lines(tmp_path / place / "a.jsonl")
        write_json_lines(tmp_path / place / "b.jsonl", ROWS[:1])
    here = resolve(str(tmp_path / "here"))
    assert here.digest == resolve(str(tmp_path / "there/deeper")).digest
    write_json_lines(tmp_path / "here/b.jsonl", ROWS[1:])
    assert resolve(str(tmp_path / "here")).digest != here.digest


def test_a_digest_is_computed_once_per_size_and_modification_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_json_lines(tmp_path / "a.jsonl")
    first = sha256_of(file)
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("read again"))
    assert sha256_of(file) == first
    monkeypatch.undo()
    file.write_text("{}\n")
    os.utime(file, ns=(1, 1))
    assert sha256_of(file) != first


@pytest.mark.parametrize(
    ("written", "revision", "asked"),
    [
        ("hf://org/set", None, HubName(repo="org/set", revision=None, path=None)),
        ("org/set", None, HubName(repo="org/set", revision=None, path=None)),
        ("org/set", "v1", HubName(repo="org/set", revision="v1", path=None)),
        ("hf://org/set@v1/sub", None, HubName(repo="org/set", revision="v1", path="sub")),
    ],
)
def test_a_hub_name_is_fetched_at_its_revision_and_the_commit_is_recorded(
    tmp_path: Path, written: str, revision: str | None, asked: HubName
) -> None:
    write_json_lines(tmp_path / "sub/a.jsonl")
    hub = FakeHub(tmp_path)
    found = resolve(written, revision=revision, hub=hub)
    assert hub.asked == [asked]
    assert found.revision == "c0ffee"
    assert found.files == (tmp_path / "sub/a.jsonl",)


def test_a_path_whose_first_folder_exists_is_never_taken_for_a_hub_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    with pytest.raises(BadInput, match="nothing at"):
        resolve("runs/gone", hub=FakeHub(tmp_path))


@pytest.mark.parametrize("name", ["hf://org", "hf://", "hf://a/b@", "hf://a b/c"])
def test_a_malformed_hub_name_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="hf://org/name@revision/path"):
        parse_hub_name(name)


def test_two_different_revisions_are_refused() -> None:
    with pytest.raises(BadInput, match="give the revision once"):
        parse_hub_name("hf://a/b@v1", revision="v2")


def test_a_local_source_with_a_revision_is_refused(tmp_path: Path) -> None:
    file = write_json_lines(tmp_path / "a.jsonl")
    with pytest.raises(BadInput, match="leave the revision out"):
        resolve(str(file), revision="v1")


def test_the_real_hub_is_asked_for_one_commit_of_a_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_json_lines(tmp_path / "snapshots/c0ffee/a.jsonl")
    asked: list[tuple[str, object]] = []

    def scripted_download(repo: str, **options: object) -> str:
        asked.append((repo, options["revision"]))
        return str(tmp_path / "snapshots/c0ffee")

    monkeypatch.setattr("huggingface_hub.snapshot_download", scripted_download)
    assert resolve("hf://org/set@main").revision == "c0ffee"
    assert asked == [("org/set", "main")]


def test_a_hub_that_is_away_is_no_fault_of_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(repo: str, **_: object) -> str:
        raise OSError("no route")

    monkeypatch.setattr("huggingface_hub.snapshot_download", no_network)
    with pytest.raises(RprmError, match=r"no route.*Fix: try again") as caught:
        resolve("hf://org/set")
    assert caught.value.exit_code == 1  # retried, unlike a bad name


def test_only_data_files_are_asked_of_the_hub() -> None:
    name = HubName(repo="a/b", revision=None, path=None)
    assert patterns_of(name, SUFFIXES) == [f"*{suffix}" for suffix in SUFFIXES]
    file = HubName(repo="a/b", revision=None, path="x/y.json")
    assert patterns_of(file, SUFFIXES) == ["x/y.json"]
    folder = HubName(repo="a/b", revision=None, path="x")
    assert "x/*.parquet" in patterns_of(folder, SUFFIXES)


def test_every_format_gives_the_same_rows(tmp_path: Path) -> None:
    lines = write_json_lines(tmp_path / "a.jsonl")
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines.read_bytes()))
    (tmp_path / "a.json").write_text(json.dumps(ROWS), "utf-8-sig")  # with a byte order mark
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    for name in ("a.jsonl", "a.jsonl.gz", "a.json", "a.parquet"):
        assert list(rows_of(tmp_path / name)) == ROWS, name


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.jsonl", b'{"a": 1}\n{"a": \n', "line 2: not JSON"),
        ("a.json", b'{"a": 1}\n{"a": 2}\n', "end the name in .jsonl"),  # JSON lines in disguise
        ("a.json", b'{"a": 1}', "holds dict, not a list"),
        ("a.jsonl", b'{"a": "\xff"}\n', "cannot be read"),  # not UTF-8
        ("a.jsonl.gz", gzip.compress(b"{}\n" * 99)[:20], "cut off"),
        ("a.jsonl.gz", b"plain text", "cannot be read"),
        ("a.parquet", b"PAR1 no", "cannot be read"),
    ],
)
def test_a_broken_file_is_named_with_what_is_wrong(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput) as caught:
        list(rows_of(tmp_path / name))
    assert says in str(caught.value)
    assert name in str(caught.value)


def test_a_row_that_is_no_object_is_one_problem_and_not_one_per_key(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n[1]\n')
    with pytest.raises(BadInput, match=r"1 problem\(s\)(.|\n)*row 1, \(row\): is list"):
        read_source(resolve(str(tmp_path / "a.jsonl")), lambda row: row.text("text"))


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b")
    with pytest.raises(BadInput, match="no known format"):
        resolve(str(tmp_path / "a.csv"))


@given(st.text(max_size=30) | st.from_regex(r"hf://[a-c./@]{0,12}", fullmatch=True))
def test_a_hub_name_is_read_whole_or_refused(text: str) -> None:
    try:
        name = parse_hub_name(text)
    except BadInput:
        return
    assert parse_hub_name(str(name)) == name


def test_an_empty_name_is_refused_and_not_taken_for_the_working_folder() -> None:
    with pytest.raises(BadInput, match="names nothing"):
        resolve(" ")
