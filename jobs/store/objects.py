"""Which object store does a URL name?

.rprm/store, file:///data/store    a local folder (the default)
s3://bucket/prefix                 S3 and everything that speaks it, with `options: {endpoint: …}`
gs://bucket/prefix, az://container/prefix
memory://name                      this process only, for tests
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from obstore.store import MemoryStore, from_url
from obstore.store import ObjectStore as Client

from jobs.spec.errors import StoreError
from jobs.store.base import Entry, NotFound, ObjectStore
from jobs.store.bucket import BucketStore
from jobs.store.explaining import explained
from jobs.store.folder import open_folder

__all__ = ["Entry", "NotFound", "ObjectStore", "open_store"]

REMOTE = ("s3", "s3a", "gs", "az", "abfs", "abfss")

SECRET_WORDS = ("secret", "password", "token", "key_id", "account_key", "sas")
"""A campaign file is logged and shared, so nothing like these may stand in it."""

CLIENT_OPTIONS = ("allow_http", "connect_timeout", "proxy_url", "read_timeout", "timeout")

RETRY: dict[str, Any] = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=15),
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=2)},
}
"""A person who mistyped the endpoint hears of it within seconds; a worker is retried anyway."""

CLIENT: dict[str, Any] = {"connect_timeout": "3s", "read_timeout": "20s", "timeout": "10min"}


_connect: Callable[..., Client] = from_url
"""Its own types want a service known at compile time."""


def open_store(url: str, options: Mapping[str, str] | None = None) -> ObjectStore:
    """Touches nothing yet; `check()` finds out whether the store can be used."""
    scheme, _, rest = url.partition("://")
    if not rest and "://" not in url:
        return open_folder(Path(url))
    if scheme == "file":
        return open_folder(Path(unquote(urlsplit(url).path)))
    if scheme == "memory":
        return _memory(rest) if rest else BucketStore("memory://", MemoryStore())
    if scheme in REMOTE and rest.strip("/"):
        return _remote(url.rstrip("/"), dict(options or {}))
    raise StoreError(
        f"No object store is known by {scheme}:// (in {url}).",
        fix="use a folder, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix",
    )


@functools.cache
def _memory(name: str) -> BucketStore:
    return BucketStore(f"memory://{name}", MemoryStore())


def _remote(url: str, options: dict[str, str]) -> BucketStore:
    for name in options:
        if any(word in name.lower() for word in SECRET_WORDS):
            raise StoreError(
                f"The store option {name!r} is a secret.",
                fix="remove it from the campaign and set it in the environment (such as AWS_*)",
            )
    client: dict[str, Any] = {name: options.pop(name) for name in CLIENT_OPTIONS if name in options}
    if options.get("endpoint", "").startswith("http://"):
        client.setdefault("allow_http", "true")
    with explained("open", url):
        made = _connect(
            url,
            config=options,
            client_options=CLIENT | client,
            retry_config=RETRY,
        )
    return BucketStore(url, made)
