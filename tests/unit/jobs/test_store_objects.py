"""Does a URL open the right store, and does every wrong one say what to change, soon?"""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from jobs.spec.errors import StorageFull, StoreError
from jobs.store.base import NotFound
from jobs.store.explaining import explain
from jobs.store.folder import FolderStore
from jobs.store.objects import open_store

SOON_S = 30.0
"""Generous for a busy machine; the client's own default is minutes."""


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "not-a-real-key")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_a_path_and_a_file_url_are_the_same_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    relative = open_store(".rprm/a store")
    assert relative == open_store(f"{tmp_path}/.rprm/a store")
    assert relative == open_store(f"file://{tmp_path}/.rprm/a%20store")
    assert relative == open_store(relative.url)
    assert relative == FolderStore(tmp_path / ".rprm" / "a store")
    assert relative.url == f"file://{tmp_path}/.rprm/a%20store"


def test_opening_a_folder_makes_nothing_and_reading_it_finds_nothing(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "later"))
    assert store.list() == []
    assert not store.exists("a")
    assert not (tmp_path / "later").exists()


def test_memory_is_shared_by_name_only() -> None:
    open_store("memory://shared-by-test").put("a", b"1")
    assert open_store("memory://shared-by-test").get("a") == b"1"
    assert not open_store("memory://").exists("a")


@pytest.mark.parametrize("url", ["s3://b/p/", "gs://b/p", "az://container/p", "abfss://c/p"])
def test_buckets_keep_their_url(url: str, keys: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("GOOGLE_SKIP_SIGNATURE", "true")
    assert open_store(url).url == url.rstrip("/")


@pytest.mark.parametrize(
    ("url", "options", "told"),
    [
        ("ftp://host/x", {}, "No object store is known by ftp://"),
        ("s3://", {}, "No object store"),  # no bucket
        ("s3://bucket/x", {"regoin": "eu"}, "regoin.*Fix: correct spec.store.options"),
        ("s3://bucket/x", {"aws_secret_access_key": "hush"}, "is a secret.*in the environment"),
        ("s3://bucket/x", {"connect_timeout": "soon"}, "Fix: correct spec.store.options"),
    ],
)
def test_a_wrong_url_or_option_says_what_to_change(
    url: str, options: dict[str, str], told: str
) -> None:
    with pytest.raises(StoreError, match=told) as caught:
        open_store(url, options)
    assert "hush" not in str(caught.value)


def test_an_endpoint_where_nothing_listens_fails_soon(keys: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    store = open_store("s3://bucket/x", {"endpoint": f"http://127.0.0.1:{port}"})
    began = time.monotonic()
    with pytest.raises(StoreError, match=r"s3://bucket/x.*Fix: check that the endpoint"):
        store.list()
    assert time.monotonic() - began < SOON_S


def test_an_endpoint_that_never_answers_fails_soon(keys: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        options = {"endpoint": f"http://127.0.0.1:{mute.getsockname()[1]}", "read_timeout": "300ms"}
        store = open_store("s3://bucket/x", options)
        began = time.monotonic()
        with pytest.raises(StoreError, match="Fix: check that the endpoint"):
            store.get("a")
        assert time.monotonic() - began < SOON_S


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (OSError(28, os.strerror(28)), StorageFull, "No space left.*Fix: free space"),
        (OSError(122, os.strerror(122)), StorageFull, "quota.*Fix: free space"),
        (PermissionError(13, os.strerror(13)), StoreError, "denied.*Fix: give this user"),
        (OSError(30, os.strerror(30)), StoreError, "Read-only.*Fix: give this user"),
        (OSError(5, os.strerror(5)), StoreError, "Fix: check that the disk"),
        (FileNotFoundError("Object not found"), NotFound, "no such object"),
        (FileNotFoundError("<Code>NoSuchBucket</Code>"), StoreError, "bucket does not exist"),
        (ValueError("bad path"), StoreError, "bad path. Fix: correct spec.store.url"),
        (OSError("<Code>QuotaExceeded</Code>"), StorageFull, "no space left"),
        (OSError("at http://169.254.169.254/x"), StoreError, "no credentials were found"),
    ],
)
def test_every_error_says_what_where_and_the_fix(
    error: Exception, kind: type[StoreError], told: str
) -> None:
    said = explain(error, doing="write", where="s3://bucket/key")
    assert type(said) is kind
    with pytest.raises(kind, match=f"Could not write s3://bucket/key: .*{told}"):
        raise said


def test_the_body_of_a_service_error_is_not_repeated() -> None:
    text = "status 500: <?xml version='1.0'?><Error><Code>Odd</Code><Key>AKIA</Key></Error>"
    said = str(explain(OSError(text), doing="read", where="here"))
    assert "AKIA" not in said
    assert "(Odd)" in said
