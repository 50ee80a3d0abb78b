"""Are the replicas of every kind of source found, and kept when the source cannot be read?"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm.engines.endpoints import (
    DnsSource,
    EndpointSource,
    Replica,
    endpoint_source,
    replicas_of,
    root_url,
)
from rprm.errors import BadInput

TWO = {
    "model": "judge",
    "written_by": "a keeper of a later version",
    "replicas": [
        {"name": "judge-1", "url": "http://127.0.0.1:8102/v1", "state": "draining"},
        {"name": "judge-0", "url": "http://127.0.0.1:8101", "state": "ready", "max_num_seqs": 128},
    ],
}


def read(source: EndpointSource) -> tuple[Replica, ...]:
    return asyncio.run(source.read())


def names(source: EndpointSource) -> list[str]:
    return [replica.name for replica in read(source)]


def replace(path: Path, document: Any) -> None:
    """As a keeper does: whole or not at all."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(document))
    os.replace(fresh, path)


@pytest.mark.parametrize(
    "url", ["http://a:8000", "http://a:8000/", "http://a:8000/v1", " http://a:8000/v1/ "]
)
def test_an_address_may_come_with_the_version_of_the_api(url: str) -> None:
    assert root_url(url) == "http://a:8000"
    assert names(endpoint_source(url)) == ["a:8000"]


def test_several_addresses_are_separated_by_commas() -> None:
    found = read(endpoint_source("http://b:1, https://a/judge/v1,"))
    assert [replica.url for replica in found] == ["https://a/judge", "http://b:1"]
    assert len({replica.name for replica in found}) == 2


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("a:8000", "names no replicas"),
        ("", "names no replicas"),
        ("ftp://a", "names no replicas"),
        ("http://a,http://a/v1", "twice"),
        ("http://user:word@a", "password"),
        ("http://", "not the address of an API"),
        ("file://relative.json", "not the address of a file"),
        ("file:///", "not the address of a file"),
        ("file:///a%00b", "not the address of a file"),
        ("file:///a.json#b", "not the address of a file"),
        ("dns://judge", "a name with a port"),
        ("dns://judge:port", "no address"),
        ("http://judge:port", "no address"),
        ("dns://[", "no address"),
        ("dns://judge:8000/v1", "a name with a port"),
    ],
)
def test_a_source_that_cannot_be_meant_is_refused_with_a_fix(spec: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as caught:
        endpoint_source(spec)
    assert "Fix:" in str(caught.value)


def test_a_document_names_its_replicas_in_order() -> None:
    assert replicas_of(json.dumps(TWO).encode()) == (
        Replica(name="judge-0", url="http://127.0.0.1:8101", max_num_seqs=128, model="judge"),
        Replica(name="judge-1", url="http://127.0.0.1:8102", draining=True, model="judge"),
    )


def test_a_file_is_read_again_when_it_was_replaced(tmp_path: Path) -> None:
    path = tmp_path / "judge fleet.json"
    source = endpoint_source(f"file://{tmp_path}/judge%20fleet.json")
    assert names(source) == []
    assert "No such file" in source.problem
    replace(path, TWO)
    assert names(source) == ["judge-0", "judge-1"]
    assert source.problem == ""
    replace(path, {**TWO, "replicas": TWO["replicas"][:1]})
    assert names(source) == ["judge-1"]
    replace(path, {"model": "judge", "replicas": []})
    assert names(source) == []
    assert source.problem == ""


@pytest.mark.parametrize("torn", [b"", b'{"replicas": [', b"[]", b'{"replicas": [{"name": 1}]}'])
def test_a_torn_or_missing_file_keeps_what_was_known(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "fleet.json"
    source = endpoint_source(f"file://{path}")
    replace(path, TWO)
    before = read(source)
    path.write_bytes(torn)
    assert read(source) == before
    assert str(path) in source.problem
    path.unlink()
    assert read(source) == before
    replace(path, TWO)
    assert read(source) == before
    assert source.problem == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"url": "not an address"}, "not the address"),
        ({"name": ""}, "lacks a name"),
        ({"state": "asleep"}, "neither ready nor draining"),
        ({"max_num_seqs": 0}, "max_num_seqs"),
        ({"max_num_seqs": True}, "max_num_seqs"),
        ({"name": "judge-0"}, "twice"),
    ],
)
def test_a_wrong_document_says_what_is_wrong(change: dict[str, Any], said: str) -> None:
    first, second = TWO["replicas"]
    assert isinstance(first, dict)
    document = {"replicas": [{**first, **change}, second]}
    with pytest.raises(BadInput, match=said):
        replicas_of(json.dumps(document).encode())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
rows = st.fixed_dictionaries(
    {},
    optional={
        "name": json_values,
        "url": st.sampled_from(["http://a:1", "http://[", "http://a:b"]) | json_values,
        "state": st.sampled_from(["ready", "draining"]) | json_values,
        "max_num_seqs": json_values,
    },
)


@given(st.binary() | st.fixed_dictionaries({"replicas": st.lists(rows)}).map(json.dumps))
def test_no_document_raises_anything_but_bad_input(data: bytes | str) -> None:
    with contextlib.suppress(BadInput):
        replicas_of(data.encode() if isinstance(data, str) else data)


def test_every_address_of_a_name_is_a_replica_and_a_failing_resolver_changes_nothing() -> None:
    answers: list[Sequence[str] | OSError] = [
        ["10.0.0.2", "10.0.0.1", "10.0.0.1", "fd00::1"],
        socket.gaierror(-3, "Temporary failure in name resolution"),
        ["10.0.0.1"],
    ]

    async def resolve(host: str, port: int) -> Sequence[str]:
        assert (host, port) == ("judge", 8000)
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    source = DnsSource("judge", 8000, resolve=resolve)
    found = read(source)
    assert [replica.url for replica in found] == [
        "http://10.0.0.1:8000",
        "http://10.0.0.2:8000",
        "http://[fd00::1]:8000",
    ]
    assert read(source) == found
    assert "Temporary failure" in source.problem
    assert names(source) == ["10.0.0.1:8000"]
    assert source.problem == ""


def test_what_can_be_no_name_is_a_problem_and_no_crash() -> None:
    source = endpoint_source(f"dns://{'a' * 70}.example:8000")
    assert names(source) == []
    assert "cannot be resolved" in source.problem


specs = st.one_of(
    st.text(max_size=20),
    st.builds(
        "{}{}".format,
        st.sampled_from(["http://", "https://", "dns://", "file:///"]),
        st.text(max_size=20),
    ),
)


@given(specs)
def test_no_spec_raises_anything_but_bad_input(spec: str) -> None:
    with contextlib.suppress(BadInput):
        endpoint_source(spec)


def test_a_name_is_really_resolved() -> None:
    assert "127.0.0.1:8000" in names(endpoint_source("dns://localhost:8000"))
