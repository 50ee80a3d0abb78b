"""Which key holds what?  Pure: names in, keys out.

artifacts/<address>/spec.json                           what is to be made; written first
artifacts/<address>/shards/00042/<attempt>.parquet      rows of one attempt; worth nothing alone
artifacts/<address>/shards/00042/<attempt>.errors.parquet
artifacts/<address>/shards/00042.done                   the commit: names the attempt that counts
artifacts/<address>/shards/00042.failed.<code>.<attempt>
artifacts/<address>/progress/00042.json
artifacts/<address>/files/<name>                        published files and folders
artifacts/<address>/checkpoints/<step>/{weights,resume}/…
artifacts/<address>/checkpoints/<step>.done
artifacts/<address>/track/<key>.json                    waits for delivery
artifacts/<address>/track/<key>.sent.<sink>
artifacts/<address>/seal.json                           complete, and never changes again
registry/<model>/00000001.json                          promotion decisions, numbered
campaigns/<name>/cancel                                 a person asked for it
"""

from __future__ import annotations

import re
from dataclasses import dataclass

ARTIFACTS = "artifacts"
REGISTRY = "registry"
CAMPAIGNS = "campaigns"

_SHARD = re.compile(
    r"shards/(?P<shard>\d+)"
    r"(?:\.failed\.(?P<code>[^./]+)\.(?P<failed>[^./]+)"
    r"|/(?P<attempt>[^./]+)\.(?P<errors>errors\.)?parquet)"
)
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_CHECKPOINT = re.compile(rf"{ARTIFACTS}/[^/]+/checkpoints/\d{{10}}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardKey:
    """What a key below `shards/` says."""

    shard: int
    kind: str
    """"done", "failed", "data" or "errors"."""
    attempt: str = ""
    code: str = ""


def artifact_prefix(address: str) -> str:
    return f"{ARTIFACTS}/{address}"


def spec_key(address: str) -> str:
    return f"{ARTIFACTS}/{address}/spec.json"


def seal_key(address: str) -> str:
    return f"{ARTIFACTS}/{address}/seal.json"


def shards_prefix(address: str) -> str:
    return f"{ARTIFACTS}/{address}/shards"


def data_key(address: str, shard: int, attempt: str) -> str:
    return f"{shards_prefix(address)}/{shard:05d}/{plain(attempt)}.parquet"


def errors_key(address: str, shard: int, attempt: str) -> str:
    return f"{shards_prefix(address)}/{shard:05d}/{plain(attempt)}.errors.parquet"


def done_key(address: str, shard: int) -> str:
    return f"{shards_prefix(address)}/{shard:05d}.done"


def failed_key(address: str, shard: int, code: str, attempt: str) -> str:
    return f"{shards_prefix(address)}/{shard:05d}.failed.{plain(code)}.{plain(attempt)}"


def progress_prefix(address: str) -> str:
    return f"{ARTIFACTS}/{address}/progress"


def progress_key(address: str, shard: int) -> str:
    return f"{progress_prefix(address)}/{shard:05d}.json"


def files_prefix(address: str) -> str:
    return f"{ARTIFACTS}/{address}/files"


def file_key(address: str, name: str) -> str:
    return f"{files_prefix(address)}/{name}"


def checkpoints_prefix(address: str) -> str:
    return f"{ARTIFACTS}/{address}/checkpoints"


def checkpoint_prefix(address: str, step: int) -> str:
    return f"{checkpoints_prefix(address)}/{step:010d}"


def checkpoint_done_key(address: str, step: int) -> str:
    return f"{checkpoint_prefix(address, step)}.done"


def is_checkpoint(key: str) -> bool:
    """Is this what `checkpoint_prefix` gives?"""
    return _CHECKPOINT.fullmatch(key) is not None


def track_prefix(address: str) -> str:
    return f"{ARTIFACTS}/{address}/track"


def track_key(address: str, key: str) -> str:
    return f"{track_prefix(address)}/{key}.json"


def sent_key(address: str, key: str, sink: str) -> str:
    return f"{track_prefix(address)}/{key}.sent.{sink}"


def registry_prefix(model: str) -> str:
    return f"{REGISTRY}/{model}"


def registry_key(model: str, sequence: int) -> str:
    return f"{REGISTRY}/{model}/{sequence:08d}.json"


def cancel_key(campaign: str) -> str:
    return f"{CAMPAIGNS}/{campaign}/cancel"


def split_artifact_key(key: str) -> tuple[str, str] | None:
    """(address, rest) of a key inside an artifact; None for any other key."""
    parts = key.split("/", 2)
    if len(parts) < 3 or parts[0] != ARTIFACTS:
        return None
    return parts[1], parts[2]


def parse_shard_key(rest: str) -> ShardKey | None:
    """Read the part of a key after the address; None when it is no shard's key."""
    head, stem, tail = rest[:7], rest[7:-5], rest[-5:]
    if tail == ".done" and head == "shards/" and stem.isascii() and stem.isdigit():
        return ShardKey(shard=int(stem), kind="done")  # by far the most, and read every tick
    found = _SHARD.fullmatch(rest)
    if found is None:
        return None
    shard = int(found["shard"])
    if found["code"]:
        return ShardKey(shard=shard, kind="failed", code=found["code"], attempt=found["failed"])
    kind = "errors" if found["errors"] else "data"
    return ShardKey(shard=shard, kind=kind, attempt=found["attempt"])


def plain(name: str) -> str:
    """The name itself; attempts and codes with other characters would break the grammar above."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a plain name: letters, digits, '_' and '-' only")
    return name
