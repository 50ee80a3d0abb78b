"""Do keys mean what the layout says, in both directions?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.store import layout
from jobs.store.layout import ShardKey

plain_names = st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True)
shards = st.integers(0, 10**7)


@given(shards, plain_names, plain_names)
def test_shard_keys_are_read_as_they_were_written(shard: int, attempt: str, code: str) -> None:
    written = {
        layout.data_key("a", shard, attempt): ShardKey(shard=shard, kind="data", attempt=attempt),
        layout.errors_key("a", shard, attempt): ShardKey(
            shard=shard, kind="errors", attempt=attempt
        ),
        layout.done_key("a", shard): ShardKey(shard=shard, kind="done"),
        layout.failed_key("a", shard, code, attempt): ShardKey(
            shard=shard, kind="failed", code=code, attempt=attempt
        ),
    }
    for key, wanted in written.items():
        split = layout.split_artifact_key(key)
        assert split is not None
        assert split[0] == "a"
        assert layout.parse_shard_key(split[1]) == wanted


@given(st.text(max_size=40) | st.from_regex(r"shards/[0-9./a-z]{0,20}"))
def test_other_keys_are_no_shard_keys_and_never_an_exception(rest: str) -> None:
    found = layout.parse_shard_key(rest)
    assert found is None or found.kind in {"done", "failed", "data", "errors"}


@pytest.mark.parametrize("name", ["", "a.b", "a/b", "a b", "ä"])
def test_attempts_and_codes_must_be_plain_names(name: str) -> None:
    with pytest.raises(ValueError, match="not a plain name"):
        layout.data_key("a", 0, name)


def test_keys_have_the_written_form() -> None:
    assert layout.done_key("sft-1", 42) == "artifacts/sft-1/shards/00042.done"
    assert layout.done_key("sft-1", 123456) == "artifacts/sft-1/shards/123456.done"
    assert layout.checkpoint_done_key("sft-1", 500) == "artifacts/sft-1/checkpoints/0000000500.done"
    assert layout.registry_key("r-prm", 1) == "registry/r-prm/00000001.json"
    assert layout.cancel_key("quickstart") == "campaigns/quickstart/cancel"
    assert layout.sent_key("a", "k", "mlflow") == "artifacts/a/track/k.sent.mlflow"
    assert layout.split_artifact_key("registry/r-prm/00000001.json") is None
